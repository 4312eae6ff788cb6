# SPDX-License-Identifier: Apache-2.0
"""Model files into graphs."""

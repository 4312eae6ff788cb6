# SPDX-License-Identifier: Apache-2.0
"""Where bits are spent, and how the accuracy that they cost is won back."""

# SPDX-License-Identifier: Apache-2.0
"""What a build is like: as JSON, on a terminal, as one HTML file."""

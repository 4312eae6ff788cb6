# SPDX-License-Identifier: Apache-2.0
"""Plans: when which rows are computed, and where in memory every map lies."""

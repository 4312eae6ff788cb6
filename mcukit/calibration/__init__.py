# SPDX-License-Identifier: Apache-2.0
"""Calibration: data, the float run, statistics and ranges."""

# SPDX-License-Identifier: Apache-2.0
"""Runs generated C on this computer and on emulated microcontroller cores, and counts instructions there."""

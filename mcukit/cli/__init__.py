# SPDX-License-Identifier: Apache-2.0
"""The command line: the only part of mcukit that prints or exits."""

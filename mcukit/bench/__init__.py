# SPDX-License-Identifier: Apache-2.0
"""Networks on boards: the firmware that serves one over a serial line, and the computer's end of that line."""

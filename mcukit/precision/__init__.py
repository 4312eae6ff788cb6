# SPDX-License-Identifier: Apache-2.0
"""Where bits are spent: by measured error at the output, or as QuantMCU has it."""

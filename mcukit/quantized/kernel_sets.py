# SPDX-License-Identifier: Apache-2.0
"""The sets of C kernels that generated code may call; all of them compute the same bytes."""

from __future__ import annotations

__all__ = ["KERNEL_SETS", "KernelSet"]

from enum import StrEnum


class KernelSet(StrEnum):
    """PORTABLE: plain C for every core.

    DSP: for Arm cores with DSP instructions (Cortex-M4, M7, M33), in part written in them; on other cores these kernels
    call the portable ones, and only their scratch memory is larger.
    """

    PORTABLE = "portable"
    DSP = "dsp"


KERNEL_SETS = tuple(kernels.value for kernels in KernelSet)

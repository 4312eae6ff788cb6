# SPDX-License-Identifier: Apache-2.0
"""The sets of C kernels that generated code may call; all of them compute the same bytes."""

from __future__ import annotations

__all__ = ["KERNEL_SETS", "KernelSet", "first_set_with", "sets_up_to"]

from enum import StrEnum


class KernelSet(StrEnum):
    """PORTABLE: plain C for every core.

    DSP: for Arm cores with DSP instructions (Cortex-M4, M7, M33), in part written in them; on other cores these kernels
    call the portable ones, and only their scratch memory is larger.
    MVE: for Arm cores with Helium (Cortex-M55, M85): convolution, depthwise convolution and fully connected layers are
    written in its vector instructions, and all else is as in DSP. On other cores these kernels compute the same bytes,
    but slowly.
    """

    PORTABLE = "portable"
    DSP = "dsp"
    MVE = "mve"


def first_set_with(function: str) -> KernelSet:
    """The first set that a kernel's function occurs in: later ones have it too, where they have nothing faster."""
    suffixes = {KernelSet.DSP: "_dsp", KernelSet.MVE: "_mve"}
    return next((kernels for kernels, suffix in suffixes.items() if function.endswith(suffix)), KernelSet.PORTABLE)


def sets_up_to(kernels: KernelSet) -> tuple[KernelSet, ...]:
    """The sets that run, and make sense, on the cores that a set is for: it and those before it."""
    sets = tuple(KernelSet)
    return sets[: sets.index(kernels) + 1]


KERNEL_SETS = tuple(kernels.value for kernels in KernelSet)

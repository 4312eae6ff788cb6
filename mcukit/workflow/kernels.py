# SPDX-License-Identifier: Apache-2.0
"""Which set of C kernels a network is computed with."""

from __future__ import annotations

__all__ = ["chosen_kernels", "kernels_for_target"]

from mcukit.boards import Board
from mcukit.boards.cores import CORES
from mcukit.errors import McukitError
from mcukit.quantized.kernel_sets import KERNEL_SETS, KernelSet
from mcukit.workflow.options import QuantizeOptions


def chosen_kernels(options: QuantizeOptions, board: Board | None) -> KernelSet:
    """What the user asks for, or else the board's; without a board DSP kernels, which are good for every core.

    Raises McukitError "wrong-option" for a set that there is not, and for DSP kernels on a board that only loses memory
    by them.
    """
    if options.kernels is None:
        return KernelSet.DSP if board is None else KernelSet(board.kernels)
    if options.kernels not in KERNEL_SETS:
        raise McukitError(
            "wrong-option",
            f"there are no kernels '{options.kernels}'",
            where="--kernels",
            hint=f"choose one of {', '.join(KERNEL_SETS)}",
            exit_code=2,
        )
    kernels = KernelSet(options.kernels)
    if kernels is KernelSet.DSP and board is not None and not board.dsp:
        raise McukitError(
            "wrong-option",
            f"the {board.core} of {board.id} has no DSP instructions",
            where="--kernels",
            hint="use --kernels portable, or leave the option out",
            exit_code=2,
        )
    return kernels


def kernels_for_target(target: str) -> KernelSet:
    """The fastest set for a core whose instructions are counted: a name in mcukit.planning.costs."""
    cores = [core for core in CORES.values() if core.emulation_target == target]
    return KernelSet.DSP if any(True in core.dsp for core in cores) else KernelSet.PORTABLE

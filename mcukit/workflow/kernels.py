# SPDX-License-Identifier: Apache-2.0
"""Which set of C kernels a network is computed with."""

from __future__ import annotations

__all__ = ["chosen_kernels", "costs_for", "kernels_for_target"]

from mcukit.boards import Board
from mcukit.boards.cores import CORES
from mcukit.errors import McukitError
from mcukit.planning.costs import DEFAULT_TARGET
from mcukit.quantized.kernel_sets import KERNEL_SETS, KernelSet
from mcukit.workflow.options import QuantizeOptions

_HELIUM_TARGET = "cortex-m55"


def chosen_kernels(options: QuantizeOptions, board: Board | None) -> KernelSet:
    """What the user asks for, or else the board's; without a board DSP kernels, which are good for every core.

    Raises McukitError "wrong-option" for a set that there is not, and for one whose instructions the board has not: it
    would lose memory by DSP kernels, and be slow with those for Helium.
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
    if board is not None and not _has_instructions(board, kernels):
        raise McukitError(
            "wrong-option",
            f"the {board.core} of {board.id} has no {'Helium' if kernels is KernelSet.MVE else 'DSP instructions'}",
            where="--kernels",
            hint=f"use --kernels {board.kernels}, or leave the option out",
            exit_code=2,
        )
    return kernels


def _has_instructions(board: Board, kernels: KernelSet) -> bool:
    """Whether a board's core has those that a set is written in."""
    match kernels:
        case KernelSet.PORTABLE:
            return True
        case KernelSet.DSP:
            return board.dsp
        case KernelSet.MVE:
            return CORES[board.core].helium


def costs_for(board: Board | None, kernels: KernelSet) -> str:
    """The target with whose costs plans are made: the board's, or without one a core that the kernels are made for."""
    if board is not None:
        return board.cost_target
    return _HELIUM_TARGET if kernels is KernelSet.MVE else DEFAULT_TARGET


def kernels_for_target(target: str) -> KernelSet:
    """The fastest set for a core whose instructions are counted: a name in mcukit.planning.costs."""
    cores = [core for core in CORES.values() if core.emulation_target == target]
    if any(core.helium for core in cores):
        return KernelSet.MVE
    return KernelSet.DSP if any(True in core.dsp for core in cores) else KernelSet.PORTABLE

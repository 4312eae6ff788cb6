# SPDX-License-Identifier: Apache-2.0
"""What an estimate of cycles says of a board."""

from __future__ import annotations

__all__ = ["CycleEstimate", "cycle_model", "known_cycle_model"]

from collections.abc import Mapping
from dataclasses import dataclass

from mcukit.boards.board import Board
from mcukit.emulation.cycles.arguments import TIMED_CORES, CycleModel
from mcukit.errors import McukitError


@dataclass(frozen=True)
class CycleEstimate:
    """An estimate for one inference, with maps in memory without wait states and weights in flash. Not a measurement.

    board: its id. classes: cycles by CYCLE_CLASSES. clock_hz: the board's.
    """

    board: str
    clock_hz: int
    classes: Mapping[str, int]

    @property
    def cycles(self) -> int:
        """Of the processor, in all."""
        return sum(self.classes.values())

    @property
    def milliseconds(self) -> float:
        """At the board's clock."""
        return 1000 * self.cycles / self.clock_hz


def known_cycle_model(board: Board) -> CycleModel | None:
    """What cycles of a board are estimated of; None where its core or its flash have no timings."""
    if board.flash_timing is None or board.core not in TIMED_CORES:
        return None
    return CycleModel(board.core, board.flash_timing)


def cycle_model(board: Board) -> CycleModel:
    """The same. Raises McukitError "no-timings" with what is missing."""
    model = known_cycle_model(board)
    if model is not None:
        return model
    if board.core not in TIMED_CORES:
        message = f"there are no timings of {board.core}, so that cycles can't be estimated"
        hint = f"take a board with {' or '.join(TIMED_CORES)}"
        if board.emulation_target is not None:
            hint += f", or count instructions alone: --on {board.emulation_target}"
    else:
        message = "the board's file does not say how long the processor waits for its flash"
        hint = "add [flash_timing] to a copy of it, as boards/README.md describes"
    raise McukitError("no-timings", message, where=board.id, hint=hint, exit_code=2)

# SPDX-License-Identifier: Apache-2.0
"""How much memory there is, and a clear word when that is not enough."""

from __future__ import annotations

__all__ = ["Budget"]

from dataclasses import dataclass

from mcukit.boards import Board
from mcukit.errors import McukitError, Problem
from mcukit.planning.plan import Plan
from mcukit.planning.region_budget import RegionBudget
from mcukit.quantities import counted
from mcukit.workflow.options import QuantizeOptions


@dataclass(frozen=True)
class Budget:
    """Bytes; None where nothing was said.

    regions, weight_regions: of the board, fastest first; None without a board, or where sizes were given instead.
    """

    sram: int | None
    flash: int | None
    regions: tuple[RegionBudget, ...] | None = None
    weight_regions: tuple[RegionBudget, ...] | None = None

    @classmethod
    def of(cls, options: QuantizeOptions, board: Board | None) -> Budget:
        """The options go before the board."""
        return cls(
            options.sram if options.sram is not None else board.sram_bytes if board else None,
            options.flash if options.flash is not None else board.flash_bytes if board else None,
            board.arena_regions if board and options.sram is None else None,
            board.weight_regions if board and options.sram is None and options.flash is None else None,
        )

    def check_sram(self, plan: Plan) -> None:
        """Raises McukitError "budget-exceeded" for a plan that was given; those that are searched fit."""
        sizes = {region.name: region.bytes for region in self.regions or ()}
        if sizes and plan.arenas.keys() <= sizes.keys():
            problems = [
                _exceeded(f"arena in region '{name}'", needed, sizes[name])
                for name, needed in plan.arenas.items()
                if needed > sizes[name]
            ]
        else:
            fits = self.sram is None or plan.arena_bytes <= self.sram
            problems = [] if fits else [_exceeded("plan", plan.arena_bytes, self.sram or 0)]
        if problems:
            raise McukitError.collect(problems)

    def sram_for(self, plan: Plan) -> int | None:
        """The bytes that a plan may have: of the regions that it uses, where these are known."""
        sizes = {region.name: region.bytes for region in self.regions or ()}
        if sizes and plan.arenas.keys() <= sizes.keys():
            return sum(sizes[name] for name in plan.arenas) or self.sram
        return self.sram

    def check_flash(self, weight_bytes: int, code_bytes: int | None) -> None:
        """Raises McukitError "budget-exceeded". code_bytes: None where it was not measured."""
        needed = weight_bytes + (code_bytes or 0)
        if self.flash is None or needed <= self.flash:
            return
        parts = "weights" if code_bytes is None else f"weights and {code_bytes:,} of code"
        raise McukitError(
            "budget-exceeded",
            f"it takes {needed:,} bytes of flash ({weight_bytes:,} of {parts}) and the budget is {self.flash:,}",
            hint="choose more flash or a smaller network; weights of fewer bits take less: --bits auto --bitops 2",
        )


def _exceeded(what: str, needed: int, budget: int) -> Problem:
    return Problem(
        "budget-exceeded",
        f"the {what} needs {needed:,} bytes of SRAM and the budget is {budget:,}: "
        f"{counted(needed - budget, 'byte')} too many",
        where="--plan",
        hint="let mcukit search for a plan that fits: --plan auto",
    )

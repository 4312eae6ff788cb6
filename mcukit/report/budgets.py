# SPDX-License-Identifier: Apache-2.0
"""What a comparison with budgets looks like to a person at a terminal."""

from __future__ import annotations

__all__ = ["budget_view"]

from typing import TYPE_CHECKING

from mcukit.report.blocks import Block, Column, Line, Table
from mcukit.report.units import percent, ratio, short_name

if TYPE_CHECKING:
    from mcukit.workflow.check import BudgetCheck, BudgetResult

_TITLES = {
    "sram": "SRAM bytes",
    "flash": "flash bytes",
    "instructions": "instructions",
    "stack": "stack bytes",
    "arena": "arena bytes",
    "weights": "weight bytes",
    "l2r": "output L2r",
}


def budget_view(check: BudgetCheck) -> list[Block]:
    """All budgets, then what takes most of each one that is exceeded."""
    columns = (
        Column("budget"),
        Column("used", right=True),
        Column("limit", right=True),
        Column("share", right=True),
        Column(""),
    )
    rows = tuple(
        (
            _TITLES[result.name],
            _number(result.used),
            _number(result.limit),
            percent(100 * result.used / result.limit),
            "" if result.passed else "TOO MUCH",
        )
        for result in check.results
    )
    counted = f", counted on {check.target}" if check.target else ""
    blocks: list[Block] = [Table(columns, rows), Line("")]
    if check.passed:
        return [*blocks, Line(f"within all budgets{counted}", "good")]
    for result in check.results:
        if not result.passed:
            blocks += _exceeded(result)
    broken = sum(not result.passed for result in check.results)
    return [*blocks, Line(f"{broken} of {len(check.results)} budgets exceeded{counted}", "bad")]


def _exceeded(result: BudgetResult) -> list[Block]:
    """One line that says by how much, and one for each of the largest parts."""
    parts = [Line(f"  {_number(part.value)}  {_short(part.name)}") for part in result.contributors]
    return [Line(f"{_TITLES[result.name]}: {_number(result.excess)} too much", "bad"), *parts]


def _short(name: str) -> str:
    """Names in quotation marks are cut short inside of them."""
    kind, mark, rest = name.partition("'")
    return f"{kind}'{short_name(rest.removesuffix(mark))}'" if mark else name


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else ratio(value)

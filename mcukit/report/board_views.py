# SPDX-License-Identifier: Apache-2.0
"""What boards say and take, for a person at a terminal."""

from __future__ import annotations

__all__ = ["bench_view", "comparison_view", "flash_view"]

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mcukit.bench.result import Clock, clock_of
from mcukit.report.banner import banner_facts
from mcukit.report.blocks import Block, Column, Facts, Line, Table
from mcukit.report.units import ABSENT, count, short_name, size

if TYPE_CHECKING:
    from mcukit.bench.compare import Change, Comparison
    from mcukit.bench.result import BenchResult
    from mcukit.workflow.flash import Flashed


def flash_view(flashed: Flashed) -> list[Block]:
    """What was flashed where, in the board's own words."""
    board = flashed.board
    facts = [
        *banner_facts(board.banner),
        ("arena", size(board.arena_bytes)),
        ("counter", clock_of(flashed.port, board.banner).meaning(board.ticks_per_second)),
    ]
    if not flashed.keeps_input:
        facts.append(("input", "no room for a copy: it is sent again for each inference"))
    if flashed.image is not None:
        facts.append(("image", str(flashed.image)))
    return [Line(f"{flashed.port} runs this build", "good"), Facts(tuple(facts))]


def bench_view(result: BenchResult) -> list[Block]:
    """Ticks of each layer with its share, then the whole. Columns without any figure are left out."""
    rows = [(layer.name, layer.op, layer.ticks.median, layer.instructions) for layer in result.layers]
    rows.append(("(between layers)", "", result.between_layers, None))
    ticks = [row[2] for row in rows]
    columns: list[tuple[Column, list[str]]] = [
        (Column("layer"), [short_name(row[0]) for row in rows]),
        (Column("operator", whole=True), [row[1] for row in rows]),
        (Column("ticks", right=True), [count(value) for value in ticks]),
        (Column("us", right=True), [_microseconds(result.microseconds(value)) for value in ticks]),
        (Column("instructions", right=True), [count(result.instructions(value)) for value in ticks]),
        (Column("share", right=True), [f"{100 * result.share(value):.1f} %" for value in ticks]),
    ]
    if result.clock is Clock.BOARD:
        columns += [
            (Column("emulator's count", right=True), [count(row[3]) for row in rows]),
            (Column("ticks each", right=True), [_quotient(row[2], row[3]) for row in rows]),
        ]
    elif result.clock is Clock.INSTRUCTIONS:
        target = "the build's core" if result.estimate is None else result.estimate.target
        columns.append((Column(f"counted on {target}", right=True), [count(row[3]) for row in rows]))
    shown = [(column, texts) for column, texts in columns if any(text != ABSENT for text in texts)]
    table = Table(tuple(column for column, _ in shown), tuple(zip(*(texts for _, texts in shown), strict=True)))
    return [table, Line(""), Facts(tuple(_bench_facts(result)))]


def _bench_facts(result: BenchResult) -> list[tuple[str, str]]:
    total, estimate = result.total, result.estimate
    facts = [("inference", f"{count(total.median)} ticks, the median of {result.runs} ({_spread(result)})")]
    if result.clock is Clock.BOARD:
        facts.append(("latency", f"{_microseconds(result.microseconds(total.median))} us on this board"))
    elif result.clock is Clock.COMPUTER:
        facts.append(("time", f"{_microseconds(result.microseconds(total.median))} us on this computer"))
    elif result.clock is Clock.INSTRUCTIONS:
        facts.append(("instructions", count(result.instructions(total.median))))
    facts.append(("ticks are", result.clock.meaning(result.ticks_per_second)))
    if estimate is not None:
        text = f"{count(estimate.instructions)} instructions on {estimate.target}, for an input of zeros, without hooks"
        facts += [("counted for the build", text), ("counted with", estimate.compiler)]
        if result.clock is Clock.BOARD:
            facts.append(("ticks per instruction", _quotient(total.median, estimate.instructions)))
    return [*facts, *banner_facts(result.banner)]


def comparison_view(comparison: Comparison) -> list[Block]:
    """What changed per layer and in all, and what else was different."""
    columns = (
        Column("layer" if comparison.same_network else ""),
        Column(f"before, {comparison.unit}", right=True),
        Column(f"after, {comparison.unit}", right=True),
        Column("change", right=True),
    )
    changes = (*comparison.layers, comparison.total)
    table = Table(columns, tuple(_change_row(change, comparison.unit) for change in changes))
    blocks: list[Block] = [table, Line("")]
    if not comparison.same_network:
        blocks += [Line("the networks differ: only their totals are compared, not their layers", "warning"), Line("")]
    if not comparison.configuration:
        return [*blocks, Line("both were measured with the same firmware on the same kind of board")]
    differences: Sequence[tuple[str, str, str]] = [
        (change.name, change.before, change.after) for change in comparison.configuration
    ]
    heads = (Column("also different", whole=True), Column("before"), Column("after"))
    return [*blocks, Table(heads, tuple(differences))]


def _change_row(change: Change, unit: str) -> tuple[str, str, str, str]:
    def shown(value: float | None) -> str:
        return _microseconds(value) if unit == "microseconds" else count(None if value is None else round(value))

    return short_name(change.name), shown(change.before), shown(change.after), _percent(change.percent)


def _percent(value: float | None) -> str:
    if value is None:
        return ABSENT
    # Without this, next to nothing less is written "-0.0 %".
    return f"{value:+.1f} %" if abs(value) >= 0.05 else "0.0 %"


def _spread(result: BenchResult) -> str:
    total = result.total
    if total.minimum == total.maximum:
        return "all equal"
    return f"{count(total.minimum)} to {count(total.maximum)}"


def _microseconds(value: float | None) -> str:
    return ABSENT if value is None else f"{value:,.1f}"


def _quotient(ticks: int, instructions: int | None) -> str:
    return f"{ticks / instructions:.2f}" if instructions else ABSENT

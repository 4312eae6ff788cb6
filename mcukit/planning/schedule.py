# SPDX-License-Identifier: Apache-2.0
"""The order of all kernel calls: what generated C does, as data."""

from __future__ import annotations

__all__ = ["Call", "partition", "schedule", "stage_calls"]

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mcukit.errors import McukitError, Problem
from mcukit.planning.branch_stage import check_branch_stage
from mcukit.planning.dataflow import INPUT, Dataflow
from mcukit.planning.plan import Halo, Stage
from mcukit.planning.tiles import StageTiles, stage_tiles


@dataclass(frozen=True)
class Call:
    """Rows [first_row, last_row) of a layer's output, in the columns that the tile has.

    stage: its position in the plan. layer: position in Dataflow.layers; INPUT where the application hands over a row
    of the input. tile: row and column of the stage's grid.
    """

    stage: int
    layer: int
    tile: tuple[int, int]
    first_row: int
    last_row: int


def partition(flow: Dataflow, stages: Sequence[Stage], pushed: bool) -> tuple[StageTiles, ...]:
    """The stages with the regions of their tiles.

    Raises McukitError "bad-stage" with everything that is wrong: the stages must hold every layer once and in order.
    """
    problems: list[Problem] = []
    named = [name for stage in stages for name in stage.layers]
    expected = [layer.name for layer in flow.layers]
    if named != expected or any(not stage.layers for stage in stages):
        raise McukitError.collect(_misplaced(named, expected))
    check_branch_stage(flow, stages[0] if stages else None, pushed)
    result, first = [], 0
    for stage in stages:
        last = first + len(stage.layers)
        try:
            result.append(stage_tiles(flow, first, last, stage))
        except McukitError as error:
            problems.extend(error.problems)
        first = last
    if pushed and not problems:
        problems.extend(_unpushable(flow, result))
    if problems:
        raise McukitError.collect(problems)
    return tuple(result)


def schedule(flow: Dataflow, stages: Sequence[StageTiles], pushed: bool) -> tuple[Call, ...]:
    """All calls of one inference, in order."""
    return tuple(
        call for index, tiles in enumerate(stages) for call in stage_calls(flow, tiles, index, pushed and index == 0)
    )


def stage_calls(flow: Dataflow, tiles: StageTiles, stage: int, pushed: bool) -> Iterator[Call]:
    """The calls of one stage. pushed: whether the rows of the network's input arrive while it runs."""
    for tile, regions in tiles.regions.items():
        if tiles.stage.halo is Halo.KEPT:
            computes = [region.pixels > 0 for region in regions]
            for position, row in _advance(flow, tiles, tile, pushed):
                if position is None or computes[position]:
                    yield Call(stage, INPUT if position is None else tiles.first + position, tile, row, row + 1)
        else:
            for position, region in enumerate(regions):
                if region.pixels:
                    yield Call(stage, tiles.first + position, tile, region.first_row, region.last_row)


def _advance(
    flow: Dataflow, tiles: StageTiles, tile: tuple[int, int], pushed: bool
) -> Iterator[tuple[int | None, int]]:
    """Positions and rows in the order of streaming; None for a row of the input that the application hands over.

    It is always the turn of the last layer whose next row can be computed. So a row is made only when nothing that
    comes after it can go on without it, and the rings stay as short as the windows of their readers.
    """
    layers = range(len(tiles.rows[0]))
    # A layer whose tile has rows but no columns takes part, as it does in C, and computes nothing.
    stops = [last for _, last in tiles.rows[tile[0]]]
    # The last number is for rows of the input, which arrive when nothing can go on without them.
    done = [*(first for first, _ in tiles.rows[tile[0]]), 0]
    height = flow.shape(flow.model.input.name)[0] if pushed else 0
    needs = [_needs(flow, tiles, position, pushed) for position in layers]
    last_reader = [*layers, -1]
    for position in layers:
        for source, _ in needs[position]:
            last_reader[source] = position
    if pushed:
        # Nothing happens before the first row comes, not even what needs none of it.
        yield None, 0
        done[-1] = 1
    turn = len(layers) - 1
    while True:
        while turn >= 0 and not _is_ready(done, stops, needs, turn):
            turn -= 1
        if turn < 0 and done[-1] == height:
            break
        yield (turn if turn >= 0 else None), done[turn]
        done[turn] += 1
        # No other layer than its readers can be ready because of this row, and nothing behind them was ready before.
        turn = last_reader[turn]
    if any(rows < stop for rows, stop in zip(done, stops, strict=False)):
        raise AssertionError(f"the stage of {tiles.stage.layers} stopped at rows {done} of {stops}")


def _is_ready(done: list[int], stops: list[int], needs: list[list[tuple[int, tuple[int, ...]]]], position: int) -> bool:
    """Whether a layer has a next row and all that this needs."""
    row = done[position]
    if row >= stops[position]:
        return False
    for source, rows in needs[position]:  # noqa: SIM110 - a search asks this millions of times
        if rows[row] > done[source]:
            return False
    return True


def _needs(flow: Dataflow, tiles: StageTiles, position: int, pushed: bool) -> list[tuple[int, tuple[int, ...]]]:
    """Sources that advance with the stage, and how many of their rows each row of the layer waits for.

    A source is the position of a layer in the stage; -1 is the input where its rows are pushed.
    """
    needs: list[tuple[int, tuple[int, ...]]] = []
    for source in flow.sources[tiles.first + position]:
        producer = flow.producer[source.map]
        if producer >= tiles.first:
            needs.append((producer - tiles.first, source.last_rows))
        elif producer == INPUT and pushed:
            needs.append((-1, source.last_rows))
    return needs


def _misplaced(named: Sequence[str], expected: Sequence[str]) -> list[Problem]:
    """Why the stages don't hold the model's layers."""
    problems = [
        Problem(
            "bad-stage",
            "the network has no such layer",
            where=name,
            hint="take the names from plan.json or report.json",
        )
        for name in dict.fromkeys(named)
        if name not in set(expected)
    ]
    problems += [
        Problem("bad-stage", "the layer is in no stage", where=name, hint="every layer belongs to one stage")
        for name in expected
        if name not in set(named)
    ]
    problems += [
        Problem("bad-stage", "the layer is in the stages more than once", where=name, hint="name it once")
        for name in dict.fromkeys(named)
        if named.count(name) > 1
    ]
    if not problems:
        name = next((a for a, b in zip(named, expected, strict=True) if a != b), "")
        reason = "the layer does not stand where the network has it" if name else "there is a stage without layers"
        problems.append(
            Problem("bad-stage", reason, where=name, hint="keep the order of the layers, and no empty stage")
        )
    return problems


def _unpushable(flow: Dataflow, stages: Sequence[StageTiles]) -> list[Problem]:
    """Why the input can't arrive row by row."""
    name = flow.model.input.name
    if not stages or stages[0].stage.schedule != "stream":
        reason = "rows of the input can be pushed into a first stage only that streams"
        return [Problem("bad-stage", reason, where=name, hint="begin the plan with a streaming stage")]
    problems = [
        Problem(
            "bad-stage",
            "it reads the input after the first stage, but rows that were pushed are gone by then",
            where=flow.layers[reader].name,
            hint="let the first stage reach as far as this layer",
        )
        for reader in flow.readers[name]
        if reader >= stages[0].last
    ]
    if name in flow.viewed or name in flow.outputs:
        reason = "the input is reshaped or is an output, so that all of it must be held"
        problems.append(Problem("bad-stage", reason, where=name, hint="give the input whole"))
    return problems

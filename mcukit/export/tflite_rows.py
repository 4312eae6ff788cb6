# SPDX-License-Identifier: Apache-2.0
"""Tiles of whole rows, not all of the same height.

While the first tile of a stage runs all of its input is still there; each tile that follows finds more memory free. So
tiles may grow from one to the next.
"""

from __future__ import annotations

__all__ = ["RowStage", "row_bounds", "row_tiles"]

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mcukit.errors import McukitError
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import Stage
from mcukit.planning.tiles import Span, StageTiles, stage_tiles


@dataclass(frozen=True)
class RowStage(Stage):
    """A stage whose tiles begin at given rows of its last layer's output.

    row_starts: ascending from 0, `tile_rows` of them; none where all tiles are alike. upwards: whether the last rows
    are computed first. Only .tflite files have such stages.
    """

    row_starts: tuple[int, ...] = ()
    upwards: bool = False


def row_bounds(stage: Stage, height: int) -> tuple[tuple[int, ...], int]:
    """Where tiles begin, and at last end, in parts of the height of the stage's outgoing maps, and how many parts."""
    if isinstance(stage, RowStage) and stage.row_starts:
        return (*stage.row_starts, height), height
    return tuple(range(stage.tile_rows + 1)), stage.tile_rows


def row_tiles(flow: Dataflow, tiles: StageTiles) -> StageTiles:
    """A stage of equal tiles with those that its `row_starts` ask for instead. Raises McukitError "bad-stage"."""
    stage = tiles.stage
    if not isinstance(stage, RowStage) or not stage.row_starts:
        return tiles
    last = flow.layers[tiles.last - 1]
    height = flow.shape(last.output)[0]
    bounds, _ = row_bounds(stage, height)
    ascends = all(begin < end for begin, end in itertools.pairwise(bounds))
    if bounds[0] != 0 or not ascends or len(stage.row_starts) != stage.tile_rows or stage.tile_columns != 1:
        message = f"tiles can't begin at the rows {list(stage.row_starts)} of {height}"
        hint = f"give {stage.tile_rows} rows that ascend from 0, and one column of tiles"
        raise McukitError("bad-stage", message, where=last.name, hint=hint)
    single = stage_tiles(flow, tiles.first, tiles.last, Stage(stage.layers, height))
    rows, inputs = [], []
    for begin, end in itertools.pairwise(bounds):
        rows.append(tuple(_hull(spans) for spans in zip(*single.rows[begin:end], strict=True)))
        inputs.append(_hulls(single.input_rows[begin:end]))
    return replace(tiles, rows=tuple(rows), input_rows=tuple(inputs))


def _hulls(rows: Sequence[Mapping[str, Span]]) -> dict[str, Span]:
    return {name: _hull([spans[name] for spans in rows]) for name in rows[0]}


def _hull(spans: Sequence[Span]) -> Span:
    """From the first row of all to the last."""
    filled = [span for span in spans if span[0] < span[1]]
    return (min(first for first, _ in filled), max(last for _, last in filled)) if filled else (0, 0)

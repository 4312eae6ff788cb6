# SPDX-License-Identifier: Apache-2.0
"""Stages as the templates of generated C print them: the loops over tiles and rows around the layers."""

from __future__ import annotations

__all__ = ["stage_context"]

from collections.abc import Sequence
from typing import Any

from mcukit.export.c_names import ModelNames
from mcukit.planning.dataflow import INPUT, Dataflow
from mcukit.planning.plan import Halo
from mcukit.planning.tiles import Span, StageTiles


def stage_context(flow: Dataflow, names: ModelNames, tiles: StageTiles, number: int, pushed: bool) -> dict[str, Any]:
    """pushed: whether the rows of the network's input arrive while the stage runs."""
    kept = tiles.stage.halo is Halo.KEPT
    needs: list[dict[str, str]] = []
    advances = [_advance(flow, names, tiles, index, pushed, needs) for index in range(tiles.first, tiles.last)]
    return {
        "number": number,
        "schedule": tiles.stage.schedule,
        "tile_rows": tiles.stage.tile_rows,
        "tile_columns": tiles.stage.tile_columns,
        "pushed": pushed,
        "calls": [] if kept else _calls(names.layers[tiles.first :], tiles),
        "rows": [[f"{{{first}, {last}}}" for first, last in spans] for spans in tiles.rows],
        "advances": [advance for advance in advances if kept and advance["rows"]],
        "idle": [advance["idle"] for advance in advances if kept and not advance["rows"]],
        "needs": needs if kept else [],
        "narrow": _narrow_context(flow, names, tiles) if number == 0 and flow.narrow else None,
    }


def _narrow_context(flow: Dataflow, names: ModelNames, tiles: StageTiles) -> dict[str, Any]:
    """How a tile finds out which form it takes, and what it then runs."""
    branches = flow.model.branches
    if branches is None:
        raise ValueError("the model has no branches")
    row = "row" if tiles.stage.tile_rows > 1 else "0"
    column = "tile" if tiles.stage.tile_columns > 1 else "0"
    source = flow.model.input.name
    parts = [
        [tiles.inputs[r, c][source] for c in range(tiles.stage.tile_columns)] for r in range(tiles.stage.tile_rows)
    ]
    counts = branches.test.counts if branches.test else ()
    return {
        "calls": _calls(names.narrow, tiles),
        "test": branches.test,
        "condition": f"!mk_has_outliers(&parts[{row}][{column}], {branches.test.low}, {branches.test.high}, &input_map)"
        if branches.test
        else f"!wide[{row}][{column}]",
        "parts": [
            [
                f"{{{p.first_row}, {p.last_row}, {p.first_column}, {p.last_column}, {count}}}"
                for p, count in zip(line, counts[r * len(line) : (r + 1) * len(line)], strict=True)
            ]
            for r, line in enumerate(parts)
        ]
        if branches.test
        else [],
        "wide": [
            ", ".join(str(int((r, c) in branches.wide)) for c in range(tiles.stage.tile_columns))
            for r in range(tiles.stage.tile_rows)
        ],
    }


def _calls(identifiers: Sequence[str], tiles: StageTiles) -> list[str]:
    """The layers of one tile, by identifier. Where there are rows of tiles, a table has the rows of each layer."""
    tile = "tile, " if tiles.stage.tile_columns > 1 else ""
    if tiles.stage.tile_rows == 1:
        return [
            f"run_{identifier}({tile}{first}, {last});"
            for identifier, (first, last) in zip(identifiers, tiles.rows[0], strict=False)
        ]
    return [
        f"run_{identifiers[position]}({tile}rows[row][{position}][0], rows[row][{position}][1]);"
        for position in range(tiles.last - tiles.first)
    ]


def _advance(
    flow: Dataflow, names: ModelNames, tiles: StageTiles, index: int, pushed: bool, tables: list[dict[str, str]]
) -> dict[str, Any]:
    """One layer of a stage whose rows advance: from which row to which it goes, and what each row waits for."""
    identifier = names.layers[index]
    first, last = tiles.rows[0][index - tiles.first]
    conditions = [f"{identifier}_row < {last}"]
    for source in flow.sources[index]:
        producer = flow.producer[source.map]
        if producer < tiles.first and not (pushed and producer == INPUT):
            continue
        counter = "input_row" if producer == INPUT else f"{names.layers[producer]}_row"
        begin = 0 if producer == INPUT else tiles.rows[0][producer - tiles.first][0]
        waits = [rows[1] for rows in source.rows[first:last]]
        text = _wait(counter, f"{identifier}_row", waits, (first, begin))
        if text is None:
            table = f"{identifier}_needs" if source.position == 0 else f"{identifier}_{source.position}_needs"
            words = ", ".join(str(rows[1]) for rows in source.rows[:last])
            tables.append({"name": table, "length": str(last), "text": words})
            text = f"{counter} >= {table}[{identifier}_row]"
        if text and text not in conditions:
            conditions.append(text)
    tile = "tile, " if tiles.stage.tile_columns > 1 else ""
    return {
        "counter": f"{identifier}_row",
        "rows": last - first,
        "idle": f"run_{identifier}({tile}0, 0);",
        "first": first,
        "condition": " && ".join(conditions),
        "call": f"run_{identifier}({tile}{identifier}_row, (uint16_t)({identifier}_row + 1));",
    }


def _wait(counter: str, row: str, waits: list[int], begins: Span) -> str | None:
    """The condition that `counter` rows are enough for row `row`; "" where they always are, None where no formula fits.

    waits: rows needed, for the rows from begins[0] on. begins[1]: where the counter begins.
    """
    first, begin = begins
    if all(wait <= begin for wait in waits):
        return ""
    if all(wait == first + i + 1 for i, wait in enumerate(waits)):
        return f"{counter} > {row}"
    largest = max(waits)
    if all(wait == largest for wait in waits):
        return f"{counter} >= {largest}"
    for i in range(len(waits) - 1):
        stride = waits[i + 1] - waits[i]
        offset = waits[i] - stride * (first + i)
        fits = [max(0, min((first + k) * stride + offset, largest)) == wait for k, wait in enumerate(waits)]
        if stride > 0 and all(fits):
            return f"{counter} >= mk_rows_needed({row}, {stride}, {offset}, {largest})"
    return None

# SPDX-License-Identifier: Apache-2.0
"""The first layers of a network in tiles of two precisions: each tile takes the wide or the narrow form of its layers.

The forms compute the same maps with other bits; what enters and leaves the stage is the same for both, so that tiles of
either kind stand side by side. Which form a tile takes follows from its position, or from the values of its input.
"""

from __future__ import annotations

__all__ = ["Branches", "OutlierTest", "narrow_form", "narrow_name", "with_branches"]

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mcukit.errors import McukitError, Problem
from mcukit.graph.graph import Graph, Quantization
from mcukit.quantities import counted
from mcukit.quantized.integer import IntegerModel, Layer
from mcukit.quantized.lower import lower

_SUFFIX = " (narrow)"


@dataclass(frozen=True)
class OutlierTest:
    """What a device asks of the part of the map that a tile reads.

    low, high: stored values below `low` or above `high` are outliers. counts: how many of them make a tile wide, for
    each tile, row by row of the grid.
    """

    low: int
    high: int
    counts: tuple[int, ...]

    def finds(self, values: npt.NDArray[np.int8], count: int) -> npt.NDArray[np.bool_]:
        """Whether a tile is wide, for each of (N, ...) parts that it reads. count: of the tile."""
        flat = values.reshape(len(values), -1).astype(np.int16)
        outliers = np.count_nonzero((flat < self.low) | (flat > self.high), axis=1)
        return np.asarray(outliers >= count)


@dataclass(frozen=True, eq=False)
class Branches:
    """The narrow form of a network's first layers.

    graph: these layers alone, quantized; their names, and those of what they compute, end with "(narrow)".
    layers: of this graph, those that compute something: for each of the network's first layers its narrow form.
    tile_rows, tile_columns: the grid. wide: positions (row, column) of tiles that take the wide form.
    test: decides for each image instead of `wide`, which then is empty.
    """

    graph: Graph
    layers: tuple[Layer, ...]
    tile_rows: int
    tile_columns: int
    wide: frozenset[tuple[int, int]]
    test: OutlierTest | None = None

    def count(self, tile: tuple[int, int]) -> int:
        """Outliers that make a tile (row, column) wide, where a test decides."""
        if self.test is None:
            raise ValueError("positions decide which tiles are wide")
        return self.test.counts[tile[0] * self.tile_columns + tile[1]]

    @property
    def grid(self) -> str:
        return f"{self.tile_rows} x {self.tile_columns}"


def narrow_name(name: str) -> str:
    """What the narrow form of a layer or map is called."""
    return name + _SUFFIX


def narrow_form(quantized: Graph, nodes: int) -> Graph:
    """The first `nodes` nodes of a quantized graph, as a graph with the names that narrow forms have."""
    kept = quantized.nodes[:nodes]
    produced = {node.output for node in kept}
    read_later = {name for node in quantized.nodes[nodes:] for name in node.inputs} | set(quantized.outputs)

    def renamed(name: str) -> str:
        return narrow_name(name) if name in produced else name

    tensors = {renamed(name): replace(tensor, name=renamed(name)) for name, tensor in quantized.tensors.items()}
    return Graph(
        quantized.name,
        tensors,
        tuple(
            replace(
                node,
                name=narrow_name(node.name),
                inputs=tuple(renamed(name) for name in node.inputs),
                output=renamed(node.output),
            )
            for node in kept
        ),
        quantized.inputs,
        tuple(renamed(node.output) for node in kept if node.output in read_later),
    ).replace()


def with_branches(
    model: IntegerModel,
    narrow: Graph,
    grid: tuple[int, int],
    wide: Sequence[tuple[int, int]] = (),
    test: OutlierTest | None = None,
) -> IntegerModel:
    """`model` whose first layers have a narrow form too. narrow: what `narrow_form` gives.

    wide: positions of tiles that keep the form that `model` has. test: decides on the device; then `wide` is empty.
    Raises McukitError "bad-branches" where the forms don't fit together.
    """
    lowered = lower(narrow, model.kernels)
    layers = tuple(layer for layer in lowered.layers if layer.kernel is not None)
    if len(layers) != len(lowered.layers):
        raise _bad("a map is seen in another shape among the layers that run in tiles")
    for ours, theirs in zip(model.layers, layers, strict=False):
        if ours.node.operator != theirs.node.operator or narrow_name(ours.name) != theirs.name:
            raise _bad(f"'{theirs.name}' is no form of '{ours.name}'")
    outgoing = {layer.output for layer in layers if layer.output in narrow.outputs}
    for ours, theirs in zip(model.layers, layers, strict=False):
        _check_map(model, narrow, ours.output, theirs.output in outgoing)
    rows, columns = grid
    _check_tiles(rows, columns, wide, test)
    return replace(model, branches=Branches(narrow, layers, rows, columns, frozenset(wide), test))


def _check_tiles(rows: int, columns: int, wide: Sequence[tuple[int, int]], test: OutlierTest | None) -> None:
    """Refuses positions and tests that are not those of a grid of so many tiles; names all that is wrong."""
    wrong = [
        (f"tile ({row}, {column}) lies outside of the grid of {rows} x {columns}", "branches.wide",
         f"rows count from 0 to {rows - 1}, columns from 0 to {columns - 1}")
        for row, column in wide if not (0 <= row < rows and 0 <= column < columns)
    ]  # fmt: skip
    if test is not None:
        if len(test.counts) != rows * columns:
            message = f"{rows} x {columns} tiles have {counted(len(test.counts), 'count')} of outliers"
            wrong.append((message, "branches.test.counts", "give one count for each tile, row by row of the grid"))
        if test.low > test.high:
            message = f"every value is an outlier that is below {test.low} or above {test.high}"
            wrong.append((message, "branches.test", "give a 'low' that is not above 'high'"))
        if wide:
            message = "positions and a test both say which tiles are wide"
            wrong.append((message, "branches", "leave one of the two out"))
    if wrong:
        raise McukitError.collect([Problem("bad-branches", *each) for each in wrong])


def _check_map(model: IntegerModel, narrow: Graph, name: str, leaves: bool) -> None:
    """Refuses another quantization where branches meet, and narrow maps that are wider than the others."""
    ours, theirs = model.graph.tensors[name].quantization, narrow.tensors[narrow_name(name)].quantization
    if not isinstance(ours, Quantization) or not isinstance(theirs, Quantization):
        raise _bad(f"'{name}' is not quantized")
    if leaves and not ours.same_as(theirs):
        raise _bad(f"'{name}' leaves the tiles, and has another scale or other bits in the narrow ones")
    if theirs.bits > ours.bits:
        raise _bad(f"'{name}' has {theirs.bits} bits in narrow tiles and {ours.bits} in the others")


def _bad(reason: str) -> McukitError:
    return McukitError(
        "bad-branches",
        f"the two forms of the tiles don't fit together: {reason}",
        where="branches",
        hint="give the narrow tiles no more bits than the wide ones, and both the same where maps leave the tiles",
    )

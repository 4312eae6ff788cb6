# SPDX-License-Identifier: Apache-2.0
"""One tile of a stage as operators of TFLite: what each reads, pads and computes.

A tile's parts of maps may be larger than what the tile needs. TFLite pads all sides of a map alike, whereas a tile has
padding only where it touches the border of the map: elsewhere padding gives rows and columns that are wrong, and that
nothing which is needed depends on. Carrying these along and cutting them off once is cheaper than a PAD, with a copy of
the map, in front of every window. What a tile needs of a part is always exact, and no part reaches beyond its map.
"""

from __future__ import annotations

__all__ = ["Margins", "Part", "Step", "TileSteps", "part_shape", "tile_steps"]

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from mcukit.errors import McukitError
from mcukit.export.tflite_windows import fit_pad, fit_window
from mcukit.graph.graph import Shape, Tensor, map_shape
from mcukit.graph.region import Region
from mcukit.ops.average_pool import AveragePool
from mcukit.ops.concat import Concat
from mcukit.ops.conv2d import Conv2d
from mcukit.ops.depthwise_conv2d import DepthwiseConv2d
from mcukit.ops.elementwise import BinaryOperator
from mcukit.ops.fully_connected import FullyConnected
from mcukit.ops.lookup import UnaryOperator
from mcukit.ops.max_pool import MaxPool
from mcukit.ops.mean import Mean
from mcukit.ops.operator import Operator
from mcukit.ops.pad import Pad
from mcukit.ops.reshape import Reshape
from mcukit.ops.resize_nearest import ResizeNearest
from mcukit.ops.softmax import Softmax
from mcukit.ops.window import Window
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.tiles import StageTiles
from mcukit.quantized.integer import Layer

Margins = tuple[int, int, int, int]
"""Pixels of the incoming maps at the (top, left, bottom, right) that a tile takes beyond what it needs."""


@dataclass(frozen=True)
class Part:
    """A rectangle of a map, which is a tensor of its own in the file."""

    map: str
    region: Region


@dataclass(frozen=True)
class Step:
    """One operator on parts of maps.

    operator: None where `output` is cut out of the one input. layer: whose constants the operator has; None for a view.
    """

    operator: Operator | None
    layer: Layer | None
    inputs: tuple[Part, ...]
    output: Part


@dataclass(frozen=True)
class TileSteps:
    """steps: in the order in which they run. outgoing: the tile's share of each outgoing map that it has one of."""

    steps: tuple[Step, ...]
    outgoing: Mapping[str, Part]


def tile_steps(
    flow: Dataflow, tiles: StageTiles, tile: tuple[int, int], shares: Mapping[str, Region], margins: Margins
) -> TileSteps:
    """The operators of one tile. shares: of the outgoing maps, what the tile contributes.

    Raises McukitError "unsupported-stage" where TFLite's operators can't compute a part of a map alone.
    """
    writer = _Writer(flow)
    for name, region in tiles.inputs[tile].items():
        if region.pixels:
            whole = Part(name, flow.whole(name))
            writer.held[name] = writer.cut(whole, _with_margins(region, whole.region, tiles, margins))
    for index, region in enumerate(tiles.regions[tile], tiles.first):
        if region.pixels:
            writer.compute(index, region)
    outgoing = {name: writer.cut(writer.held[name], share) for name, share in shares.items() if share.pixels}
    return TileSteps(tuple(writer.steps), outgoing)


def _with_margins(region: Region, whole: Region, tiles: StageTiles, margins: Margins) -> Region:
    top, left, bottom, right = margins
    rows = max(region.first_row - top, 0), min(region.last_row + bottom, whole.last_row)
    if tiles.stage.tile_columns == 1:
        # TFLite's padding of whole rows is right only where all of their columns are there.
        return Region(*rows, 0, whole.last_column)
    return Region(*rows, max(region.first_column - left, 0), min(region.last_column + right, whole.last_column))


@dataclass(frozen=True)
class _Task:
    """A layer to write: what there is of its inputs, what it needs of them, and what is needed of its output."""

    layer: Layer
    operator: Operator
    parts: tuple[Part, ...]
    wanted: tuple[Region, ...]
    needed: Region


@dataclass(eq=False)
class _Writer:
    """held: the part that there is of each map. cuts: parts that were cut out already, for other readers."""

    flow: Dataflow
    held: dict[str, Part] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    cuts: dict[Part, Part] = field(default_factory=dict)

    def cut(self, part: Part, region: Region) -> Part:
        """`region` of a part that contains it."""
        wanted = Part(part.map, region)
        if wanted != part and wanted not in self.cuts:
            self.steps.append(Step(None, None, (part,), wanted))
            self.cuts[wanted] = wanted
        return wanted

    def compute(self, index: int, needed: Region) -> None:
        """The part of a layer's output that contains `needed`."""
        layer = self.flow.layers[index]
        sources = self.flow.sources[index]
        tensors = self.flow.model.graph.node_inputs(layer.node)
        positions = [position for position, tensor in enumerate(tensors) if tensor.data is None]
        parts, wanted = [], []
        for source, position in zip(sources, positions, strict=True):
            if source.map not in self.held:
                _refuse(layer, f"a tile reads nothing but padding of its input '{source.map}'", _SMALLER_GRID)
            part = self.held[source.map]
            for view in reversed(source.views):
                part = self._seen_as(view, part, layer)
            region = layer.node.operator.input_region(needed, tensors, position)
            if region.pixels and region.hull(part.region) != part.region:
                raise AssertionError(f"'{layer.name}' reads {region} of '{source.map}', the tile has {part.region}")
            parts.append(part)
            wanted.append(region)
        rule = next((rule for kinds, rule in _RULES if isinstance(layer.node.operator, kinds)), None)
        if rule is None:
            hint = "let the tiled stage end before it"
            _refuse(layer, f"{layer.node.operator.op_name} in tiles has no form in TFLite yet", hint)
        self.held[layer.output] = rule(self, _Task(layer, layer.node.operator, tuple(parts), tuple(wanted), needed))

    def add(self, layer: Layer, operator: Operator, inputs: Sequence[Part], region: Region) -> Part:
        output = Part(layer.output, region)
        self.steps.append(Step(operator, layer, tuple(inputs), output))
        return output

    def _seen_as(self, view: Layer, part: Part, reader: Layer) -> Part:
        """A part of a map under the shape of a view. Pixels stay pixels, or the whole map is there."""
        tensors = self.flow.model.graph.tensors
        source, target = tensors[view.inputs[0]], tensors[view.output]
        if map_shape(source.shape)[:2] == map_shape(target.shape)[:2]:
            region = part.region
        elif part.region == self.flow.whole(source.name):
            region = self.flow.whole(target.name)
        else:
            reason = f"it reads '{view.output}', another shape of '{source.name}', of which a tile has a part only"
            _refuse(reader, reason, "let the tiled stage end before it")
        seen = Part(view.output, region)
        if seen not in self.cuts:
            self.steps.append(Step(Reshape(part_shape(target, region)), None, (part,), seen))
            self.cuts[seen] = seen
        return seen


_SMALLER_GRID = "use a grid with fewer tiles, or end the stage at an earlier layer"


def part_shape(tensor: Tensor, region: Region) -> Shape:
    """The shape of a part of a map, with the map's rank."""
    channels = tensor.shape[-1]
    inner = (region.rows, region.columns, channels)
    return (1, *inner[4 - len(tensor.shape) :]) if len(tensor.shape) > 1 else (channels,)


def _refuse(layer: Layer, message: str, hint: str) -> NoReturn:
    raise McukitError("unsupported-stage", message, where=f"{layer.name} ({layer.node.operator.op_name})", hint=hint)


_Rule = Callable[[_Writer, _Task], Part]
"""Adds the steps of a layer and gives the part of its output that they compute."""


def _window(writer: _Writer, task: _Task) -> Part:
    operator = task.operator
    if not isinstance(operator, Conv2d | DepthwiseConv2d | MaxPool | AveragePool):
        raise TypeError(f"{operator.op_name} has no window")
    outputs = writer.flow.shape(task.layer.output)[:2]
    may_pad = not isinstance(operator, AveragePool)
    for region in _cuts(task.parts[0].region, task.wanted[0]):
        fit = fit_window(operator.window, region, task.needed, outputs, may_pad=may_pad)
        if fit is not None:
            fitted = replace(operator, window=replace(operator.window, pads=fit.pads))
            return writer.add(task.layer, fitted, [writer.cut(task.parts[0], region)], fit.region)
    reason = "TFLite has no padding that doesn't count for the sides at which this tile touches the border"
    _refuse(task.layer, reason, "use another grid, or end the stage before it")


def _cuts(held: Region, wanted: Region) -> Iterator[Region]:
    """Parts that a window may be given: all that is held, then as little as possible and a little more each time."""
    yield held
    if not wanted.pixels:
        return
    for top, left, bottom, right in itertools.product(range(_MOST_EXTRA + 1), repeat=4):
        region = Region(
            max(wanted.first_row - top, held.first_row),
            min(wanted.last_row + bottom, held.last_row),
            max(wanted.first_column - left, held.first_column),
            min(wanted.last_column + right, held.last_column),
        )
        yield region


def _pad(writer: _Writer, task: _Task) -> Part:
    operator = task.operator
    if not isinstance(operator, Pad):
        raise TypeError(f"{operator.op_name} is not Pad")
    fit = fit_pad(operator.pads, task.parts[0].region, task.needed)
    return writer.add(task.layer, replace(operator, pads=fit.pads), task.parts, fit.region)


def _resize(writer: _Writer, task: _Task) -> Part:
    """A resize of a part where that picks the same pixels; a pool of single pixels where some are left out evenly."""
    operator = task.operator
    if not isinstance(operator, ResizeNearest):
        raise TypeError(f"{operator.op_name} is not ResizeNearest")
    source = writer.flow.model.graph.tensors[task.parts[0].map]
    part = writer.cut(task.parts[0], task.wanted[0])
    picked, output = _picked(operator, source, part.region)
    resized = replace(operator, size=(output.rows, output.columns))
    alone = Tensor(source.name, part_shape(source, part.region))
    if all(np.array_equal(resized.source_indices([alone], axis), picked[axis]) for axis in (0, 1)):
        return writer.add(task.layer, resized, [part], output)
    steps = [np.unique(np.diff(indices, prepend=indices[0] - 1)[1:]) for indices in picked]
    if all(len(step) <= 1 and step.min(initial=1) > 0 for step in steps):
        pool = MaxPool(Window((1, 1), (int(steps[0].max(initial=1)), int(steps[1].max(initial=1)))))
        return writer.add(task.layer, pool, [part], output)
    _refuse(task.layer, "a part of its input, resized alone, gives other pixels", "let the tiled stage end before it")


def _picked(operator: ResizeNearest, source: Tensor, part: Region) -> tuple[list[npt.NDArray[np.int64]], Region]:
    """Which rows and columns of a part become pixels of the output, and which pixels these are."""
    picked, spans = [], []
    for axis, (first, last) in enumerate(
        ((part.first_row, part.last_row), (part.first_column, part.last_column)),
    ):
        indices = operator.source_indices([source], axis)
        begin, end = int(np.searchsorted(indices, first)), int(np.searchsorted(indices, last))
        picked.append(indices[begin:end] - first)
        spans += [begin, end]
    return picked, Region(*spans)


def _pixels(writer: _Writer, task: _Task) -> Part:
    """What computes each pixel from the same pixel of its inputs, or from the only one that they have."""
    heights = [writer.flow.shape(part.map)[0] for part in task.parts]
    widths = [writer.flow.shape(part.map)[1] for part in task.parts]
    height, width, _ = writer.flow.shape(task.layer.output)
    common = writer.flow.whole(task.layer.output)
    for part, rows, columns in zip(task.parts, heights, widths, strict=True):
        if rows == height:
            first, last = max(common.first_row, part.region.first_row), min(common.last_row, part.region.last_row)
            common = replace(common, first_row=first, last_row=last)
        if columns == width:
            first = max(common.first_column, part.region.first_column)
            common = replace(common, first_column=first, last_column=min(common.last_column, part.region.last_column))
    if height not in heights:
        common = replace(common, first_row=task.needed.first_row, last_row=task.needed.last_row)
    if width not in widths:
        common = replace(common, first_column=task.needed.first_column, last_column=task.needed.last_column)
    operands = [
        writer.cut(part, Region(*_along(common, 0, rows == height), *_along(common, 1, columns == width)))
        for part, rows, columns in zip(task.parts, heights, widths, strict=True)
    ]
    return writer.add(task.layer, task.operator, operands, common)


def _along(region: Region, axis: int, varies: bool) -> tuple[int, int]:
    if not varies:
        return 0, 1
    return (region.first_column, region.last_column) if axis else (region.first_row, region.last_row)


def _whole(writer: _Writer, task: _Task) -> Part:
    """What reads all of its input: every tile has all of it then."""
    return writer.add(task.layer, task.operator, task.parts, writer.flow.whole(task.layer.output))


_MOST_EXTRA = 2
"""Pixels beyond the needed ones that a window may be given on each side to come into step with its stride."""

_RULES: tuple[tuple[tuple[type[Operator], ...], _Rule], ...] = (
    ((Conv2d, DepthwiseConv2d, MaxPool, AveragePool), _window),
    ((UnaryOperator, BinaryOperator, Concat, Softmax), _pixels),
    ((Pad,), _pad),
    ((ResizeNearest,), _resize),
    ((FullyConnected, Mean), _whole),
)

# SPDX-License-Identifier: Apache-2.0
"""Patch-based inference in TensorFlow Lite Micro as it is: a .tflite file whose first operators run tile by tile.

Slices cut what a tile needs out of a map, the operators of the network compute the tile, and concatenations put the
tiles together: operators that every interpreter has, with the same bytes at the output. Weights are in the file once.
"""

from __future__ import annotations

__all__ = ["build_patched_tflite", "redundant_macs", "stage_model"]

import itertools
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from mcukit.errors import McukitError
from mcukit.export.tflite import TfliteBuilder, add_operator
from mcukit.export.tflite_choice import add_choice, add_chosen
from mcukit.export.tflite_memory import with_memory_plan
from mcukit.export.tflite_rows import RowStage, row_bounds, row_tiles
from mcukit.export.tflite_tiles import Margins, Part, Step, TileSteps, part_shape, tile_steps
from mcukit.graph.graph import Shape, Tensor, map_shape
from mcukit.graph.region import Region
from mcukit.ops.conv2d import Conv2d
from mcukit.ops.depthwise_conv2d import DepthwiseConv2d
from mcukit.ops.elementwise import BinaryOperator
from mcukit.ops.max_pool import MaxPool
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import Stage
from mcukit.planning.schedule import partition
from mcukit.planning.tiles import StageTiles, tile_macs
from mcukit.quantized.branches import narrow_name
from mcukit.quantized.integer import IntegerModel, Layer
from mcukit.tflite import schema
from mcukit.tflite.enums import BuiltinOperator
from mcukit.tflite.options import ConcatenationOptions, SliceOptions

_BYTES_PER_OPERATOR = 320
"""What an operator with its output costs in the arena's tail on a 64-bit host, about: the price of one more step."""

_TFLM_INPUTS = 10
"""TensorFlow Lite Micro concatenates at most this many tensors in one operator."""

_MOST_MARGIN = 3
"""Pixels beyond what a tile needs that it may take of its input, at each side, to save steps."""


def build_patched_tflite(model: IntegerModel, stages: Sequence[Stage], *, memory_plan: bool = True) -> schema.Model:
    """The network as a .tflite file in which the stages with a grid run tile by tile.

    stages: those of a plan, or the first of them, or RowStages; all layers that follow run whole, as do stages without
    a grid.
    memory_plan: whether the file says where tensors lie, which saves more than TensorFlow Lite Micro's own planner, as
    rows of a map are used again when they were cut out for the last time.

    Raises McukitError "bad-stage" and, where a tile can't be written with TFLite's operators, "unsupported-stage".
    """
    flow = Dataflow(model)
    named = sum(len(stage.layers) for stage in stages)
    rest = tuple(layer.name for layer in flow.layers[named:])
    all_stages = (*stages, Stage(rest)) if rest else tuple(stages)
    writer = _Writer(flow)
    inputs = [writer.builder.tensor(model.input)]
    for tiles in partition(flow, all_stages, pushed=False):
        writer.stage(row_tiles(flow, tiles))
    outputs = [writer.whole(tensor.name) for tensor in model.outputs]
    patched = writer.builder.model(inputs, outputs, model.name)
    return with_memory_plan(patched) if memory_plan else patched


def redundant_macs(model: IntegerModel, stages: Sequence[Stage]) -> int:
    """Multiply-accumulates that the tiles of these stages, all of a network, need beyond those of the network."""
    flow = Dataflow(model)
    tiled = sum(tile_macs(flow, row_tiles(flow, tiles)) for tiles in partition(flow, stages, pushed=False))
    return tiled - sum(flow.macs)


def stage_model(flow: Dataflow, tiles: StageTiles, margins: dict[Hashable, Margins] | None = None) -> schema.Model:
    """One stage as a network of its own, without a memory plan.

    margins: what was found out about stages of the same network before, to which this call adds.
    Its inputs are the stage's incoming maps, its outputs the outgoing ones and those incoming ones that are read later.
    """
    writer = _Writer(flow, {} if margins is None else margins)
    inputs = [writer.whole(name) for name in tiles.incoming]
    writer.stage(tiles)
    kept = (name for name in tiles.incoming if name in flow.outputs or flow.readers[name][-1] >= tiles.last)
    outputs = [writer.whole(name) for name in (*tiles.outgoing, *kept)]
    return writer.builder.model(inputs, outputs, flow.model.name)


@dataclass(eq=False)
class _Writer:
    """margins: those of tiles before, by what these look like. written: views that are in the file.

    narrow: whether the tile that is being written takes the narrow form of its layers.
    """

    flow: Dataflow
    margins: dict[Hashable, Margins] = field(default_factory=dict)
    builder: TfliteBuilder = field(init=False)
    written: set[str] = field(default_factory=set)
    narrow: bool = False

    def __post_init__(self) -> None:
        self.builder = TfliteBuilder(self.flow.model.graph.tensors)

    def stage(self, tiles: StageTiles) -> None:
        if not tiles.stage.tiled and (tiles.first or self.flow.model.branches is None):
            for layer in self.flow.layers[tiles.first : tiles.last]:
                for name in layer.inputs:
                    self.whole(name)
                self.layer(layer)
            return
        margins = _Margins(self.flow, tiles, self.margins)
        rows: dict[str, list[list[Tensor]]] = {name: [] for name in tiles.outgoing}
        upwards = isinstance(tiles.stage, RowStage) and tiles.stage.upwards
        for row in sorted(range(tiles.stage.tile_rows), reverse=upwards):
            pieces: dict[str, list[Tensor]] = {name: [] for name in tiles.outgoing}
            for column in range(tiles.stage.tile_columns):
                for name, piece in self.tile(tiles, (row, column), margins).items():
                    pieces[name].append(piece)
            for name in tiles.outgoing:
                rows[name].append(self.joined(name, pieces[name], 1))
        for name in tiles.outgoing:
            ordered = reversed(rows[name]) if upwards else rows[name]
            self.joined(name, list(itertools.chain.from_iterable(ordered)), 0)

    def whole(self, name: str) -> int:
        """The tensor of a map that was computed whole; views of it are written when they are asked for."""
        missing = []
        source = name
        while source in self.flow.views and source not in self.written:
            missing.append(self.flow.views[source])
            self.written.add(source)
            source = missing[-1].inputs[0]
        for view in reversed(missing):
            self.layer(view)
        return self.builder.tensor(self.flow.model.graph.tensors[name])

    def layer(self, layer: Layer) -> None:
        graph = self.flow.model.graph
        add_operator(self.builder, layer.node.operator, graph.node_inputs(layer.node), graph.tensors[layer.output])

    def tile(self, tiles: StageTiles, tile: tuple[int, int], margins: _Margins) -> dict[str, Tensor]:
        """Writes a tile; its share of each outgoing map."""
        branches = None if tiles.first else self.flow.model.branches
        if branches is None:
            return self._form(tiles, tile, margins, narrow=False)
        if branches.test is None:
            return self._form(tiles, tile, margins, narrow=tile not in branches.wide)
        name = self.flow.model.input.name
        read = self._input_part(name, tiles.inputs[tile][name], tile)
        choice = add_choice(self.builder, read, branches.test, branches.count(tile))
        if isinstance(choice, bool):
            return self._form(tiles, tile, margins, narrow=not choice)
        wide, narrow = (self._form(tiles, tile, margins, narrow=form, whole=False) for form in (False, True))
        chosen = {}
        for outgoing in tiles.outgoing:
            form, target = wide[outgoing], self.flow.model.graph.tensors[outgoing]
            if form.shape != target.shape:
                target = replace(target, name=self.builder.own_name(f"{form.name}/chosen"), shape=form.shape)
            add_chosen(self.builder, choice, form, narrow[outgoing], target)
            chosen[outgoing] = target
        return chosen

    def _input_part(self, name: str, region: Region, tile: tuple[int, int]) -> Tensor:
        """What a tile reads of a map that is there as a whole."""
        source = self.flow.model.graph.tensors[name]
        whole, part = Part(name, self.flow.whole(name)), Part(name, region)
        if part == whole:
            return source
        tensor = self._part(part, f"{name}@{tile[0]},{tile[1]}")
        self._step(Step(None, None, (whole,), part), {whole: source, part: tensor})
        return tensor

    def _form(
        self, tiles: StageTiles, tile: tuple[int, int], margins: _Margins, *, narrow: bool, whole: bool = True
    ) -> dict[str, Tensor]:
        """Writes a tile in one of its forms. whole: whether a share that is all of a map is the map itself."""
        self.narrow = narrow
        height = self.flow.shape(self.flow.layers[tiles.last - 1].output)[0]
        shares = {name: _share(self.flow.whole(name), tiles.stage, tile, height) for name in tiles.outgoing}
        best = margins.steps(tile, shares)
        tensors = {Part(name, self.flow.whole(name)): self.flow.model.graph.tensors[name] for name in tiles.incoming}
        for step in best.steps:
            part = step.output
            if whole and part in best.outgoing.values() and part.region == self.flow.whole(part.map):
                # A map of fewer pixels than the grid has tiles: this tile's share is all of it.
                tensors[part] = self.flow.model.graph.tensors[part.map]
            else:
                tensors[part] = self._part(part, f"{part.map}@{tile[0]},{tile[1]}")
            self._step(step, tensors)
        return {name: tensors[part] for name, part in best.outgoing.items()}

    def joined(self, name: str, pieces: list[Tensor], axis: int) -> list[Tensor]:
        """Rows (axis 0) or columns (1) of tiles side by side; what is complete is the map itself."""
        target = self.flow.model.graph.tensors[name]
        dimension = axis + len(target.shape) - 3
        while len(pieces) > 1:
            group = pieces[:_TFLM_INPUTS]
            size = sum(piece.shape[dimension] for piece in group)
            shape = (*group[0].shape[:dimension], size, *group[0].shape[dimension + 1 :])
            joined = target
            if shape != target.shape:
                joined = replace(target, name=self.builder.own_name(f"{name}@{size}"), shape=shape)
            operands = [self.builder.tensor(piece) for piece in group]
            options = ConcatenationOptions(axis=dimension)
            self.builder.operator(BuiltinOperator.CONCATENATION, options, operands, [self.builder.tensor(joined)])
            pieces = [joined, *pieces[_TFLM_INPUTS:]]
        return pieces

    def _part(self, part: Part, name: str) -> Tensor:
        tensor = self.flow.model.graph.tensors[part.map]
        quantization = tensor.quantization
        branches = self.flow.model.branches
        if self.narrow and branches and narrow_name(part.map) in branches.graph.tensors:
            quantization = branches.graph.tensors[narrow_name(part.map)].quantization
        shape = part_shape(tensor, part.region)
        return Tensor(self.builder.own_name(name), shape, quantization=quantization)

    def _step(self, step: Step, tensors: Mapping[Part, Tensor]) -> None:
        output = tensors[step.output]
        maps = [tensors[part] for part in step.inputs]
        if step.operator is None:
            operands = [self.builder.tensor(maps[0]), *self._bounds(step, maps[0].shape, output.shape)]
            self.builder.operator(BuiltinOperator.SLICE, SliceOptions(), operands, [self.builder.tensor(output)])
            return
        if step.layer is not None:
            following = iter(maps)
            inputs = self._node_inputs(step.layer)
            maps = [next(following) if t.data is None else self._constant(t, step, output) for t in inputs]
        add_operator(self.builder, step.operator, maps, output)

    def _node_inputs(self, layer: Layer) -> tuple[Tensor, ...]:
        """A layer's inputs with the constants of the form that the tile takes; what both forms have is there once."""
        wide = self.flow.model.graph.node_inputs(layer.node)
        branches = self.flow.model.branches
        if not self.narrow or branches is None:
            return wide
        narrow = branches.graph.node_inputs(branches.layers[self.flow.layers.index(layer)].node)
        return tuple(
            ours if ours.data is None or _is_same(ours, theirs) else replace(theirs, name=narrow_name(theirs.name))
            for ours, theirs in zip(wide, narrow, strict=True)
        )

    def _bounds(self, step: Step, source: Shape, target: Shape) -> tuple[int, int]:
        """The constants that a SLICE has: where the cut begins, and its size."""
        held, wanted = step.inputs[0].region, step.output.region
        rows, columns = wanted.first_row - held.first_row, wanted.first_column - held.first_column
        begin = (0, rows, columns, 0)
        dimensions = (0, *range(5 - len(source), 4))
        first = np.array([begin[dimension] for dimension in dimensions], np.int32)
        return self.builder.constant_int32(first), self.builder.constant_int32(np.array(target, np.int32))

    def _constant(self, constant: Tensor, step: Step, output: Tensor) -> Tensor:
        """A constant operand: where it changes from pixel to pixel, its part for the step's output."""
        if not isinstance(step.operator, BinaryOperator) or constant.data is None:
            return constant
        whole, region = self.flow.shape(step.output.map), step.output.region
        shape = (1,) * (len(output.shape) - len(constant.shape)) + constant.shape
        height, width, _ = map_shape(shape)
        if (height == 1 or region.rows == whole[0]) and (width == 1 or region.columns == whole[1]):
            return constant
        data = np.asarray(constant.data).reshape(height, width, shape[-1])
        rows = slice(region.first_row, region.last_row) if height > 1 else slice(None)
        columns = slice(region.first_column, region.last_column) if width > 1 else slice(None)
        part = data[rows, columns]
        inner = part.shape[4 - len(output.shape) :]
        name = self.builder.own_name(f"{constant.name}@{region.first_row},{region.first_column}")
        return replace(constant, name=name, shape=(1, *inner), data=np.ascontiguousarray(part).reshape(1, *inner))


def _is_same(ours: Tensor, theirs: Tensor) -> bool:
    """Whether two constants are the same integers and mean the same."""
    a, b = ours.quantization, theirs.quantization
    alike = a is b or (a is not None and b is not None and a.same_as(b))
    return alike and np.array_equal(np.asarray(ours.data), np.asarray(theirs.data))


def _share(whole: Region, stage: Stage, tile: tuple[int, int], height: int) -> Region:
    """A tile's part of an outgoing map: all parts together are the map. height: of the stage's last map."""
    bounds, parts = row_bounds(stage, height)
    rows, columns = whole.last_row, whole.last_column
    return Region(
        bounds[tile[0]] * rows // parts,
        bounds[tile[0] + 1] * rows // parts,
        tile[1] * columns // stage.tile_columns,
        (tile[1] + 1) * columns // stage.tile_columns,
    )


@dataclass(eq=False)
class _Margins:
    """Which margins are cheapest, remembered for tiles that look alike: most of a stage's do.

    best: by what a tile looks like. That decides about costs only: a tile's steps are always worked out for itself.
    """

    flow: Dataflow
    tiles: StageTiles
    best: dict[Hashable, Margins]

    def steps(self, tile: tuple[int, int], shares: Mapping[str, Region]) -> TileSteps:
        """The cheapest steps of a tile. Raises McukitError "unsupported-stage" where no margins are possible."""
        look = self._look(tile)
        if look in self.best:
            try:
                return tile_steps(self.flow, self.tiles, tile, shares, self.best[look])
            except McukitError:
                # It stands otherwise in the strides of its windows than the one before: it gets margins of its own.
                pass
        steps, self.best[look] = self._search(tile, shares)
        return steps

    def _search(self, tile: tuple[int, int], shares: Mapping[str, Region]) -> tuple[TileSteps, Margins]:
        """The best margins at top and bottom, then those at left and right beside them."""
        best: TileSteps | None = None
        least, chosen = 0, (0, 0, 0, 0)
        refused: McukitError | None = None
        amounts = range(_MOST_MARGIN + 1)
        for axis in (0, 1) if self.tiles.stage.tile_columns > 1 else (0,):
            for before, after in itertools.product(amounts, amounts):
                top, left, bottom, right = chosen
                margins = (top, before, bottom, after) if axis else (before, left, after, right)
                try:
                    steps = tile_steps(self.flow, self.tiles, tile, shares, margins)
                except McukitError as error:
                    refused = refused or error
                    continue
                cost = _cost(self.flow, steps, len(self.tiles.regions))
                if best is None or cost < least:
                    best, least, chosen = steps, cost, margins
        if best is None:
            raise refused or AssertionError("there are margins to try")
        return best, chosen

    def _look(self, tile: tuple[int, int]) -> Hashable:
        """How a tile's regions lie in the strides of windows, and at which borders of their maps."""
        regions = dict(self.tiles.inputs[tile])
        layers = self.flow.layers[self.tiles.first : self.tiles.last]
        regions |= {layer.output: region for layer, region in zip(layers, self.tiles.regions[tile], strict=True)}
        return (
            self.tiles.first,
            self.tiles.last,
            tuple(
                (
                    region.rows % 2,
                    region.first_row % 2,
                    region.columns,
                    region.first_row == 0,
                    region.first_column == 0,
                    region.last_row == self.flow.shape(name)[0],
                    region.last_column == self.flow.shape(name)[1],
                )
                for name, region in regions.items()
            ),
        )


def _cost(flow: Dataflow, tile: TileSteps, tiles: int) -> int:
    """Bytes: the most that the tile's parts take at once, and what its steps cost if all tiles are like it."""
    sizes: dict[Part, int] = {}
    last_read = {part: index for index, step in enumerate(tile.steps) for part in step.inputs}
    last_read |= dict.fromkeys(tile.outgoing.values(), len(tile.steps))
    for step in reversed(tile.steps):
        if _in_place(step):
            source = step.inputs[0]
            last_read[source] = max(last_read[source], last_read.get(step.output, 0))
    live = peak = pads = 0
    for index, step in enumerate(tile.steps):
        sizes[step.output] = 0 if _in_place(step) else _bytes(flow, step.output)
        live += sizes[step.output]
        padded = _padded_bytes(flow, step)
        pads += padded > 0
        peak = max(peak, live + padded)
        for part in dict.fromkeys((*step.inputs, step.output)):
            if last_read.get(part, index) <= index:
                live -= sizes.get(part, 0)
    return peak + tiles * (len(tile.steps) + pads) * _BYTES_PER_OPERATOR


def _in_place(step: Step) -> bool:
    """Whether whole rows are cut out, which can lie where they are."""
    source, output = step.inputs[0].region, step.output.region
    return step.operator is None and source.first_column == output.first_column and source.columns == output.columns


def _bytes(flow: Dataflow, part: Part) -> int:
    return part.region.pixels * flow.shape(part.map)[2]


def _padded_bytes(flow: Dataflow, step: Step) -> int:
    """What a PAD in front of a window writes; 0 where the step needs none."""
    operator, region = step.operator, step.inputs[0].region
    if not isinstance(operator, Conv2d | DepthwiseConv2d | MaxPool):
        return 0
    if operator.window.is_valid() or operator.window.is_same(region.rows, region.columns):
        return 0
    top, left, bottom, right = operator.window.pads
    return (region.rows + top + bottom) * (region.columns + left + right) * flow.shape(step.inputs[0].map)[2]

# SPDX-License-Identifier: Apache-2.0
"""The integer reference under a plan: the same calls in the same memory as the generated C, in NumPy."""

from __future__ import annotations

__all__ = ["run_planned_reference"]

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mcukit.emulation.branches import wide_images
from mcukit.emulation.reference import BATCH_ELEMENTS, ReferenceRun, checked_inputs
from mcukit.errors import McukitError
from mcukit.graph.region import Region
from mcukit.planning.check import check_places
from mcukit.planning.dataflow import INPUT, Dataflow, Source
from mcukit.planning.layout import Layout, Span, needed_region, whole_span
from mcukit.planning.plan import Plan
from mcukit.planning.schedule import Call, partition, schedule
from mcukit.quantized.branches import narrow_name
from mcukit.quantized.integer import IntegerModel, MapForm
from mcukit.quantized.packing import pack, unpack

Int8Array = npt.NDArray[np.int8]
Tile = tuple[int, int]

_ANY_TILE = (0, 0)
"""Of maps that are held whole, which are the same in every tile."""


def run_planned_reference(
    model: IntegerModel, plan: Plan, inputs: Int8Array, *, keep_maps: bool = False
) -> ReferenceRun:
    """Runs N inputs of the model's input shape (N, ...), int8, call by call in the memory of the plan.

    A plan in which one row takes the place of another that is still needed gives other bytes than `run_reference`, as
    it would on a device. Raises McukitError "wrong-input", "bad-stage", "bad-plan" for places of a wrong size, and with
    keep_maps "bad-plan" where tiles come to different results for one pixel.
    """
    flow = Dataflow(model)
    stages = partition(flow, plan.stages, plan.pushed)
    check_places(flow, stages, plan)
    layout = Layout(flow, stages, plan)
    calls = schedule(flow, stages, plan.pushed)
    inputs = checked_inputs(model, inputs)
    largest = max(plan.arena_bytes, *(tensor.elements for tensor in model.graph.maps()))
    # Where the values of an image say which form a tile takes, each image goes a way of its own.
    alone = model.branches is not None and model.branches.test is not None
    batch = 1 if alone else max(1, BATCH_ELEMENTS // largest)
    runs = []
    for start in range(0, len(inputs), batch):
        machine = _Machine(layout, inputs[start : start + batch], keep_maps)
        for call in calls:
            machine.run(call)
        runs.append(machine.result())
    return ReferenceRun(
        tuple(np.concatenate(parts) for parts in zip(*(run.outputs for run in runs), strict=True)),
        {name: np.concatenate([run.maps[name] for run in runs]) for name in runs[0].maps},
        {name: np.concatenate([run.computed[name] for run in runs]) for name in runs[0].computed},
    )


class _Machine:
    """The memory of a batch of devices, and what they do with it."""

    def __init__(self, layout: Layout, inputs: Int8Array, keep_maps: bool) -> None:
        self.layout = layout
        self.flow = layout.flow
        self.inputs = inputs
        # What was never written, and whatever a kernel may destroy, is noise, so that nobody reads it unnoticed.
        self._noise = np.random.default_rng(0)
        self.memory = {region: self._random(size) for region, size in layout.plan.arenas.items()}
        self.maps: dict[str, Int8Array] = {}
        self.computed: dict[str, npt.NDArray[np.bool_]] = {}
        if keep_maps:
            shapes = {name: self.flow.shape(name) for name in self.flow.producer}
            shapes |= {
                narrow_name(layer.output): self.flow.shape(layer.output)
                for layer in self.flow.layers[: len(self.flow.narrow)]
            }
            for name, (height, width, channels) in shapes.items():
                self.maps[name] = np.zeros((len(inputs), height, width, channels), np.int8)
                self.computed[name] = np.zeros((len(inputs), height, width), np.bool_)
        self._tile: tuple[int, Tile] | None = None
        self._narrow = False
        self._apart = [self._is_apart(layer) for layer in range(len(self.flow.layers))]
        if self.flow.model.input.name in layout.whole:
            self._write(self.flow.model.input.name, _ANY_TILE, self.flow.whole(self.flow.model.input.name), inputs)

    def run(self, call: Call) -> None:
        """One call of a kernel, or one row of the input from the application."""
        if call.layer == INPUT:
            name = self.flow.model.input.name
            rows = replace(self.flow.whole(name), first_row=call.first_row, last_row=call.last_row)
            self._write(name, call.tile, rows, self.inputs[:, call.first_row : call.last_row])
            return
        tiles = self.layout.stages[call.stage]
        if self._tile != (call.stage, call.tile):
            self._tile = call.stage, call.tile
            self._narrow = self._takes_narrow_form(call)
        columns = tiles.regions[call.tile][call.layer - tiles.first]
        region = replace(columns, first_row=call.first_row, last_row=call.last_row)
        if self._apart[call.layer]:
            self._compute(call, region)
            return
        together = self.flow.kernels[call.layer].rows_together
        for row in range(call.first_row, call.last_row, together):
            self._compute(call, replace(region, first_row=row, last_row=min(row + together, call.last_row)))

    def result(self) -> ReferenceRun:
        """Outputs as the memory has them in the end, and the maps that were kept."""
        outputs = tuple(self._tensor(tensor.name) for tensor in self.flow.model.outputs)
        for name in self.flow.views if self.maps else ():
            owner = self.flow.owner(name)
            shape = self.flow.shape(name)
            values = np.broadcast_to(self.computed[owner][..., np.newaxis], (len(self.inputs), *self.flow.shape(owner)))
            self.computed[name] = np.logical_and.reduce(values.reshape(-1, *shape), axis=3)
            self.maps[name] = self.maps[owner].reshape(-1, *shape)
        return ReferenceRun(outputs, self.maps, self.computed)

    def _takes_narrow_form(self, call: Call) -> bool:
        """Which form a tile takes; of images that the machine runs together all take the same."""
        branches = self.flow.model.branches
        if branches is None or call.stage:
            return False
        source = self.flow.model.input.name
        part = self._read(source, call.tile, self.layout.stages[0].inputs[call.tile][source])
        return not wide_images(branches, call.tile, part)[0]

    def _compute(self, call: Call, region: Region) -> None:
        """A part of a layer's output: rows that are computed together, or all where no memory is shared."""
        sources = self.flow.sources[call.layer]
        name = self.flow.layers[call.layer].output
        layer = self.flow.narrow[call.layer] if self._narrow else self.flow.layers[call.layer]
        parts = [needed_region(self.flow, call.layer, replace(source, views=()), region) for source in sources]
        written = self.layout.spans(name, call.tile, region, narrow=self._narrow)
        scratch = self.layout.scratch(call.layer)
        self._destroy([scratch] if scratch else [])
        operands: dict[int, Int8Array] = {}
        for source, part in zip(sources, parts, strict=True):
            in_place = source.position in self.flow.kernels[call.layer].in_place
            if in_place and self._spans_of(call, source, region) == written:
                operands[source.position] = self._operand(call, source, part)
        # A kernel writes its output before it has read all of the other operands.
        self._destroy(written)
        for source, part in zip(sources, parts, strict=True):
            if source.position not in operands:
                operands[source.position] = self._operand(call, source, part)
        values = layer.operator.crop(region, parts).evaluate([operands[source.position] for source in sources])
        self._write(name, call.tile, region, values)
        self._destroy([scratch] if scratch else [])

    def _spans_of(self, call: Call, source: Source, region: Region) -> list[Span]:
        """Where that lies which a source holds for a part of the output."""
        part = needed_region(self.flow, call.layer, source, region)
        return self.layout.spans(source.map, call.tile, part, narrow=self._narrow)

    def _operand(self, call: Call, source: Source, part: Region) -> Int8Array:
        """The part of a layer's input that it reads, through its views."""
        if not source.views:
            return self._read(source.map, call.tile, part)
        tensor = self._tensor(self.flow.layers[call.layer].inputs[source.position])
        return tensor[:, part.first_row : part.last_row, part.first_column : part.last_column]

    def _tensor(self, name: str) -> Int8Array:
        """All of a map that is held whole, or of a view."""
        owner = self.flow.owner(name)
        values = self._read(owner, _ANY_TILE, self.flow.whole(owner))
        return values.reshape(-1, *self.flow.shape(name))

    def _read(self, name: str, tile: Tile, region: Region) -> Int8Array:
        form = self._form(name)
        shape = (len(self.inputs), region.rows, region.columns)
        if not region.pixels:
            return np.empty((*shape, form.channels), np.int8)
        spans = self.layout.spans(name, tile, region, narrow=self._narrow)
        rows = [self.memory[span.region][:, span.start : span.end] for span in spans]
        packed = np.stack(rows, axis=1).reshape(*shape, form.pixel_bytes)
        return unpack(packed, form.bits, form.channels)

    def _write(self, name: str, tile: Tile, region: Region, values: Int8Array) -> None:
        spans = self.layout.spans(name, tile, region, narrow=self._narrow)
        packed = pack(values, self._form(name).bits)
        for span, row in zip(spans, packed.reshape(len(values), region.rows, -1).swapaxes(0, 1), strict=True):
            self.memory[span.region][:, span.start : span.end] = row
        if name not in self.maps:
            return
        if self._narrow:
            name = narrow_name(name)
        place = slice(region.first_row, region.last_row), slice(region.first_column, region.last_column)
        kept, computed = self.maps[name][:, *place], self.computed[name][:, *place]
        if (kept != values)[computed].any():
            raise McukitError(
                "bad-plan",
                f"a part of {region} is computed twice, with different results",
                where=f"map '{name}'",
                hint="check_plan says which rows overwrite each other",
            )
        kept[:] = values
        computed[:] = True

    def _form(self, name: str) -> MapForm:
        return self.flow.narrow_form(name) if self._narrow else self.flow.form(name)

    def _destroy(self, spans: Sequence[Span]) -> None:
        for span in spans:
            self.memory[span.region][:, span.start : span.end] = self._random(span.end - span.start)

    def _random(self, size: int) -> Int8Array:
        return self._noise.integers(-128, 128, (len(self.inputs), size), np.int8)

    def _is_apart(self, layer: int) -> bool:
        """Whether the buffer that a layer writes shares no memory with those that it reads."""
        maps = self.layout.plan.maps
        output = whole_span(maps[self.flow.layers[layer].output])
        return not any(output.shared(whole_span(maps[source.map])) for source in self.flow.sources[layer])

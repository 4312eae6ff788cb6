# SPDX-License-Identifier: Apache-2.0
"""Who reads which rows and columns of which map: a model as planning sees it."""

from __future__ import annotations

__all__ = ["INPUT", "Dataflow", "Source"]

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from mcukit.graph.graph import Tensor, map_shape
from mcukit.graph.region import Region, whole_region
from mcukit.ops.operator import Operator
from mcukit.quantized.integer import Field, IntegerModel, Kernel, Layer, MapForm, own_constants

INPUT = -1
"""The producer of the network's input: the application."""


@dataclass(frozen=True, eq=False)
class Source:
    """A map in memory that a layer reads. position: among the layer's inputs; views: from that input back to `map`.

    rows: for every row of the layer's output the rows [first, last) of `map` that it needs.
    """

    map: str
    position: int
    views: tuple[Layer, ...]
    rows: tuple[tuple[int, int], ...]

    @cached_property
    def last_rows(self) -> tuple[int, ...]:
        """For every row of the layer's output the rows of `map` that must be there."""
        return tuple(last for _, last in self.rows)

    @cached_property
    def needs(self) -> npt.NDArray[np.int64]:
        """`rows` as an array (rows of the output, 2) whose columns never decrease; what needs none stands between."""
        needs = np.array(self.rows, np.int64).reshape(-1, 2)
        empty = needs[:, 0] >= needs[:, 1]
        needs[empty, 0] = 0
        needs[:, 1] = np.maximum.accumulate(needs[:, 1])
        needs[:, 0] = np.where(empty, needs[:, 1], needs[:, 0])
        needs[:, 0] = np.maximum.accumulate(needs[:, 0])
        return needs


class Dataflow:
    """The layers of a model that compute something, their kernels, and what flows between them.

    Views have no step and no memory of their own: whoever reads a view reads the map that it is made of.
    """

    def __init__(self, model: IntegerModel) -> None:
        self.model = model
        pairs = [(layer, kernel) for layer in model.layers if (kernel := layer.kernel) is not None]
        self.layers: tuple[Layer, ...] = tuple(layer for layer, _ in pairs)
        self.narrow: tuple[Layer, ...] = model.branches.layers if model.branches else ()
        """The narrow forms of the first layers, in their order, where the model has branches."""
        self.kernels: tuple[Kernel, ...] = tuple(
            _for_both(kernel, layer, self.narrow[index]) if index < len(self.narrow) else kernel
            for index, (layer, kernel) in enumerate(pairs)
        )
        """What memory must be there for; of a layer of two forms, for either."""
        self.views: dict[str, Layer] = {layer.output: layer for layer in model.layers if layer.kernel is None}
        """The layer behind each tensor that is a view."""
        self.producer: dict[str, int] = {model.input.name: INPUT}
        """The position among `layers` that computes each map."""
        self.producer |= {layer.output: index for index, layer in enumerate(self.layers)}
        self._shapes = {tensor.name: map_shape(tensor.shape) for tensor in model.graph.maps()}
        self._forms = {tensor.name: MapForm.of(tensor) for tensor in model.graph.maps()}
        self._paths: dict[tuple[int, int], tuple[tuple[Operator, tuple[Tensor, ...], int], ...]] = {}
        self.outputs: frozenset[str] = frozenset(self.owner(tensor.name) for tensor in model.outputs)
        """Maps that hold an output of the network."""

    def owner(self, tensor: str) -> str:
        """The map whose memory a tensor is: itself, or what it is a view of."""
        while tensor in self.views:
            tensor = self.views[tensor].inputs[0]
        return tensor

    def shape(self, tensor: str) -> tuple[int, int, int]:
        """Height, width, channels."""
        return self._shapes[tensor]

    def form(self, tensor: str) -> MapForm:
        """Its shape with the bits of its values."""
        return self._forms[tensor]

    def narrow_form(self, tensor: str) -> MapForm:
        """The form of a map in narrow tiles; rows of both kinds of tiles begin at the same places."""
        producer = self.producer[tensor]
        return self.narrow[producer].output_form if 0 <= producer < len(self.narrow) else self._forms[tensor]

    def whole(self, tensor: str) -> Region:
        return whole_region(self.model.graph.tensors[tensor])

    @cached_property
    def sources(self) -> tuple[tuple[Source, ...], ...]:
        """For every layer the maps that it reads, in the order of its inputs."""
        return tuple(
            tuple(self._source(index, position) for position in range(len(layer.inputs)))
            for index, layer in enumerate(self.layers)
        )

    @cached_property
    def readers(self) -> dict[str, tuple[int, ...]]:
        """For every map the layers that read it, itself or through a view."""
        readers: dict[str, list[int]] = {name: [] for name in self.producer}
        for index, sources in enumerate(self.sources):
            for source in sources:
                if index not in readers[source.map]:
                    readers[source.map].append(index)
        return {name: tuple(indices) for name, indices in readers.items()}

    @cached_property
    def viewed(self) -> frozenset[str]:
        """Maps with a view: these are held whole, or rows of the view would not be where its shape says."""
        return frozenset(self.owner(name) for name in self.views)

    @cached_property
    def macs(self) -> tuple[int, ...]:
        """Multiply-accumulates of each layer, every output computed once."""
        graph = self.model.graph
        return tuple(
            layer.node.operator.macs(graph.node_inputs(layer.node), graph.tensors[layer.output])
            for layer in self.layers
        )

    def needed_rows(self, layer: int, source: Source, first: int, last: int) -> tuple[int, int]:
        """Rows [a, b) of `source.map` that the layer reads for rows [first, last) of its output; (0, 0) if none."""
        return self._needed(layer, source, first, last, 0)

    def needed_columns(self, layer: int, source: Source, first: int, last: int) -> tuple[int, int]:
        """The same for columns."""
        return self._needed(layer, source, first, last, 1)

    def _needed(self, layer: int, source: Source, first: int, last: int, axis: int) -> tuple[int, int]:
        key = layer, source.position
        if key not in self._paths:
            self._paths[key] = self._path(layer, source)
        for operator, inputs, position in self._paths[key]:
            if first >= last:
                return 0, 0
            first, last = operator.input_range(first, last, inputs, position, axis)
        return (first, last) if first < last else (0, 0)

    def _path(self, layer: int, source: Source) -> tuple[tuple[Operator, tuple[Tensor, ...], int], ...]:
        """The layer and the views behind its input: operator, inputs, and which of these to follow."""
        steps = [(self.layers[layer], source.position), *((view, 0) for view in source.views)]
        path = []
        for step, position in steps:
            inputs = self.model.graph.node_inputs(step.node)
            # Positions count feature maps; a node's inputs hold constants too.
            maps = [index for index, tensor in enumerate(inputs) if tensor.data is None]
            path.append((step.node.operator, inputs, maps[position]))
        return tuple(path)

    def _source(self, index: int, position: int) -> Source:
        layer = self.layers[index]
        views = []
        tensor = layer.inputs[position]
        while tensor in self.views:
            views.append(self.views[tensor])
            tensor = self.views[tensor].inputs[0]
        bare = Source(tensor, position, tuple(views), ())
        height = self.shape(layer.output)[0]
        rows = tuple(self.needed_rows(index, bare, row, row + 1) for row in range(height))
        return Source(tensor, position, bare.views, rows)


def _for_both(wide: Kernel, layer: Layer, narrow: Layer) -> Kernel:
    """The kernel of a layer of two forms, with the working memory of either and the constants of both.

    It may write over an input where both can, and where both forms of the two maps have as many bits as each other.
    """
    second = narrow.kernel
    if second is None:
        raise ValueError(f"'{narrow.name}' computes nothing")

    def alike(position: int) -> bool:
        return all(each.forms[position].bits == each.output_form.bits for each in (layer, narrow))

    return replace(
        wide,
        fields=(*wide.fields, *(Field(array.suffix, array) for array in own_constants(wide, second))),
        scratch_bytes=max(wide.scratch_bytes, second.scratch_bytes),
        in_place=tuple(p for p in wide.in_place if p in second.in_place and alike(p)),
        rows_together=math.lcm(wide.rows_together, second.rows_together),
    )

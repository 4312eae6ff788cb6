# SPDX-License-Identifier: Apache-2.0
"""A block of a quantized network, forwards and backwards, on any part of its maps.

Maps are (height, width, images, channels), as mcukit.repair.gradients has them. Those of fewer than 8 bits are
rounded to their grid, wider ones are only clipped to it. Backwards, rounding is taken for the identity (the
straight-through estimator), and the gradient by a grid's scale is that of Esser et al., "Learned Step Size
Quantization" (2020).
"""

from __future__ import annotations

__all__ = ["BlockNetwork", "Gradients", "Trace", "is_differentiable"]

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mcukit.graph.graph import Graph, Node, Quantization, Tensor, map_shape
from mcukit.graph.region import Region, whole_region
from mcukit.ops.add import Add
from mcukit.ops.average_pool import AveragePool
from mcukit.ops.conv2d import Conv2d
from mcukit.ops.depthwise_conv2d import DepthwiseConv2d
from mcukit.ops.fully_connected import FullyConnected
from mcukit.ops.max_pool import MaxPool
from mcukit.ops.mean import Mean
from mcukit.ops.operator import Operator
from mcukit.ops.relu import Clip
from mcukit.ops.reshape import Reshape
from mcukit.ops.window import Window
from mcukit.repair import gradients
from mcukit.repair.blocks import Block

FloatArray = npt.NDArray[np.float32]
Filters = Mapping[str, tuple[FloatArray, FloatArray]]
"""Real weights and biases of layers, by the node's name."""

_POINT = Window((1, 1))
_WINDOWS = Conv2d | DepthwiseConv2d | AveragePool | MaxPool
_OPERATORS = _WINDOWS | FullyConnected | Add | Mean | Reshape | Clip
_WHOLE = Reshape | FullyConnected | Mean
"""These see all of their input."""


@dataclass(frozen=True, eq=False)
class Gradients:
    """filters: by weights and biases, by the node's name. scales: by the scale of narrow maps, by tensor name."""

    filters: dict[str, tuple[FloatArray, FloatArray]]
    scales: dict[str, float]


@dataclass(frozen=True, eq=False)
class _Rounding:
    """What happened to a node's result: values before and after, and which of them were not clipped."""

    before: FloatArray
    after: FloatArray
    inside: npt.NDArray[np.bool_]
    grid: Quantization | None


@dataclass(frozen=True, eq=False)
class _Visit:
    """One node's run: the parts of its maps and where in the held maps they lie."""

    node: Node
    window: Window
    operands: list[FloatArray]
    places: list[tuple[slice, slice]]
    rounding: _Rounding


@dataclass(frozen=True, eq=False)
class Trace:
    """A run of a block, as `BlockNetwork.backward` needs it. output: the block's target."""

    output: FloatArray
    filters: Filters
    shapes: dict[str, tuple[int, ...]]
    visits: list[_Visit] = field(default_factory=list)


def is_differentiable(graph: Graph, block: Block) -> bool:
    """Whether all operators of the block can be run backwards."""
    return all(_is_known(graph, node) for node in block.nodes)


def _is_known(graph: Graph, node: Node) -> bool:
    operator = node.operator
    if isinstance(operator, Add):
        first, second = graph.node_inputs(node)
        return first.data is None and second.data is None and first.shape == second.shape
    return isinstance(operator, _OPERATORS)


class BlockNetwork:
    """graph: quantized, or float, whose maps are then neither rounded nor clipped to a grid."""

    def __init__(self, graph: Graph, block: Block) -> None:
        self.graph, self.block = graph, block

    @property
    def can_be_cropped(self) -> bool:
        """Whether a part of the target needs only a part of the source."""
        return not any(isinstance(node.operator, _WHOLE) for node in self.block.nodes)

    def regions(self, output: Region) -> dict[str, Region]:
        """The part of every map that `output` of the target needs."""
        needed = {self.block.target: output}
        for node in reversed(self.block.nodes):
            if isinstance(node.operator, Reshape):
                needed[node.output] = whole_region(self.graph.tensors[node.output])
            for index, name in enumerate(self.graph.map_inputs(node)):
                part = self._seen(node, needed[node.output], index)
                needed[name] = part.hull(needed[name]) if name in needed else part
        return needed

    def run(
        self,
        source: FloatArray,
        filters: Filters,
        regions: Mapping[str, Region],
        scales: Mapping[str, float] | None = None,
        *,
        unrounded: float = 0.0,
        random: np.random.Generator | None = None,
    ) -> Trace:
        """source: the part regions[block.source] of images. scales: of maps, where they are not the graph's own.

        unrounded: the share of values of narrow maps that stay as they are, drawn from `random`: Wei et al., "QDrop"
        (2022).
        """
        maps = {self.block.source: source}
        visits = []
        for node in self.block.nodes:
            names = self.graph.map_inputs(node)
            parts = [self._seen(node, regions[node.output], index) for index in range(len(names))]
            places = [_place(part, regions[name]) for part, name in zip(parts, names, strict=True)]
            operands = [maps[name][place] for name, place in zip(names, places, strict=True)]
            window = _window(node.operator, regions[node.output], parts[0])
            value = _apply(node.operator, window, operands, filters.get(node.name), self.graph.tensors[node.output])
            rounding = self._rounded(node, value, (scales or {}).get(node.output))
            if unrounded and random is not None and rounding.grid is not None:
                kept = random.random(value.shape, dtype=np.float32) < unrounded
                clipped = np.clip(value, *_limits(rounding.grid))
                rounding = _Rounding(
                    rounding.before, np.where(kept, clipped, rounding.after), rounding.inside, rounding.grid
                )
            maps[node.output] = rounding.after
            visits.append(_Visit(node, window, operands, places, rounding))
        shapes = {name: value.shape for name, value in maps.items()}
        return Trace(maps[self.block.target], filters, shapes, visits)

    def backward(self, trace: Trace, gradient: FloatArray) -> Gradients:
        """gradient: of the loss, by the block's target."""
        by_map = {self.block.target: gradient}
        found = Gradients({}, {})
        for visit in reversed(trace.visits):
            node, names = visit.node, self.graph.map_inputs(visit.node)
            received = by_map.pop(node.output)
            if visit.rounding.grid is not None:
                found.scales[node.output] = _scale_gradient(visit.rounding, received)
            received = received * visit.rounding.inside
            needed = any(name != self.block.source for name in names)
            by_operands, by_filter = _backward(visit, trace.filters.get(node.name), received, needed=needed)
            if by_filter is not None:
                found.filters[node.name] = by_filter
            for name, place, part in zip(names, visit.places, by_operands, strict=True):
                if name != self.block.source and part is not None:
                    if name not in by_map:
                        by_map[name] = np.zeros(trace.shapes[name], np.float32)
                    by_map[name][place] += part
        return found

    def _seen(self, node: Node, output: Region, index: int) -> Region:
        """The part of a node's input that a part of its output needs."""
        name = self.graph.map_inputs(node)[index]
        if isinstance(node.operator, _WHOLE):
            return whole_region(self.graph.tensors[name])
        return node.operator.input_region(output, self.graph.node_inputs(node), index)

    def _rounded(self, node: Node, value: FloatArray, scale: float | None) -> _Rounding:
        """Clamped, clipped to the range of the grid and, where it has fewer than 8 bits, rounded."""
        low, high = node.operator.output_limits()
        clamped = np.clip(value, np.float32(low), np.float32(high))
        grid = self.graph.tensors[node.output].quantization
        if grid is None:
            return _Rounding(value, clamped, clamped == value, None)
        if scale is not None:
            grid = Quantization.per_tensor(scale, grid.zero_point, grid.bits)
        clipped = np.clip(clamped, *_limits(grid))
        if grid.bits == 8:
            return _Rounding(value, clipped, clipped == value, None)
        step = np.float32(grid.tensor_scale)
        return _Rounding(clamped, np.rint(clipped / step) * step, clipped == value, grid)


def _limits(grid: Quantization) -> tuple[np.float32, np.float32]:
    """The smallest and the largest value of a grid."""
    low, high = ((end - grid.zero_point) * grid.tensor_scale for end in (grid.minimum, grid.maximum))
    return np.float32(low), np.float32(high)


def _scale_gradient(rounding: _Rounding, gradient: FloatArray) -> float:
    """Inside the grid's range a larger step moves a value by its rounding error, outside with the end of the range."""
    grid = rounding.grid
    if grid is None:
        raise ValueError("the map is not rounded")
    low, high = _limits(grid)
    inside = (rounding.after - rounding.before) / np.float32(grid.tensor_scale)
    slope = np.where(rounding.before > high, np.float32(grid.maximum - grid.zero_point), inside)
    slope = np.where(rounding.before < low, np.float32(grid.minimum - grid.zero_point), slope)
    return float((slope * gradient).sum())


def _place(part: Region, held: Region) -> tuple[slice, slice]:
    return (
        slice(part.first_row - held.first_row, part.last_row - held.first_row),
        slice(part.first_column - held.first_column, part.last_column - held.first_column),
    )


def _window(operator: Operator, output: Region, source: Region) -> Window:
    """What slides over the part of the input; no padding but where the map ends."""
    if isinstance(operator, _WINDOWS):
        return operator.window.crop(output, source)
    return Window((source.rows, source.columns)) if isinstance(operator, Mean) else _POINT


def _apply(
    operator: Operator,
    window: Window,
    operands: list[FloatArray],
    filters: tuple[FloatArray, FloatArray] | None,
    output: Tensor,
) -> FloatArray:
    """A node's result, before its clamp."""
    first = operands[0]
    if filters is not None:
        weights, bias = filters
        if isinstance(operator, Conv2d):
            return gradients.convolve(first, weights, window, operator.groups) + bias
        if isinstance(operator, DepthwiseConv2d):
            return gradients.convolve_depthwise(first, weights, window) + bias
        return gradients.convolve(_vector(first), weights[:, np.newaxis, np.newaxis], window) + bias
    if isinstance(operator, AveragePool | Mean):
        return gradients.average_pool(first, window)
    if isinstance(operator, MaxPool):
        return gradients.max_pool(first, window)
    if isinstance(operator, Reshape):
        return gradients.reshape_map(first, map_shape(output.shape))
    return first + operands[1] if isinstance(operator, Add) else first


def _backward(
    visit: _Visit, filters: tuple[FloatArray, FloatArray] | None, gradient: FloatArray, *, needed: bool
) -> tuple[list[FloatArray | None], tuple[FloatArray, FloatArray] | None]:
    """The gradients by a node's operands, without them None unless needed, and by its weights and bias."""
    operator, window, first = visit.node.operator, visit.window, visit.operands[0]
    if filters is not None:
        by_source, by_weights = _filter_backward(operator, window, first, filters[0], gradient, needed=needed)
        return [by_source], (by_weights, gradients.sum_by_channel(gradient))
    if not needed:
        return [None] * len(visit.operands), None
    if isinstance(operator, AveragePool | Mean):
        return [gradients.average_pool_backward(first, window, gradient)], None
    if isinstance(operator, MaxPool):
        return [gradients.max_pool_backward(first, window, gradient)], None
    if isinstance(operator, Reshape):
        height, width, _, channels = first.shape
        return [gradients.reshape_map(gradient, (height, width, channels))], None
    return [gradient] * len(visit.operands), None


def _filter_backward(
    operator: Operator,
    window: Window,
    source: FloatArray,
    weights: FloatArray,
    gradient: FloatArray,
    *,
    needed: bool,
) -> tuple[FloatArray | None, FloatArray]:
    if isinstance(operator, Conv2d):
        groups = operator.groups
        return gradients.convolve_backward(source, weights, window, gradient, groups, source_needed=needed)
    if isinstance(operator, DepthwiseConv2d):
        return gradients.convolve_depthwise_backward(source, weights, window, gradient, source_needed=needed)
    by_vector, by_weights = gradients.convolve_backward(
        _vector(source), weights[:, np.newaxis, np.newaxis], window, gradient, source_needed=needed
    )
    height, width, _, channels = source.shape
    by_source = None if by_vector is None else gradients.reshape_map(by_vector, (height, width, channels))
    return by_source, by_weights[:, 0, 0]


def _vector(source: FloatArray) -> FloatArray:
    """(1, 1, images, elements)."""
    height, width, _, channels = source.shape
    return gradients.reshape_map(source, (1, 1, height * width * channels))

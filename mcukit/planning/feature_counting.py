# SPDX-License-Identifier: Apache-2.0
"""What the counts of all kernels are made with: windows over maps, and bytes that memcpy moves.

"odd" bytes are those that memcpy can't move word by word, because pixels don't start on words.
"""

from __future__ import annotations

__all__ = [
    "WORD",
    "AxisSums",
    "Counter",
    "KernelFeatures",
    "aligned_and_odd",
    "common_step",
    "expect",
    "input_map",
    "kernel_integer",
    "output_map",
    "overlap",
    "spans",
    "window_axes",
]

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from mcukit.graph.graph import Graph, map_shape
from mcukit.graph.region import Region
from mcukit.ops.window import Window
from mcukit.quantized.integer import Layer

Counter = Callable[[Region, int], tuple[int, ...]]
"""(region of the output, kernel calls that compute it together) -> one count for each name."""

WORD = 4
"""Bytes that memcpy moves at once where it can."""

_Kind = TypeVar("_Kind")


@dataclass(frozen=True)
class KernelFeatures:
    """names: of the counts, in order. counter: makes the function that counts for one layer."""

    names: tuple[str, ...]
    counter: Callable[[Layer, Graph], Counter]


@dataclass(frozen=True)
class AxisSums:
    """Sums over the first n outputs of one axis of a windowed map, at index n.

    taps: taps of the windows that lie inside the input. whole: windows that lie inside the input with every tap.
    """

    taps: tuple[int, ...]
    whole: tuple[int, ...]

    @classmethod
    def of(cls, window: Window, axis: int, size: int, outputs: int) -> AxisSums:
        first = np.arange(outputs)[:, None] * window.stride[axis] - window.pads[axis]
        places = first + np.arange(window.kernel[axis]) * window.dilation[axis]
        inside = ((places >= 0) & (places < size)).sum(axis=1)
        return cls(_running_sum(inside), _running_sum(inside == window.kernel[axis]))

    def taps_of(self, first: int, last: int) -> int:
        return self.taps[last] - self.taps[first]

    def whole_of(self, first: int, last: int) -> int:
        return self.whole[last] - self.whole[first]


def _running_sum(values: np.ndarray) -> tuple[int, ...]:
    return (0, *np.cumsum(values).tolist())


def window_axes(layer: Layer, graph: Graph) -> tuple[Window, AxisSums, AxisSums]:
    """The window of a layer with the sums over its rows and its columns."""
    window = expect(getattr(layer.node.operator, "window", None), Window)
    height, width, _ = input_map(layer, graph)
    rows, columns, _ = output_map(layer, graph)
    return window, AxisSums.of(window, 0, height, rows), AxisSums.of(window, 1, width, columns)


def expect(value: object, kind: type[_Kind]) -> _Kind:
    """`value`, which the kernel that a layer calls says to be a `kind`."""
    if not isinstance(value, kind):
        raise TypeError(f"a layer with {value!r} calls a kernel that needs a {kind.__name__}")
    return value


def kernel_integer(layer: Layer, name: str) -> int:
    """A number among the parameters of the kernel that a layer calls."""
    parameters = () if layer.kernel is None else layer.kernel.fields
    return expect(next((field.value for field in parameters if field.name == name), None), int)


def input_map(layer: Layer, graph: Graph) -> tuple[int, int, int]:
    return map_shape(graph.tensors[layer.inputs[0]].shape)


def output_map(layer: Layer, graph: Graph) -> tuple[int, int, int]:
    return map_shape(graph.tensors[layer.output].shape)


def spans(region: Region) -> tuple[tuple[int, int], tuple[int, int]]:
    return (region.first_row, region.last_row), (region.first_column, region.last_column)


def overlap(first: int, last: int, start: int, size: int) -> int:
    """How much of [first, last) lies in [start, start + size)."""
    return max(min(last, start + size) - max(first, start), 0)


def common_step(*lengths: int) -> int:
    """A word if all lengths are whole words, or else an odd byte."""
    return WORD if all(length % WORD == 0 for length in lengths) else 1


def aligned_and_odd(count: int, step: int) -> tuple[int, int]:
    """`count` bytes of pixels that lie `step` bytes apart, as (aligned, odd)."""
    return (count, 0) if step % WORD == 0 else (0, count)

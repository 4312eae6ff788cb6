# SPDX-License-Identifier: Apache-2.0
"""Where to cut a stretch of layers into tiles of rows, for each number of tiles, so that it needs least memory."""

from __future__ import annotations

__all__ = ["RowSearch"]

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from mcukit.export.tflite_rows import RowStage
from mcukit.ops.average_pool import AveragePool
from mcukit.ops.conv2d import Conv2d
from mcukit.ops.depthwise_conv2d import DepthwiseConv2d
from mcukit.ops.max_pool import MaxPool
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import Stage
from mcukit.planning.tiles import Span, StageTiles, stage_tiles

Numbers = npt.NDArray[np.int64]

_MOST_UNITS = 64
"""Tiles begin at multiples of this part of a map's height, or of a row."""

_MOST_TILES = 12


@dataclass(frozen=True, eq=False)
class RowSearch:
    """The layers [first, last) in tiles, with the memory that these need, about, by what they compute and read."""

    flow: Dataflow
    first: int
    last: int

    @cached_property
    def tiles(self) -> StageTiles:
        """The finest tiles: others are made of several of these."""
        names = tuple(layer.name for layer in self.flow.layers[self.first : self.last])
        height = self.flow.shape(self.flow.layers[self.last - 1].output)[0]
        return stage_tiles(self.flow, self.first, self.last, Stage(names, min(height, _MOST_UNITS)))

    def choices(self, upwards: bool) -> dict[int, tuple[int, RowStage]]:
        """By number of tiles, at least two: the bytes that are alive at most, and the stage.

        Numbers are left out that need no less than a smaller one.
        """
        peaks = self._peaks(upwards)
        if upwards:
            # In the order in which they run, the last rows come first.
            peaks = peaks[::-1, ::-1].T
        limits = np.unique(peaks)
        found: dict[int, tuple[int, RowStage]] = {}
        least = int(limits[-1])
        for count in range(2, min(len(peaks) - 1, _MOST_TILES) + 1):
            bounds: list[int] = []
            low, high = 0, len(limits) - 1
            while low < high:
                middle = (low + high) // 2
                if _greedy(peaks, int(limits[middle]), count):
                    high = middle
                else:
                    low = middle + 1
            bounds = _greedy(peaks, int(limits[low]), count)
            if len(bounds) == count + 1 and limits[low] < least:
                least = int(limits[low])
                found[count] = least, self._stage(bounds, upwards)
        return found

    @cached_property
    def _wasted(self) -> list[int]:
        """By layer: rows of a tile that are computed only to be cut off, where TFLite pads inner borders as well."""
        wasted: dict[str, int] = {}
        for index in range(self.first, self.last):
            layer = self.flow.layers[index]
            rows = max((wasted.get(source.map, 0) for source in self.flow.sources[index]), default=0)
            operator = layer.node.operator
            if isinstance(operator, Conv2d | DepthwiseConv2d | MaxPool | AveragePool):
                padded = any(operator.window.pads) and not _needs_pad(self.flow, index)
                reach = operator.window.span(0) if padded else 1
                rows = -(-(reach + rows) // operator.window.stride[0]) - 1
            wasted[layer.output] = max(rows, 0)
        return list(wasted.values())

    def _stage(self, bounds: list[int], upwards: bool) -> RowStage:
        units = len(self.tiles.rows)
        height = self.flow.shape(self.flow.layers[self.last - 1].output)[0]
        parts = sorted(units - bound for bound in bounds) if upwards else bounds
        starts = tuple(part * height // units for part in parts[:-1])
        return RowStage(self.tiles.stage.layers, len(starts), row_starts=starts, upwards=upwards)

    def _peaks(self, upwards: bool) -> Numbers:
        """[a, b]: bytes alive at most while the tile of the units [a, b) runs; those before it have run."""
        flow, tiles = self.flow, self.tiles
        count = len(tiles.rows)
        layers = range(self.first, self.last)
        reads = [{source.map for source in flow.sources[index]} for index in layers]
        computed: dict[str, Numbers] = {}
        for position, index in enumerate(layers):
            name = flow.layers[index].output
            rows = _rows([spans[position] for spans in tiles.rows])
            rows = np.minimum(rows + self._wasted[position] * (rows > 0), flow.shape(name)[0])
            computed[name] = rows * _row_bytes(flow, name)
        parts = {name: _rows([spans[name] for spans in tiles.input_rows]) for name in tiles.incoming}
        held = computed | {name: rows * _row_bytes(flow, name) for name, rows in parts.items()}
        incoming = {name: self._incoming(name, upwards) for name in tiles.incoming}
        peak = np.zeros((count + 1, count + 1), np.int64)
        done = sum((self._done(name, upwards) for name in tiles.outgoing), peak)
        for position, index in enumerate(layers):
            later, after = set().union(*reads[position:]), set().union(*reads[position + 1 :])
            alive = done.copy()
            for name, (at_start, at_end) in incoming.items():
                alive += at_start if name in later else at_end
            for name in (flow.layers[each].output for each in range(self.first, index)):
                if name in later or name in tiles.outgoing:
                    alive += computed[name]
            output = computed[flow.layers[index].output]
            if _needs_pad(flow, index):
                # A PAD copies the input before the window reads it; then only the copy is there.
                source = flow.sources[index][0].map
                peak = np.maximum(peak, alive + held[source])
                alive = alive + (held[source] if source in after or source in incoming else 0)
            peak = np.maximum(peak, alive + output)
        return peak

    def _incoming(self, name: str, upwards: bool) -> tuple[Numbers, Numbers]:
        """Bytes of an incoming map that are alive when a tile begins, and when it has read what it needs."""
        flow = self.flow
        height = flow.shape(name)[0]
        starts, ends = _edges([spans[name] for spans in self.tiles.input_rows])
        if name in flow.outputs or flow.readers[name][-1] >= self.last:
            left = np.full(len(starts), height)
        elif upwards:
            left = ends
        else:
            left = np.where(starts < height, ends[-1] - starts, 0)
        size = left * _row_bytes(flow, name)
        by_begin, by_end = np.broadcast_arrays(size[:, None], size[None, :])
        return (by_end, by_begin) if upwards else (by_begin, by_end)

    def _done(self, name: str, upwards: bool) -> Numbers:
        """Bytes of an outgoing map that earlier tiles computed."""
        count, height = len(self.tiles.rows), self.flow.shape(name)[0]
        rows = np.arange(count + 1) * height // count
        size = (height - rows if upwards else rows) * _row_bytes(self.flow, name)
        by_tile: Numbers = np.zeros((count + 1, count + 1), np.int64)
        by_tile += size[None, :] if upwards else size[:, None]
        return by_tile


def _greedy(peaks: Numbers, limit: int, most: int) -> list[int]:
    """Bounds of at most `most` tiles, each as tall as the limit allows; none if these don't suffice."""
    bounds, last = [0], len(peaks) - 1
    while bounds[-1] < last:
        begin = bounds[-1]
        fits = np.flatnonzero(peaks[begin, begin + 1 :] <= limit)
        if len(bounds) > most or not len(fits):
            return []
        bounds.append(begin + 1 + int(fits[-1]))
    return bounds


def _edges(spans: list[Span]) -> tuple[Numbers, Numbers]:
    """By unit: the first row that it or a later one has, and the last that one before it has."""
    far = max(end for _, end in spans)
    begins = [begin if begin < end else far for begin, end in spans]
    starts = np.array([far, *itertools.accumulate(reversed(begins), min)], np.int64)[::-1]
    ends = np.array([0, *itertools.accumulate((end if begin < end else 0 for begin, end in spans), max)], np.int64)
    return starts, ends


def _rows(spans: list[Span]) -> Numbers:
    """[a, b]: rows of the units [a, b)."""
    starts, ends = _edges(spans)
    rows: Numbers = np.maximum(ends[None, :] - starts[:, None], 0)
    return rows


def _needs_pad(flow: Dataflow, index: int) -> bool:
    """Whether a layer's window has padding that is neither VALID nor SAME."""
    operator = flow.layers[index].node.operator
    if not isinstance(operator, Conv2d | DepthwiseConv2d | MaxPool):
        return False
    height, width, _ = flow.shape(flow.sources[index][0].map)
    return not (operator.window.is_valid() or operator.window.is_same(height, width))


def _row_bytes(flow: Dataflow, name: str) -> int:
    _, width, channels = flow.shape(name)
    return width * channels

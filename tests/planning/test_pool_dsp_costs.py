# SPDX-License-Identifier: Apache-2.0
"""Estimated costs of the DSP kernels of pools and means: that counts are those of the loops."""

from __future__ import annotations

from collections import Counter
from itertools import product

import pytest

from mcukit.graph.graph import Graph, map_shape
from mcukit.graph.region import Region, whole_region
from mcukit.ops.average_pool import AveragePool
from mcukit.ops.max_pool import MaxPool
from mcukit.ops.mean import Mean
from mcukit.ops.window import Window
from mcukit.planning.kernel_features import KERNEL_FEATURES
from mcukit.quantized.integer import Layer
from mcukit.quantized.kernel_sets import KernelSet
from tests.ops.harness import Case
from tests.planning.test_packed_costs import lowered

BITS = (8, 4, 2)
ROW = {8: 256, 4: 17, 2: 85}
AREA = {8: 256, 4: 4096, 2: 85}


def counts_of(case: Case) -> tuple[dict[str, int], Layer, Graph]:
    """The counts that are not 0, for the whole output."""
    layer, graph = lowered(case, KernelSet.DSP)
    assert layer.kernel is not None
    assert layer.kernel.function.endswith("_dsp")
    region: Region = whole_region(graph.tensors[layer.output])
    features = KERNEL_FEATURES[layer.kernel.function]
    counts = zip(features.names, features.counter(layer, graph)(region, 1), strict=True)
    return {name: count for name, count in counts if count}, layer, graph


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("channels", [16, 21])
@pytest.mark.parametrize("kernel", [(2, 2), (3, 2), (1, 1), (4, 5)], ids=str)
@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (0, 1, 0, 1)], ids=str)
def test_max_pools_compare_as_counted(
    kernel: tuple[int, int], pads: tuple[int, int, int, int], channels: int, bits: int
) -> None:
    if max(pads) >= kernel[1]:
        return  # windows of nothing but padding
    case = Case(MaxPool(Window(kernel, (2, 1), pads=pads)), ((1, 9, 7, channels),), bits=(bits, bits, 8))
    counts, layer, graph = counts_of(case)
    rows, columns, _ = map_shape(graph.tensors[layer.output].shape)
    size = layer.output_form.pixel_bytes
    found: Counter[str] = Counter(calls=1, rows=rows)
    for _ in range(rows):
        x = 0
        while x < columns:
            first, last = x - pads[1], x - pads[1] + kernel[1]
            run = 1
            while first >= 0 and last <= 7 and x + run < columns and last + run <= 7:
                run += 1
            width = min(last, 7) - max(first, 0)
            found += Counter(runs=1, gathered_rows=kernel[0], gathered_pixels=kernel[0] * width)
            compared, left = 4, kernel[0] * width - 4
            while compared:
                for words in (size // 4, 1) if size % 4 else (size // 4,):
                    found["comparisons"] += 1
                    found["compared_pixels"] += run
                    found["compared_words" if bits == 8 else f"compared_words_of_{bits}_bits"] += run * words
                compared = 3 if left > 0 else 0
                left -= 3
            x += run
    assert counts == dict(found)


def summed(height: int, width: int, is_whole: bool, channels: int, bits: int, of: str) -> Counter[str]:
    """mk_sum_map of mk_sums_dsp.h. of: what follows the names of what is told apart by bits."""
    block = 16 if bits == 2 else 8
    blocks, left = -(-channels // block), channels % block
    areas, pixels = [], height * width
    if is_whole:
        while pixels:
            most = min(pixels, AREA[bits])
            columns = most if most <= ROW[bits] else most // -(-most // ROW[bits])
            areas.append((most // columns, columns))
            pixels -= most // columns * columns
    else:
        for first in range(0, width, ROW[bits]):
            columns, y = min(ROW[bits], width - first), 0
            while y < height:
                areas.append((min(height - y, AREA[bits] // columns), columns))
                y += areas[-1][0]
    found: Counter[str] = Counter()
    for rows, columns in areas:
        assert rows * columns <= AREA[bits]
        found += Counter(areas=1, last_blocks=int(left > 0), last_values=left, block_rows=rows * blocks)
        found += Counter({f"blocks{of}": blocks, f"block_pixels{of}": rows * columns * blocks})
        if bits == 4 and rows * columns > 17:
            found += Counter(large_blocks=blocks, large_rows=blocks * rows)
    return found


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("size", [(1, 1, 16), (9, 9, 23), (20, 31, 16), (90, 47, 17)], ids=str)
def test_means_add_up_as_counted(size: tuple[int, int, int], bits: int) -> None:
    height, width, channels = size
    counts, layer, _ = counts_of(Case(Mean(), ((1, *size),), bits=(bits, bits, 8)))
    of = "" if bits == 8 else f"_of_{bits}_bits"
    found = Counter(calls=1) + summed(height, width, True, channels, bits, of) + Counter({f"means{of}": channels})
    if layer.operator.shift >= 0:  # type: ignore[attr-defined]
        found["left_shifts"] = channels
    assert counts == dict(found)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("channels", [16, 35])
@pytest.mark.parametrize(
    "window", [Window((3, 2), (2, 1)), Window((3, 3), pads=(1, 1, 1, 1)), Window((5, 20)), Window((2, 21))], ids=str
)
def test_average_pools_add_up_as_counted(window: Window, channels: int, bits: int) -> None:
    case = Case(AveragePool(window), ((1, 7, 21, channels),), bits=(bits, bits, 8))
    counts, layer, graph = counts_of(case)
    rows, columns, _ = map_shape(graph.tensors[layer.output].shape)
    of = "" if bits == 8 else f"_of_{bits}_bits"
    per_word = 32 // bits
    lone = channels % per_word
    found: Counter[str] = Counter(calls=1, rows=rows)
    for y, x in product(range(rows), range(columns)):
        top, left = y * window.stride[0] - window.pads[0], x * window.stride[1] - window.pads[1]
        height = min(top + window.kernel[0], 7) - max(top, 0)
        width = min(left + window.kernel[1], 21) - max(left, 0)
        found += summed(height, width, width == 21, channels, bits, of)
        found += Counter(pixels=1, values=channels - lone, left_overs=int(lone > 0), lone_values=lone)
    assert counts == dict(+found)

# SPDX-License-Identifier: Apache-2.0
"""Estimated costs of packed kernels: that counts are those of the loops, and how near the emulator they come."""

from __future__ import annotations

import tempfile
from collections import Counter
from itertools import cycle, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcukit.calibration.float_model import FloatModel
from mcukit.calibration.ranges import Range
from mcukit.demo import SCALE, demo_model_path
from mcukit.emulation.build import CSources
from mcukit.emulation.runner import run_on_target
from mcukit.emulation.targets import EMULATED_CORES
from mcukit.export.c_code import generate_c
from mcukit.export.names import file_stem
from mcukit.graph.graph import Graph, map_shape
from mcukit.graph.region import Region, whole_region
from mcukit.importers.load import load_model
from mcukit.ops.add import Add
from mcukit.ops.average_pool import AveragePool
from mcukit.ops.concat import Concat
from mcukit.ops.conv2d import Conv2d
from mcukit.ops.depthwise_conv2d import DepthwiseConv2d
from mcukit.ops.fully_connected import FullyConnected
from mcukit.ops.hard_swish import HardSwish
from mcukit.ops.max_pool import MaxPool
from mcukit.ops.mean import Mean
from mcukit.ops.mul import Mul
from mcukit.ops.pad import Pad
from mcukit.ops.resize_nearest import ResizeNearest
from mcukit.ops.softmax import Softmax
from mcukit.ops.sub import Sub
from mcukit.ops.window import Window
from mcukit.passes import run_passes
from mcukit.planning.costs import load_costs
from mcukit.planning.kernel_features import KERNEL_FEATURES
from mcukit.planning.packed_filter_features import SEGMENT_FILTERS
from mcukit.planning.planner import plan_layers
from mcukit.quantized.integer import IntegerModel, Layer, with_kernels
from mcukit.quantized.kernel_sets import KernelSet
from mcukit.quantized.lower import lower
from mcukit.quantized.precision import Precision, quantization_groups, widest_choice
from mcukit.quantized.quantize import quantize_graph
from mcukit.resources import firmware_dir
from mcukit.workflow.kernels import kernels_for_target
from tests.ops.harness import Case, case_graph

EMULATED = tuple(sorted(EMULATED_CORES))
SOURCES = firmware_dir() / "mcukit_nn" / "src"
SAME_3X3 = Window((3, 3), pads=(1, 1, 1, 1))
BITS = st.sampled_from((8, 4, 2))

# Every packed kernel whose output has more than one row.
BY_ROWS = (
    Case(Conv2d(Window((1, 1))), ((1, 8, 7, 8),), ((5, 1, 1, 8), (5,)), bits=(8, 4, 4)),
    Case(Conv2d(SAME_3X3), ((1, 9, 8, 3),), ((8, 3, 3, 3), (8,)), bits=(4, 8, 2)),
    Case(Conv2d(SAME_3X3, 2), ((1, 9, 8, 6),), ((6, 3, 3, 3), (6,)), bits=(2, 2, 8)),
    Case(DepthwiseConv2d(SAME_3X3), ((1, 9, 8, 9),), ((1, 3, 3, 9), (9,)), bits=(4, 2, 2)),
    Case(AveragePool(Window((2, 2), (2, 2))), ((1, 12, 8, 5),), bits=(4, 4, 8)),
    Case(MaxPool(Window((2, 2), (2, 2))), ((1, 12, 8, 5),), bits=(2, 2, 8)),
    Case(Add(), ((1, 6, 5, 4), (1, 6, 5, 4)), bits=(4, 4, 8), later_bits=8),
    Case(Add(), ((1, 6, 5, 4), (1, 6, 5, 4)), bits=(4, 4, 8), later_bits=2),
    Case(Mul(), ((1, 6, 5, 4), (1, 1, 1, 4)), bits=(2, 8, 8), later_bits=8),
    Case(Sub(), ((1, 6, 5, 9), (1, 1, 1, 9)), bits=(2, 8, 8)),
    Case(Concat(), ((1, 6, 5, 4), (1, 6, 5, 3)), bits=(2, 2, 8)),
    Case(HardSwish(), ((1, 6, 5, 4),), bits=(4, 8, 8)),
    Case(Pad((2, 1, 1, 3)), ((1, 6, 5, 5),), bits=(4, 4, 8)),
    Case(Pad((2, 1, 1, 3), (1, 2)), ((1, 6, 5, 5),), bits=(2, 2, 8)),
    Case(ResizeNearest((8, 10)), ((1, 4, 5, 3),), bits=(4, 4, 8)),
    Case(Softmax(), ((1, 6, 5, 4),), bits=(2, 8, 8)),
)  # fmt: skip


def lowered(case: Case, kernels: KernelSet = KernelSet.PORTABLE) -> tuple[Layer, Graph]:
    """The layer that a case is about, with the network around it."""
    graph = case_graph(case)
    ranges = {tensor.name: Range(-4.0, 4.0) for tensor in graph.maps()}
    model = lower(quantize_graph(graph, ranges, case.precision(graph)), kernels)
    return next(layer for layer in model.layers if layer.output == "output"), model.graph


def counts_of(layer: Layer, graph: Graph, region: Region, calls: int = 1) -> dict[str, int]:
    assert layer.kernel is not None
    features = KERNEL_FEATURES[layer.kernel.function]
    return dict(zip(features.names, features.counter(layer, graph)(region, calls), strict=True))


def whole(layer: Layer, graph: Graph) -> Region:
    return whole_region(graph.tensors[layer.output])


@pytest.mark.parametrize("target", EMULATED)
def test_packed_kernels_were_measured_closely(target: str) -> None:
    table = load_costs(target)
    packed = {name: cost for name, cost in table.kernels.items() if name.endswith("_packed")}
    assert len(packed) >= 14
    for function, cost in packed.items():
        assert cost.mean_error < 2, function
        # Where loops are counted in hardware, short runs take less than their number says.
        assert cost.largest_error < (9.5 if target == "cortex-m55" else 7.5), function


@pytest.mark.parametrize("case", BY_ROWS, ids=str)
def test_packed_layers_are_covered(case: Case) -> None:
    layer, graph = lowered(case)
    assert layer.kernel is not None
    assert layer.kernel.function.endswith("_packed")
    table = load_costs()
    assert table.covers(layer)
    expected = table.kernels[layer.kernel.function].coefficients
    assert table.for_layer(layer, graph).coefficients == expected


def unpacked(values: int, bits: int, prefix: str = "unpacked") -> Counter[str]:
    """What mk_packed.c does for `values` values of 4 or 2 bits."""
    found: Counter[str] = Counter()
    if values >= 4:
        found[f"{prefix}_runs_of_fours"] += 1
    left = values
    while left >= 4:
        found[f"{prefix}_fours_of_{bits}_bits"] += 1
        left -= 4
    if left:
        found[f"{prefix}_left_overs"] += 1
        found[f"{prefix}_single_values"] += left
    return found


def taps_of_word(bits: int) -> int:
    """Of a pair of filters; those of 8 bits are multiplied four taps at a time."""
    return 8 if bits == 2 else 4


def copied(values: int, *steps: int) -> Counter[str]:
    is_aligned = all(step % 4 == 0 for step in (values, *steps))
    return Counter({"copies": 1, f"copied_{'aligned' if is_aligned else 'odd'}_bytes": values})


@given(
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    pads=st.tuples(*[st.integers(0, 2)] * 4),
    size=st.tuples(st.integers(5, 8), st.integers(5, 8)),
    groups=st.integers(1, 3),
    depth=st.integers(1, 9),
    filters=st.integers(1, 3),
    bits=st.tuples(BITS, BITS, BITS),
    data=st.data(),
)
@settings(max_examples=80, deadline=None)
def test_convolutions_gather_and_multiply_as_counted(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    pads: tuple[int, int, int, int],
    size: tuple[int, int],
    groups: int,
    depth: int,
    filters: int,
    bits: tuple[int, int, int],
    data: st.DataObject,
) -> None:
    if bits == (8, 8, 8):
        return  # not packed
    window = Window(kernel, stride, dilation, pads)
    weights = (groups * filters, *kernel, depth)
    case = Case(Conv2d(window, groups), ((1, *size, groups * depth),), (weights, (groups * filters,)), bits=bits)
    layer, graph = lowered(case)
    height, width, _ = map_shape(graph.tensors[layer.output].shape)
    rows = sorted(data.draw(st.tuples(st.integers(0, height), st.integers(0, height)), label="rows"))
    columns = sorted(data.draw(st.tuples(st.integers(0, width), st.integers(0, width)), label="columns"))
    words = -(-kernel[0] * kernel[1] * depth // taps_of_word(bits[2]))
    found: Counter[str] = Counter(calls=3, rows=rows[1] - rows[0])
    for y in range(*rows):
        x = columns[0]
        while x < columns[1]:
            # The widths of these maps are more than one, and all scratch is small.
            pixels = 2 if width > 1 and x + 1 < columns[1] else 1
            amount = "one" if pixels == 1 else "two"
            for group in range(groups):
                found[f"turns_for_{amount}"] += 1
                for pixel in range(pixels):
                    found += gathered(window, size, (y, x + pixel), group, groups, depth, bits)
                pairs = (filters + 1) // 2
                found[f"filter_pairs_for_{amount}"] += pairs
                if pixels == 1:
                    found["values_for_one"] += filters
                elif filters % 2:
                    found["lone_filters_for_two"] += 1
                found["byte_filter_pairs_for_two"] += pairs * (pixels == 2 and bits[2] == 8)
                found[f"words_of_{bits[2]}_bits_for_{amount}"] += pairs * words
            if bits[1] != 8:
                for _ in range(pixels):
                    found += Counter(packs=1) + unpacked(groups * filters, bits[1], "packed")
            x += pixels
    counted = counts_of(layer, graph, Region(*rows, *columns), 3)
    assert {name: count for name, count in counted.items() if count} == {k: v for k, v in found.items() if v}


def gathered(
    window: Window, size: tuple[int, int], at: tuple[int, int], group: int, groups: int, depth: int,
    bits: tuple[int, int, int],
) -> Counter[str]:  # fmt: skip
    """`gather` of mk_conv2d_packed.c for one pixel of the output."""
    rows, columns = window.kernel
    top, left = (at[axis] * window.stride[axis] - window.pads[axis] for axis in range(2))
    per_word = taps_of_word(bits[2])
    single = window.kernel == (1, 1) and groups == 1 and bits[0] == 8 and depth % per_word == 0
    found: Counter[str] = Counter()
    if single and 0 <= top < size[0] and 0 <= left < size[1]:
        return found
    found["gathered_pixels"] += 1
    for row in range(rows):
        found["gathered_rows"] += 1
        y = top + row * window.dilation[0]
        last = left + (columns - 1) * window.dilation[1]
        if not 0 <= y < size[0]:
            found += Counter(fills=1, filled_bytes=columns * depth)
        elif left >= 0 and last < size[1] and window.dilation[1] == 1 and groups == 1 and depth * bits[0] % 8 == 0:
            found += taken(columns * depth, depth, bits[0])
        else:
            for x in range(left, last + 1, window.dilation[1]):
                found["gathered_columns"] += 1
                if not 0 <= x < size[1]:
                    found += Counter(fills=1, filled_bytes=depth)
                elif group * depth * bits[0] % 8:
                    found["taken_values"] += depth
                else:
                    found += taken(depth, depth, bits[0])
    return found


def taken(values: int, depth: int, bits: int) -> Counter[str]:
    return copied(values, depth) if bits == 8 else Counter(unpacks=1) + unpacked(values, bits)


@given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 300)),
    filters=st.integers(1, 40),
    bits=st.tuples(BITS, BITS, BITS),
)
@settings(max_examples=60, deadline=None)
def test_fully_connected_layers_read_their_segments_as_counted(
    shape: tuple[int, int, int], filters: int, bits: tuple[int, int, int]
) -> None:
    if bits == (8, 8, 8):
        return  # not packed
    elements = shape[0] * shape[1] * shape[2]
    layer, graph = lowered(Case(FullyConnected(), ((1, *shape),), ((filters, elements), (filters,)), bits=bits))
    assert layer.kernel is not None
    segment = next(field.value for field in layer.kernel.fields if field.name == "segment")
    assert isinstance(segment, int)
    found: Counter[str] = Counter(calls=1, filters=filters)
    for first in range(0, filters, SEGMENT_FILTERS):
        count = min(SEGMENT_FILTERS, filters - first)
        found["blocks"] += 1
        found += block_of_filters(shape, count, segment, bits)
        found += copied(count) if bits[1] == 8 else unpacked(count, bits[1], "packed")
    counted = counts_of(layer, graph, whole(layer, graph))
    assert {name: number for name, number in counted.items() if number} == dict(found)


def block_of_filters(shape: tuple[int, int, int], count: int, segment: int, bits: tuple[int, int, int]) -> Counter[str]:
    """`sum_block` of mk_fully_connected_packed.c."""
    found: Counter[str] = Counter()
    per_word, pixels, channels = taps_of_word(bits[2]), shape[0] * shape[1], shape[2]
    pairs = (count + 1) // 2
    filter_words = -(-pixels * channels // per_word)
    pixel = channel = held = first = 0
    while first < filter_words:
        found["segments"] += 1
        while pixel < pixels:
            values = channels - channel
            if values > segment - held:
                values = (segment - held) // 4 * 4
            if not values:
                break
            found += taken(values, channels, bits[0])
            held, channel = held + values, channel + values
            if channel == channels:
                pixel, channel = pixel + 1, 0
        while pixel == pixels and held % per_word:
            found["filled_values"] += 1
            held += 1
        found["filter_pair_segments"] += pairs
        found[f"filter_pair_words_of_{bits[2]}_bits"] += pairs * (held // per_word)
        first += held // per_word
        held %= per_word
        found["moved_bytes"] += held
    return +found


def added(pixels: int, channels: int, bits: int) -> Counter[str]:
    """`mk_add_stored` of mk_packed.c for pixels of 4 or 2 bits that follow each other."""
    found: Counter[str] = Counter()
    while pixels:
        walked = min(pixels, 4096)
        for _ in range(channels // 4):
            found["sums_of_fours"] += 1
            found[f"added_fours_of_{bits}_bits"] += walked
        for _ in range(channels % 4):
            found["sums_of_single_values"] += 1
            found["added_single_values"] += walked
        pixels -= walked
    return found


@pytest.mark.parametrize("bits", [4, 2])
@pytest.mark.parametrize("size", [(3, 5, 7), (1, 1, 3), (4, 2, 8), (2, 9000, 5), (1, 4096, 4)], ids=str)
def test_means_add_up_as_counted(size: tuple[int, int, int], bits: int) -> None:
    layer, graph = lowered(Case(Mean(), ((1, *size),), bits=(bits, 4, 8)))
    height, width, channels = size
    found = Counter(calls=1, input_rows=height, channels=channels) + unpacked(channels, 4, "packed")
    for _ in range(height):
        found += added(width, channels, bits)
    counted = counts_of(layer, graph, whole(layer, graph))
    assert {name: number for name, number in counted.items() if number} == dict(found)


@pytest.mark.parametrize("bits", [4, 2])
@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (1, 1, 1, 1), (1, 0, 0, 1)], ids=str)
@pytest.mark.parametrize("channels", [3, 4, 11])
def test_average_pools_add_up_as_counted(channels: int, pads: tuple[int, int, int, int], bits: int) -> None:
    window = Window((3, 2), (2, 1), pads=pads)
    layer, graph = lowered(Case(AveragePool(window), ((1, 7, 5, channels),), bits=(bits, bits, 8)))
    rows, columns, _ = map_shape(graph.tensors[layer.output].shape)
    found = Counter(calls=1, rows=rows)
    for y, x in product(range(rows), range(columns)):
        top, left = 2 * y - pads[0], x - pads[1]
        found += Counter(pixels=1, values=channels) + unpacked(channels, bits, "packed")
        for _ in range(max(top, 0), min(top + 3, 7)):
            found += Counter(window_rows=1) + added(min(left + 2, 5) - max(left, 0), channels, bits)
    counted = counts_of(layer, graph, whole(layer, graph))
    assert {name: number for name, number in counted.items() if number} == dict(found)


@pytest.mark.parametrize("kind", [Add, Mul, Sub])
def test_operands_of_few_bits_are_looked_up_in_pairs(kind: type[Add | Mul | Sub]) -> None:
    layer, graph = lowered(Case(kind(), ((1, 3, 5, 9), (1, 3, 5, 1)), bits=(4, 8, 8), later_bits=2))
    assert layer.kernel is not None
    assert layer.kernel.function == "mk_pair_lookup_packed"
    found = Counter(fills=1, filled_bytes=9, values=9, unpacks=2)
    found += unpacked(9, 4) + unpacked(1, 2) + copied(9)
    expected = {name: 15 * count for name, count in found.items()} | {"calls": 1, "rows": 3}
    counted = counts_of(layer, graph, whole(layer, graph))
    assert {name: number for name, number in counted.items() if number} == expected


def test_single_pixels_of_whole_words_are_read_where_they_lie() -> None:
    layer, graph = lowered(Case(Conv2d(Window((1, 1))), ((1, 4, 4, 16),), ((4, 1, 1, 16), (4,)), bits=(8, 8, 2)))
    counts = counts_of(layer, graph, whole(layer, graph))
    assert counts["gathered_pixels"] == counts["copies"] == counts["unpacks"] == 0
    assert counts["words_of_2_bits_for_two"] == 8 * 2 * 2


@pytest.mark.parametrize(("channels", "eights", "single"), [(8, 1, 0), (19, 2, 3), (5, 0, 5)])
def test_depthwise_channels_come_in_eights(channels: int, eights: int, single: int) -> None:
    constants = (1, 3, 3, channels), (channels,)
    layer, graph = lowered(Case(DepthwiseConv2d(SAME_3X3), ((1, 6, 5, channels),), constants, bits=(4, 8, 2)))
    counts = counts_of(layer, graph, whole(layer, graph))
    assert counts["eights"] == 30 * eights
    assert counts["eight_taps_of_4_bits_by_2"] == 30 * eights * 9
    assert counts["single_taps"] == counts["single_packed_inputs"] == counts["single_packed_weights"] == 30 * single * 9
    assert counts["taps_inside"] == (6 * 3 - 2) * (5 * 3 - 2)


def mixed_demo() -> tuple[IntegerModel, np.ndarray]:
    """The demo network with maps and weights of all widths in turns, and an input."""
    graph = run_passes(load_model(demo_model_path()))
    shape = map_shape(graph.tensors[graph.inputs[0]].shape)
    real = (np.random.default_rng(0).integers(0, 256, (1, *shape)) * SCALE).astype(np.float32)
    maps = FloatModel(graph).run_nhwc(real)
    ranges = {name: Range.around_zero(float(values.min()), float(values.max())) for name, values in maps.items()}
    groups, widths, weights = quantization_groups(graph), cycle((4, 8, 2)), cycle((4, 2, 8, 4))
    by_group = {
        group: next((bits for bits in (next(widths), 8) if bits in choices), choices[0])
        for group, choices in widest_choice(graph).items()
    }
    precision = Precision(
        {tensor.name: by_group[groups[tensor.name]] for tensor in graph.maps()},
        {node.name: next(weights) for node in graph.nodes if node.operator.has_weights},
    )
    model = lower(quantize_graph(graph, ranges, precision))
    assert model.input.quantization is not None
    return model, model.input.quantization.quantize(real)


@pytest.fixture(scope="module")
def mixed() -> tuple[IntegerModel, np.ndarray]:
    return mixed_demo()


@pytest.mark.parametrize("target", EMULATED)
def test_estimates_of_a_mixed_network_are_near_the_emulators_counts(
    mixed: tuple[IntegerModel, np.ndarray], target: str
) -> None:
    kernels = kernels_for_target(target)
    model, inputs = with_kernels(mixed[0], kernels), mixed[1]
    functions = {layer.kernel.function for layer in model.steps if layer.kernel is not None and layer.is_packed}
    suffix = "" if kernels is KernelSet.PORTABLE else "_dsp"
    assert {f"mk_conv2d_packed{suffix}", f"mk_fully_connected_packed{suffix}", "mk_add_packed"} <= functions
    with tempfile.TemporaryDirectory() as folder:
        for name, text in generate_c(model, plan_layers(model)).items():
            Path(folder, name).write_text(text)
        sizes = model.input.elements, model.outputs[0].elements
        sources = CSources(file_stem(model.name), Path(folder), len(model.steps), *sizes)
        run = run_on_target(sources, target, inputs.reshape(1, -1), profile=True)
    assert run.layer_instructions is not None
    counted = [sum(classes.values()) for classes in run.layer_instructions]
    table = load_costs(target)
    estimates = [table.instructions(layer, model.graph, whole(layer, model.graph)) for layer in model.steps]
    assert sum(estimates) == pytest.approx(sum(counted), rel=0.03)
    for layer, estimate, count in zip(model.steps, estimates, counted, strict=True):
        assert estimate == pytest.approx(count, rel=0.09), layer.name

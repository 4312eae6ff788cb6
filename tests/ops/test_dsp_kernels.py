# SPDX-License-Identifier: Apache-2.0
"""The DSP kernels: the cases of all operators that have such kernels, on the host and on emulated cores.

On the host they run over their instructions in C, and must keep to the memory of their case. A core starts once: all
cases are branches of one network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from mcukit.calibration.float_model import FloatModel
from mcukit.calibration.ranges import Range
from mcukit.emulation.reference import run_reference
from mcukit.graph.graph import Graph, Node, Tensor, map_shape
from mcukit.ops.activation import RELU, RELU6, UNBOUNDED
from mcukit.ops.average_pool import AveragePool
from mcukit.ops.conv2d import Conv2d
from mcukit.ops.depthwise_conv2d import DepthwiseConv2dInt8
from mcukit.ops.fully_connected import FullyConnected
from mcukit.ops.max_pool import MaxPool
from mcukit.ops.mean import Mean, MeanInt8
from mcukit.ops.mul import Mul
from mcukit.ops.resize_nearest import ResizeNearest
from mcukit.ops.window import Window
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import Halo, Stage
from mcukit.planning.planner import plan_of
from mcukit.quantized.integer import IntegerModel, with_kernels
from mcukit.quantized.kernel_sets import KernelSet
from mcukit.quantized.lower import lower
from mcukit.quantized.precision import Precision
from mcukit.quantized.quantize import quantize_graph
from tests.ops import (
    test_add,
    test_average_pool,
    test_conv2d,
    test_depthwise_conv2d,
    test_fully_connected,
    test_max_pool,
    test_mean,
    test_mul,
    test_packed,
    test_packed_depthwise,
)
from tests.ops.harness import Case, case_graph, check, quantize_case, run_c
from tests.ops.test_conv2d import conv
from tests.ops.test_depthwise_conv2d import SAME3, depthwise
from tests.ops.test_packed_depthwise import MIXES, in_mixes
from tests.planning.batch import Job, require_all_right


def fully_connected(source: tuple[int, int, int], filters: int, seed: int) -> Case:
    elements = int(np.prod(source))
    return Case(FullyConnected(), ((1, *source),), ((filters, elements), (filters,)), seed)


LONG = (
    # Every entry of the multiplying loop, and more than one turn of it.
    *(conv(2, 4, 4 * count, 3, Window((1, 1)), seed=count) for count in (3, 4, 5, 6, 7, 8, 9, 10, 16, 17)),
    # One pixel, two, and three; with an odd filter and without.
    *(conv(1, width, 8, filters, Window((1, 1)), seed=width) for width in (1, 2, 3) for filters in (4, 5)),
    # Rows of more columns than are computed together, in both strides.
    depthwise(3, 67, 5, SAME3),
    depthwise(5, 70, 4, Window((3, 3), (2, 2), pads=(0, 0, 1, 1))),
    depthwise(4, 35, 4, Window((3, 3), (1, 2), pads=(2, 3, 1, 2))),
    depthwise(6, 5, 4, Window((3, 3), (1, 1), (2, 1), pads=(2, 1, 2, 1))),
    *(depthwise(6, 37, 4, Window((5, size), pads=(2, 3, 2, 3)), seed=size) for size in (5, 7)),
    *(depthwise(6, 41, 6, Window((4, size), (1, 2), pads=(1, 3, 2, 3)), seed=size) for size in (5, 7)),
    depthwise(9, 40, 5, Window((3, 3), (2, 3), (1, 2), pads=(1, 2, 1, 2))),
    # Outputs that finish fast, of every length of rows, and rows that are computed together or left over.
    *(depthwise(4 + width % 5, width, 3 + width % 4, SAME3, seed=width, clamp=RELU) for width in range(1, 14)),
    *(depthwise(9, width, 4, Window((3, 3), (2, 2), pads=(0, 0, 1, 1)), clamp=RELU6) for width in (*range(2, 14), 50)),
    # Factors that differ from channel to channel.
    *(depthwise(5, 26, 24, SAME3, seed=seed, clamp=RELU) for seed in range(4)),
)
POOL_WINDOWS = (
    ((5, 6), Window((2, 2), (2, 2))),
    ((6, 7), Window((3, 3), pads=(1, 1, 1, 1))),
    ((7, 5), Window((3, 2), (1, 2), pads=(2, 0, 1, 1))),
    ((1, 9), Window((1, 4), (1, 3))),
)
CHANNELS = (*range(1, 10), 12, 15, 16, 17, 20)
"""Pixels that are too short for words and blocks of channels, that fill them, and that leave any number over."""

POOLS = (
    *(
        Case(kind(window, RELU6 if channels % 3 == 2 else UNBOUNDED), ((1, *size, channels),), seed=channels)
        for kind in (AveragePool, MaxPool)
        for number, channels in enumerate(CHANNELS)
        for size, window in (POOL_WINDOWS[number % 4], POOL_WINDOWS[(number + 1) % 4])
        # Average pools know the pads of TFLite's SAME alone.
        if kind is MaxPool or window.is_valid() or window.is_same(*size)
    ),
    # Windows of more pixels than sums of 16 bits hold, than can be multiplied instead of divided; and not whole rows.
    Case(AveragePool(Window((17, 16))), ((1, 17, 16, 9),)),
    Case(AveragePool(Window((33, 32))), ((1, 33, 32, 8),)),
    Case(AveragePool(Window((20, 15), (1, 2))), ((1, 21, 19, 11),)),
    Case(AveragePool(Window((2, 270))), ((1, 3, 271, 8),)),
    Case(MaxPool(Window((9, 7), (2, 1))), ((1, 13, 10, 6),)),
    *(Case(Mean(), ((1, 4, 5, channels),), seed=channels) for channels in CHANNELS),
    *(Case(Mean(), ((1, *size, 10),), seed=size[0]) for size in ((1, 1), (1, 2), (16, 16), (15, 33), (3, 300))),
)
PRODUCTS = (
    *(Case(Mul(), ((1, 2, 3, channels),) * 2, seed=channels) for channels in CHANNELS),
    *(Case(Mul(), ((1, 2, 3, channels), (1, 1, 1, channels)), seed=channels) for channels in CHANNELS),
    *(Case(Mul(RELU6), ((1, 3, 2, channels),), ((channels,),), seed=channels) for channels in CHANNELS),
)
OPERATORS = (
    test_add,
    test_average_pool,
    test_conv2d,
    test_depthwise_conv2d,
    test_fully_connected,
    test_max_pool,
    test_mean,
    test_mul,
)
CASES = (*(case for module in OPERATORS for case in module.CASES), *LONG, *POOLS, *PRODUCTS)
FILTERS = (1, 2, 3, 4, 5, 6, 8)
WINDOWS = Window((1, 1)), Window((3, 3), pads=(1, 1, 1, 1))
PACKED = (
    # Channels and filters that fill bytes, words, pairs and fours, and such that don't; rows of every length.
    *in_mixes(
        [
            conv(2, 3 + number % 5, channels, filters, WINDOWS[number % 2], seed=number)
            for number, (channels, filters) in enumerate(product(range(1, 10), FILTERS))
        ],
        0,
    ),
    # Every entry of the multiplying loops, more than one turn of them, and sums that are moved in between.
    *in_mixes([conv(1, 3, 4 * count, 4, Window((1, 1)), seed=count) for count in (*range(2, 12), 17, 33) * 2], 3),
    # One pixel, two, and three; with filters that are left over and without.
    *in_mixes([conv(1, 1 + i % 3, 8, 4 + i % 5, Window((1, 1)), seed=i) for i in range(12)], 5),
    *in_mixes([test_packed.CONVOLUTIONS[1 + i % 2] for i in range(12)], 1),
    # Rows that fill fours of values and such that don't; several segments and blocks of filters.
    *in_mixes(
        [
            *(fully_connected((3, 5, 24), 7 + i % 6, i) for i in range(13)),
            *(fully_connected((2, 3, 7), 33 + i % 4, i) for i in range(13)),
        ],
        2,
    ),
    *test_packed_depthwise.CASES,
)
WIDTHS_OF_MEANS = tuple(mix for mix in product((8, 4, 2), repeat=2) if mix != (8, 8))
PACKED_POOLS = (
    *(
        replace(case, bits=(bits, bits, 8))
        for number, case in enumerate(POOLS)
        if not isinstance(case.operator, Mean)
        for bits in ((4, 2)[number % 2],)
    ),
    *(
        Case(kind(Window((3, 3), (2, 1), pads=(1, 1, 1, 1))), ((1, 5, 6, channels),), bits=(bits, bits, 8))
        for kind in (AveragePool, MaxPool)
        for channels in (*range(7, 20), 31, 32, 33, 36, 43)
        for bits in (4, 2)
        if kind is MaxPool or (channels + bits) % 3
    ),
    *(
        Case(Mean(), ((1, *((4, 5), (2, 9), (9, 9))[channels % 3], channels),), seed=channels, bits=(*mix, 8))
        for channels in (*range(7, 20), 33)
        for mix in WIDTHS_OF_MEANS
    ),
    # Sums of 4 bits that outgrow 16 bits.
    Case(Mean(), ((1, 3, 4500, 9),), bits=(4, 4, 8)),
)
INPUT = (1, 9, 9, 4)
NARROW = 3
"""Every such case gets ranges that ask for shifts to the left."""


def merged(cases: Sequence[Case]) -> tuple[Graph, Precision]:
    """One network with each case's own network as a branch, whose input is made of the common one."""
    tensors = {"input": Tensor("input", INPUT)}
    nodes: list[Node] = []
    map_bits: dict[str, int] = {}
    weight_bits: dict[str, int] = {}
    generator = np.random.default_rng(0)
    for number, case in enumerate(cases):
        graph = case_graph(case)
        height, width, channels = map_shape(graph.tensors["input"].shape)
        names = {name: f"{number}/{name}" for name in graph.tensors}
        tensors |= {names[name]: replace(tensor, name=names[name]) for name, tensor in graph.tensors.items()}
        resized, weights, bias = (f"{number}/input/{part}" for part in ("resized", "weights", "bias"))
        tensors[resized] = Tensor(resized, (1, height, width, INPUT[3]))
        values = generator.standard_normal((channels, 1, 1, INPUT[3])).astype(np.float32)
        tensors[weights] = Tensor(weights, values.shape, values)
        tensors[bias] = Tensor(bias, (channels,), np.zeros(channels, np.float32))
        spread = names["input"]
        if len(graph.tensors["input"].shape) != len(INPUT):
            raise ValueError(f"{case} begins with a vector")
        nodes += [
            Node(resized, ResizeNearest((height, width)), ("input",), resized),
            Node(spread, Conv2d(Window((1, 1))), (resized, weights, bias), spread),
        ]
        nodes += [
            Node(names[node.name], node.operator, tuple(names[name] for name in node.inputs), names[node.output])
            for node in graph.nodes
        ]
        precision = case.precision(graph)
        map_bits |= {names[name]: bits for name, bits in precision.maps.items()}
        weight_bits |= {names[name]: bits for name, bits in precision.weights.items()}
    return Graph("probe", tensors, tuple(nodes), ("input",), (nodes[-1].output,)), Precision(map_bits, weight_bits)


def quantized(graph: Graph, precision: Precision) -> tuple[IntegerModel, np.ndarray]:
    """The network with DSP kernels, and one input for it."""
    generator = np.random.default_rng(1)
    real = generator.uniform(-1.0, 2.0, INPUT).astype(np.float32)
    maps = FloatModel(graph).run_nhwc(real)
    ranges = {}
    for name, values in maps.items():
        number, _, last = name.partition("/")
        # Outputs of a small part of what occurs have factors near 1 and beyond; most of their values are cut off.
        part = 1 / (64 << int(number) % 4) if last == "output" and int(number) % NARROW == 0 else 1.0
        low, high = float(values.min()) * part, float(values.max()) * part
        ranges[name] = Range.around_zero(low, high)
    model = lower(quantize_graph(graph, ranges, precision), KernelSet.DSP)
    assert model.input.quantization is not None
    return model, model.input.quantization.quantize(real)


@pytest.fixture(scope="module")
def everything() -> tuple[IntegerModel, np.ndarray]:
    return quantized(*merged([case for case in CASES if len(case.maps[0]) == len(INPUT)]))


def test_the_cases_reach_every_path(everything: tuple[IntegerModel, np.ndarray]) -> None:
    model, _ = everything
    functions = {layer.kernel.function for layer in model.layers if layer.kernel}
    assert {name for name in functions if name.endswith("_dsp")} == {
        "mk_add_s8_dsp",
        "mk_average_pool_s8_dsp",
        "mk_conv2d_s8_dsp",
        "mk_depthwise_conv2d_any_s8_dsp",
        "mk_depthwise_conv2d_s8_dsp",
        "mk_fully_connected_s8_dsp",
        "mk_max_pool_s8_dsp",
        "mk_mean_s8_dsp",
        "mk_mul_s8_dsp",
    }
    for function in ("mk_conv2d_s8_dsp", "mk_depthwise_conv2d_any_s8_dsp", "mk_depthwise_conv2d_s8_dsp"):
        layers = [layer for layer in model.layers if layer.kernel and layer.kernel.function == function]
        shifts = np.concatenate([layer.operator.arithmetic.shift for layer in layers])  # type: ignore[attr-defined]
        assert (shifts < 0).any()
        assert (shifts == 0).any()
        assert (shifts > 0).any()


@pytest.mark.parametrize(("channel_bias", "function"), [(1 << 21, "mk_depthwise_conv2d_s8_dsp"), (1 << 25, "any")])
def test_no_scaled_sum_overflows(channel_bias: int, function: str) -> None:
    case = depthwise(5, 6, 3, SAME3, clamp=RELU)
    model, _ = quantize_case(case, case_graph(case))
    (operator,) = (layer.operator for layer in model.steps)
    assert isinstance(operator, DepthwiseConv2dInt8)
    arithmetic = replace(operator.arithmetic, folded_bias=np.array([0, channel_bias, 0]), shift=np.array([-7, -4, -20]))
    kernel = replace(operator, arithmetic=arithmetic).dsp_kernel()
    assert function.replace("any", "mk_depthwise_conv2d_any_s8_dsp") == kernel.function


def test_every_case_on_the_host(tmp_path: Path) -> None:
    check(CASES, tmp_path, KernelSet.DSP)


@pytest.fixture(scope="module")
def packed() -> tuple[IntegerModel, np.ndarray]:
    return quantized(*merged(PACKED))


def test_the_packed_cases_reach_every_path(packed: tuple[IntegerModel, np.ndarray]) -> None:
    model, _ = packed
    for function in ("mk_conv2d_packed_dsp", "mk_fully_connected_packed_dsp", *test_packed_depthwise.FUNCTIONS):
        layers = [layer for layer in model.layers if layer.kernel and layer.kernel.function == function]
        mixes = {(layer.forms[0].bits, layer.output_form.bits, layer.operator.weight_bits) for layer in layers}
        assert mixes == set(MIXES)
        shifts = np.concatenate([layer.operator.arithmetic.shift for layer in layers])  # type: ignore[attr-defined]
        assert (shifts < 0).any()
        assert (shifts == 0).any()
        assert (shifts > 0).any()


@pytest.mark.parametrize("target", ["cortex-m4", "cortex-m55"])
def test_packed_bytes_agree(packed: tuple[IntegerModel, np.ndarray], target: str) -> None:
    require_equal_bytes(*packed, target)


def test_every_packed_pool_on_the_host(tmp_path: Path) -> None:
    check(PACKED_POOLS, tmp_path, KernelSet.DSP)


def test_pools_read_rings_and_tiles(tmp_path: Path) -> None:
    """Streamed, where windows reach over the end of a ring, and in tiles, whose rows lie apart in wider buffers."""
    jobs = []
    for case in (*POOLS, *PACKED_POOLS):
        if isinstance(case.operator, Mean):
            continue
        # Between requantizations, also of 8 bits: what enters a network is no ring.
        between = case if case.is_packed else replace(case, later_bits=4)
        model, inputs = quantize_case(between, case_graph(between))
        flow = Dataflow(with_kernels(model, KernelSet.DSP))
        names = tuple(layer.name for layer in flow.layers)
        height, width, _ = flow.shape(model.outputs[0].name)
        jobs += [
            Job(f"{case}, {stage.schedule}", flow.model, plan_of(flow, (stage,)), inputs)
            for stage in (Stage(names, halo=Halo.KEPT), Stage(names, min(height, 2), min(width, 2)))
        ]
    require_all_right(jobs, tmp_path)


@pytest.fixture(scope="module")
def packed_pools() -> tuple[IntegerModel, np.ndarray]:
    return quantized(*merged(PACKED_POOLS))


def test_the_packed_pools_reach_every_path(packed_pools: tuple[IntegerModel, np.ndarray]) -> None:
    layers = [layer for layer in packed_pools[0].layers if layer.kernel]
    found = {
        (layer.kernel.function, layer.forms[0].bits, layer.output_form.bits)
        for layer in layers
        if layer.kernel is not None and layer.kernel.function.endswith("_packed_dsp")
    }
    pools = {(f"mk_{kind}_pool_packed_dsp", bits, bits) for kind in ("average", "max") for bits in (4, 2)}
    assert found == {*pools, *(("mk_mean_packed_dsp", *mix) for mix in WIDTHS_OF_MEANS)}
    shifts = [layer.operator.shift for layer in layers if isinstance(layer.operator, MeanInt8)]
    assert min(shifts) < 0 < max(shifts)
    assert 0 in shifts


@pytest.mark.parametrize("target", ["cortex-m4", "cortex-m55"])
def test_packed_pools_agree(packed_pools: tuple[IntegerModel, np.ndarray], target: str) -> None:
    require_equal_bytes(*packed_pools, target)


@pytest.mark.parametrize("target", ["cortex-m4", "cortex-m33"])
def test_bytes_agree(everything: tuple[IntegerModel, np.ndarray], target: str) -> None:
    require_equal_bytes(*everything, target)


def require_equal_bytes(model: IntegerModel, inputs: np.ndarray, target: str) -> None:
    expected = run_reference(model, inputs, keep_maps=True).maps
    found = run_c(model, inputs, target)
    assert len(found) == len(model.steps)
    for name, values in found.items():
        np.testing.assert_array_equal(expected[name], values, err_msg=f"'{name}' on {target}", strict=True)

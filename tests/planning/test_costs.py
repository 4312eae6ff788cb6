# SPDX-License-Identifier: Apache-2.0
"""Estimated costs: what they count, the tables behind them, and how near they come to the emulator."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcukit.calibration.preprocessing import Preprocessing
from mcukit.demo import SCALE, demo_model_path
from mcukit.emulation.targets import EMULATED_CORES
from mcukit.errors import McukitError
from mcukit.graph.graph import map_shape
from mcukit.graph.region import Region, whole_region
from mcukit.ops.add import Add
from mcukit.ops.average_pool import AveragePool
from mcukit.ops.concat import Concat
from mcukit.ops.conv2d import Conv2d
from mcukit.ops.depthwise_conv2d import DepthwiseConv2d
from mcukit.ops.hard_swish import HardSwish
from mcukit.ops.max_pool import MaxPool
from mcukit.ops.mean import Mean
from mcukit.ops.mul import Mul
from mcukit.ops.pad import Pad
from mcukit.ops.reshape import Reshape
from mcukit.ops.resize_nearest import ResizeNearest
from mcukit.ops.softmax import Softmax
from mcukit.ops.window import Window
from mcukit.planning import costs
from mcukit.planning.costs import DEFAULT_TARGET, CostTable, list_cost_targets, load_costs, read_costs
from mcukit.planning.kernel_features import KERNEL_FEATURES
from mcukit.planning.planner import plan_layers
from mcukit.quantized.integer import with_kernels
from mcukit.quantized.kernel_sets import KernelSet, first_set_with
from mcukit.resources import firmware_dir
from mcukit.workflow.build import Build
from mcukit.workflow.emulate import emulate
from mcukit.workflow.kernels import kernels_for_target
from mcukit.workflow.quantize import QuantizeOptions, quantize
from tests.builds import under
from tests.ops.harness import Case
from tests.planning import test_packed_costs
from tests.planning.test_packed_costs import lowered

EMULATED = tuple(sorted(EMULATED_CORES))
SAME_3X3 = Window((3, 3), pads=(1, 1, 1, 1))

# Every kernel for 8 bits whose output has more than one row.
BY_ROWS = (
    Case(Conv2d(Window((1, 1))), maps=((1, 8, 7, 6),), constants=((5, 1, 1, 6), (5,))),
    Case(Conv2d(SAME_3X3), maps=((1, 9, 8, 3),), constants=((8, 3, 3, 3), (8,))),
    Case(Conv2d(SAME_3X3, 2), maps=((1, 9, 8, 4),), constants=((6, 3, 3, 2), (6,))),
    Case(DepthwiseConv2d(SAME_3X3), maps=((1, 9, 8, 4),), constants=((1, 3, 3, 4), (4,))),
    Case(DepthwiseConv2d(Window((5, 5), (2, 2), pads=(2, 2, 2, 2))), ((1, 9, 8, 3),), ((1, 5, 5, 3), (3,))),
    Case(MaxPool(Window((2, 2), (2, 2))), maps=((1, 12, 8, 4),)),
    Case(Add(), maps=((1, 6, 5, 4), (1, 6, 5, 4))),
    Case(Add(), maps=((1, 6, 5, 4), (1, 1, 1, 4))),
    Case(Concat(), maps=((1, 6, 5, 4), (1, 6, 5, 3))),
    Case(HardSwish(), maps=((1, 6, 5, 4),)),
    Case(Pad((2, 1, 1, 3)), maps=((1, 6, 5, 4),)),
    Case(ResizeNearest((8, 10)), maps=((1, 4, 5, 3),)),
    Case(Softmax(), maps=((1, 6, 5, 4),)),
)  # fmt: skip
ALL_BY_ROWS = (*BY_ROWS, *test_packed_costs.BY_ROWS)
IN_PORTABLE = tuple((case, KernelSet.PORTABLE) for case in ALL_BY_ROWS)
IN_DSP = tuple(
    (case, KernelSet.DSP)
    for case in (
        *BY_ROWS[:4],
        BY_ROWS[6],
        Case(DepthwiseConv2d(Window((3, 3), (2, 2), pads=(0, 0, 1, 1))), ((1, 9, 12, 5),), ((1, 3, 3, 5), (5,))),
        *test_packed_costs.BY_ROWS[:3],
        Case(Conv2d(SAME_3X3), ((1, 9, 8, 7),), ((10, 3, 3, 7), (10,)), bits=(2, 4, 4)),
        *(
            Case(kind(window), ((1, 12, 9, 21),), bits=(bits, bits, 8))
            for kind in (AveragePool, MaxPool)
            for window in (Window((2, 2), (2, 2)), SAME_3X3)
            for bits in (8, 4, 2)
        ),
        Case(Mul(), ((1, 6, 5, 6), (1, 6, 5, 6))),
        Case(Mul(), ((1, 6, 5, 7), (1, 1, 1, 7))),
    )
)


IN_MVE = tuple(
    (case, KernelSet.MVE)
    for case in (
        *BY_ROWS[:4],
        Case(DepthwiseConv2d(Window((5, 3), (2, 1), pads=(2, 1, 2, 1))), ((1, 9, 12, 19),), ((1, 5, 3, 19), (19,))),
        Case(DepthwiseConv2d(Window((3, 3), pads=(1, 1, 1, 1))), ((1, 9, 12, 8),), ((1, 3, 3, 8), (8,))),
        Case(Conv2d(Window((3, 3), pads=(1, 1, 1, 1))), ((1, 9, 11, 5),), ((6, 3, 3, 5), (6,))),
    )
)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Build:
    options = QuantizeOptions(preprocessing=Preprocessing(SCALE), calibration_limit=4)
    return quantize(demo_model_path(), tmp_path_factory.mktemp("demo") / "build", options)


@pytest.mark.parametrize("target", EMULATED)
def test_estimates_of_a_network_are_near_the_emulators_counts(demo: Build, target: str, tmp_path: Path) -> None:
    kernels, build = kernels_for_target(target), demo
    if kernels is KernelSet.MVE:
        with_helium = with_kernels(demo.model, kernels)
        build = under(demo, plan_layers(with_helium), tmp_path, with_helium)
    table, graph = load_costs(target), build.model.graph
    # Where there are no DSP instructions, DSP kernels call the portable ones.
    model = with_kernels(build.model, kernels)
    assert demo.model.kernels is KernelSet.DSP
    assert all(table.covers(layer) for layer in model.layers)
    estimates = {
        layer.name: table.instructions(layer, graph, whole_region(graph.tensors[layer.output]))
        for layer in model.layers
    }
    run = emulate(build, target)
    assert run.instructions is not None
    assert sum(estimates.values()) == pytest.approx(run.instructions, rel=0.03)
    large = [layer for layer in run.layers if layer.instructions > 0.01 * run.instructions]
    assert len(large) >= 10
    for layer in large:
        assert estimates[layer.name] == pytest.approx(layer.instructions, rel=0.15), layer.name


def test_every_emulated_target_has_a_table() -> None:
    assert list_cost_targets() == EMULATED
    assert load_costs().target == DEFAULT_TARGET


@pytest.mark.parametrize("target", EMULATED)
def test_tables_cover_every_kernel(target: str) -> None:
    table = load_costs(target)
    sources = firmware_dir() / "mcukit_nn" / "src"
    patterns = ("mk_*_s8.c", "mk_*_packed.c", "mk_*_dsp.c", "mk_*_mve.c")
    kernels = {path.stem for pattern in patterns for path in sources.glob(pattern)}
    assert table.target == target
    assert len(kernels) >= 32
    assert kernels == set(KERNEL_FEATURES)
    sets = list(KernelSet)
    possible = sets[: sets.index(kernels_for_target(target)) + 1]
    assert set(table.kernels) == {name for name in kernels if first_set_with(name) in possible}
    for function, cost in table.kernels.items():
        assert len(cost.coefficients) == len(KERNEL_FEATURES[function].names)
        assert any(cost.coefficients)
        assert cost.mean_error <= 5, function
        assert cost.largest_error <= 20, function


def test_unknown_targets_are_named_with_those_that_are_known() -> None:
    known = "cortex-m3, cortex-m33, cortex-m4, cortex-m55, cortex-m7, riscv32"
    with pytest.raises(McukitError, match=rf"no table of costs for '../x'\n.*{known}"):
        load_costs("../x")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("schema = 1", "schema = 2", "schema"),
        ("[kernels.mk_add_s8]", "[kernels.mk_divide_s8]", "mk_divide_s8"),
        ("values = ", "valuables = ", "valuables"),
        ("rows = ", "rows = -", "mk_add_s8.instructions.rows: -[0-9.]+ is not in the range 0 to"),
        ("rows = ", "rows = 'many' #", "is not a number"),
        ("rows = ", "#", "mk_add_s8.instructions.rows: is missing"),
        ("shapes = ", "shapes = -", "shapes"),
        ("largest_error", "smallest_error", "smallest_error"),
        ("compiler = ", "builder = ", "compiler"),
    ],
)
def test_mistakes_in_a_table_are_found(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (Path(costs.__file__).with_name("cost_tables") / f"{DEFAULT_TARGET}.toml").read_text()
    assert old in text
    path = tmp_path / "table.toml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(McukitError, match=message) as caught:
        read_costs(path)
    assert {problem.code for problem in caught.value.problems} == {"invalid-file"}


def test_views_cost_nothing_and_are_covered() -> None:
    layer, graph = lowered(Case(Reshape((1, 60)), maps=((1, 3, 4, 5),)))
    table = load_costs()
    assert table.covers(layer)
    assert table.instructions(layer, graph, Region(0, 1, 0, 1)) == 0


def test_macs_stand_in_for_kernels_without_an_entry() -> None:
    layer, graph = lowered(BY_ROWS[1])
    measured = load_costs()
    table = replace(measured, kernels={k: v for k, v in measured.kernels.items() if k != "mk_conv2d_s8"})
    assert measured.covers(layer)
    assert not table.covers(layer)
    assert table.instructions(layer, graph, Region(2, 4, 1, 6), calls=2) == 10 * 8 * 27


def costs_of(kernels: KernelSet) -> CostTable:
    return load_costs("cortex-m55" if kernels is KernelSet.MVE else DEFAULT_TARGET)


@pytest.mark.parametrize(("case", "kernels"), [*IN_PORTABLE, *IN_DSP, *IN_MVE], ids=str)
def test_rows_apart_cost_what_they_cost_together_and_a_call_each(case: Case, kernels: KernelSet) -> None:
    layer, graph = lowered(case, kernels)
    cost = costs_of(kernels).for_layer(layer, graph)
    height, width, _ = map_shape(graph.tensors[layer.output].shape)
    rows = [cost.counter(Region(row, row + 1, 0, width), 1) for row in range(height)]
    assert tuple(map(sum, zip(*rows, strict=True))) == cost.counter(Region(0, height, 0, width), height)


@pytest.mark.parametrize(("case", "kernels"), [*IN_PORTABLE, *IN_DSP, *IN_MVE], ids=str)
def test_columns_cost_what_the_whole_costs_and_more(case: Case, kernels: KernelSet) -> None:
    layer, graph = lowered(case, kernels)
    cost = costs_of(kernels).for_layer(layer, graph)
    height, width, _ = map_shape(graph.tensors[layer.output].shape)
    whole = cost.instructions(Region(0, height, 0, width))
    # Pairs of columns, or threes, stay together, as they are computed.
    cut = 3 if kernels is KernelSet.MVE else 2
    tiles = [cost.instructions(Region(0, height, *span)) for span in ((0, cut), (cut, width))]
    assert whole < sum(tiles) < 2 * whole
    assert all(0 < tile < whole for tile in tiles)


def test_an_empty_region_costs_nothing() -> None:
    layer, graph = lowered(BY_ROWS[1])
    assert load_costs().instructions(layer, graph, Region(4, 4, 0, 8)) == 0
    layer, graph = lowered(Case(Mean(), maps=((1, 7, 7, 9),)))
    assert load_costs().instructions(layer, graph, Region(0, 0, 0, 1)) == 0


def test_a_lone_last_pixel_costs_a_pair() -> None:
    layer, graph = lowered(BY_ROWS[0])
    cost = load_costs().for_layer(layer, graph)
    assert cost.instructions(Region(0, 8, 0, 5)) == cost.instructions(Region(0, 8, 0, 6))


@given(
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    pads=st.tuples(*[st.integers(0, 3)] * 4),
    size=st.tuples(st.integers(7, 12), st.integers(7, 12)),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_depthwise_taps_are_those_of_the_loops(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    pads: tuple[int, int, int, int],
    size: tuple[int, int],
    data: st.DataObject,
) -> None:
    window = Window(kernel, stride, dilation, pads)
    layer, graph = lowered(Case(DepthwiseConv2d(window), ((1, *size, 2),), ((1, *kernel, 2), (2,))))
    height, width, channels = map_shape(graph.tensors[layer.output].shape)
    rows = sorted(data.draw(st.tuples(st.integers(0, height), st.integers(0, height)), label="rows"))
    columns = sorted(data.draw(st.tuples(st.integers(0, width), st.integers(0, width)), label="columns"))
    region = Region(*rows, *columns)
    inner = border = inside = 0
    for y in range(*rows):
        for x in range(*columns):
            taps = [
                0 <= y * stride[0] - pads[0] + i * dilation[0] < size[0]
                and 0 <= x * stride[1] - pads[1] + j * dilation[1] < size[1]
                for i in range(kernel[0])
                for j in range(kernel[1])
            ]
            if kernel == (3, 3) and all(taps):
                inner += 1
            else:
                border += 1
                inside += sum(taps)
    taps_in_all = border * kernel[0] * kernel[1]
    expected = {
        "calls": 3,
        "rows": region.rows,
        "inner_pixels": inner,
        "inner_values": inner * channels,
        "border_pixels": border,
        "border_values": border * channels,
        "border_taps": taps_in_all,
        "border_tap_values_inside": inside * channels,
        "border_tap_values_outside": (taps_in_all - inside) * channels,
    }
    features = KERNEL_FEATURES["mk_depthwise_conv2d_s8"]
    assert dict(zip(features.names, features.counter(layer, graph)(region, 3), strict=True)) == expected

# SPDX-License-Identifier: Apache-2.0
"""Patched .tflite files give the bytes of the plain ones in TensorFlow Lite Micro, with less memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mcukit.emulation.reference import run_reference
from mcukit.errors import McukitError
from mcukit.export.tflite import build_tflite
from mcukit.export.tflite_memory import METADATA_NAME, least_head_bytes, with_memory_plan
from mcukit.export.tflite_patches import build_patched_tflite
from mcukit.export.tflite_rows import RowStage
from mcukit.export.tflite_search import choose_patched_stages, patched_plans
from mcukit.export.tflm_files import tflm_files
from mcukit.graph.graph import map_shape
from mcukit.ops.activation import RELU, RELU6, Clamp
from mcukit.ops.add import Add
from mcukit.ops.average_pool import AveragePool
from mcukit.ops.concat import Concat
from mcukit.ops.fully_connected import FullyConnected
from mcukit.ops.leaky_relu import LeakyRelu
from mcukit.ops.max_pool import MaxPool
from mcukit.ops.mean import Mean
from mcukit.ops.mul import Mul
from mcukit.ops.pad import Pad
from mcukit.ops.relu import Clip
from mcukit.ops.reshape import Reshape
from mcukit.ops.resize_nearest import ResizeNearest
from mcukit.ops.sigmoid import Sigmoid
from mcukit.ops.softmax import Softmax
from mcukit.ops.sub import Sub
from mcukit.ops.window import Window
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import Halo, Stage
from mcukit.quantized.integer import IntegerModel
from mcukit.tflite.enums import BuiltinOperator
from mcukit.tflite.micro import measure_arena, run_tflm
from mcukit.tflite.reader import read_tflite
from mcukit.tflite.schema import Buffer, Model
from mcukit.tflite.writer import write_tflite
from tests.export.patch_networks import Net
from tests.export.patch_proof import assert_same_bytes_in_less, plan_offsets, prove_memory_plan
from tests.planning.random_networks import random_inputs, random_network, random_stages

pytest.importorskip("tflite_micro", reason="the tflite-micro package is not installed")

SAME3 = Window((3, 3), pads=(1, 1, 1, 1))
POINT = Window((1, 1))


def halving(height: int, width: int, kernel: int = 3) -> Window:
    """TFLite's SAME at stride 2."""
    window = Window((kernel, kernel), (2, 2))
    return Window((kernel, kernel), (2, 2), pads=window.same_pads(height, width))


def tiled(model: IntegerModel, layers: int, rows: int, columns: int, first: int = 0) -> tuple[Stage, ...]:
    """The stages for a grid over `layers` layers from `first` on."""
    names = tuple(layer.name for layer in Dataflow(model).layers)
    grid = Stage(names[first : first + layers], rows, columns)
    return (Stage(names[:first]), grid) if first else (grid,)


def check(model: IntegerModel, patched: Model, inputs: np.ndarray) -> None:
    """The bytes of the reference, which are those of the plain file, and a memory plan that is right."""
    prove_memory_plan(patched)
    outputs = run_tflm(write_tflite(patched), inputs)
    for expected, found in zip(run_reference(model, inputs).outputs, outputs, strict=True):
        np.testing.assert_array_equal(expected, found.reshape(expected.shape), strict=True)


def patched_or_refused(model: IntegerModel, stages: tuple[Stage, ...]) -> Model | None:
    """None where a tile has no form in TFLite; any other error is one."""
    try:
        return build_patched_tflite(model, stages)
    except McukitError as error:
        if error.problems[0].code != "unsupported-stage":
            raise
        return None


def mobile(net: Net) -> None:
    """The beginning of a MobileNet."""
    at = net.conv("input", 4, halving(*net.shape("input")[1:3]), clamp=RELU6)
    at = net.depthwise(at, SAME3)
    at = net.conv(at, 6, POINT, clamp=RELU)
    net.depthwise(at, halving(*net.shape(at)[1:3]))


def onnx_pads(net: Net) -> None:
    """Pads at stride 2 that are not TFLite's, and dilation."""
    at = net.conv("input", 3, Window((3, 3), (2, 2), pads=(1, 1, 1, 1)))
    at = net.conv(at, 4, Window((3, 3), dilation=(2, 2), pads=(2, 2, 2, 2)))
    net.depthwise(at, Window((2, 4), (1, 3), pads=(0, 3, 1, 0)))


def residual(net: Net) -> None:
    at = net.conv("input", 4, SAME3, clamp=RELU)
    inner = net.conv(net.conv(at, 4, SAME3), 4, SAME3)
    at = net.add(Add(RELU), inner, at)
    down, short = net.conv(at, 5, halving(*net.shape(at)[1:3])), net.conv(at, 5, Window((1, 1), (2, 2)))
    net.add(Sub(), down, short)


def inception(net: Net) -> None:
    """Branches with unlike halos side by side."""
    wide = net.conv("input", 3, Window((5, 5), pads=(2, 2, 2, 2)))
    narrow = net.conv("input", 2, POINT)
    pooled = net.add(MaxPool(Window((3, 3), pads=(1, 1, 1, 1))), "input")
    net.conv(net.add(Concat(), wide, narrow, pooled), 4, SAME3)


def squeeze(net: Net) -> None:
    """All pixels decide about each."""
    at = net.conv("input", 4, SAME3)
    gate = net.add(Sigmoid(), net.conv(net.add(Mean(), at), 4, POINT))
    net.add(Mul(), at, gate)


def pools(net: Net) -> None:
    at = net.add(MaxPool(Window((3, 2), (2, 2), pads=(1, 0, 1, 1)), Clamp(0.0)), "input")
    net.conv(net.add(MaxPool(Window((2, 2))), at), 3, SAME3)


def averages(net: Net) -> None:
    """Padding that doesn't count: only TFLite's SAME can express it."""
    at = net.conv("input", 3, SAME3)
    at = net.add(AveragePool(SAME3), at)
    net.add(AveragePool(halving(*net.shape(at)[1:3], kernel=2)), at)


def constants(net: Net) -> None:
    """Operands that broadcast, and operands that differ from pixel to pixel."""
    _, height, width, channels = net.shape("input")
    at = net.add(Add(), "input", net.constant(1, height, width, channels))
    at = net.add(Mul(), at, net.constant(width, 1))
    at = net.add(Sub(), at, net.constant(height, 1, channels))
    net.add(Add(), at, net.constant(channels))


def lookups(net: Net) -> None:
    at = net.add(LeakyRelu(0.1), "input")
    at = net.add(Clip(Clamp(-0.5, 1.5)), net.conv(at, 3, SAME3))
    net.add(Softmax(), at)


def padded(net: Net) -> None:
    at = net.add(Pad((2, 1, 0, 3), value=0.5), "input")
    at = net.conv(at, 3, Window((3, 3)))
    net.add(Pad((0, 2, 1, 0), (1, 0)), at)


def resized(net: Net) -> None:
    """Larger by whole factors, in two ways of placing pixels, and smaller."""
    _, height, width, _ = net.shape("input")
    at = net.add(ResizeNearest((2 * height, 3 * width)), "input")
    at = net.add(ResizeNearest((4 * height, 3 * width), half_pixel_centers=True), net.conv(at, 2, SAME3))
    net.conv(net.add(ResizeNearest((height, width)), at), 3, SAME3)


def side_exit(net: Net) -> None:
    """A map in the middle of the stage that is read after it."""
    early = net.conv("input", 3, SAME3)
    late = net.conv(net.conv(early, 4, SAME3), 3, SAME3)
    net.add(Add(), net.add(Clip(RELU), late), early)


def small_exit(net: Net) -> None:
    """A map in the middle that has fewer rows than the stage has tiles, and leaves it."""
    small = net.add(AveragePool(Window((net.shape("input")[1], 1))), "input")
    large = net.conv(net.add(ResizeNearest((6, net.shape(small)[2])), small), 3, SAME3)
    net.add(Mul(), net.add(Clip(RELU), large), net.conv(small, 3, POINT))


@dataclass(frozen=True)
class Case:
    """A network of `layers` tiled layers, the first of them, on an input of `size`, in tiles of `grid`."""

    build: Callable[[Net], None]
    size: tuple[int, int, int]
    layers: int
    grid: tuple[int, int]

    def __str__(self) -> str:
        return f"{self.build.__name__}-{'x'.join(map(str, self.size))}-{self.layers}-{'x'.join(map(str, self.grid))}"


CASES = (
    Case(mobile, (24, 24, 3), 4, (3, 1)),
    Case(mobile, (24, 24, 3), 4, (2, 3)),
    Case(mobile, (23, 17, 3), 4, (3, 2)),
    Case(mobile, (12, 8, 3), 4, (3, 2)),  # tiles of one pixel
    Case(mobile, (9, 44, 3), 4, (1, 11)),  # more tiles than one concatenation takes
    Case(mobile, (44, 9, 3), 3, (13, 2)),
    Case(onnx_pads, (21, 30, 2), 3, (3, 1)),
    Case(onnx_pads, (20, 31, 2), 3, (2, 2)),
    Case(residual, (12, 14, 3), 7, (2, 2)),
    Case(residual, (13, 11, 3), 7, (5, 1)),
    Case(residual, (13, 11, 3), 4, (1, 4)),
    Case(inception, (11, 9, 3), 5, (3, 2)),
    Case(squeeze, (8, 7, 3), 5, (2, 2)),
    Case(pools, (13, 12, 3), 3, (2, 3)),
    Case(averages, (13, 12, 3), 3, (3, 1)),
    Case(averages, (12, 13, 3), 2, (2, 2)),
    Case(constants, (6, 7, 3), 4, (3, 3)),
    Case(lookups, (6, 7, 3), 4, (2, 3)),
    Case(padded, (6, 7, 2), 3, (3, 2)),
    Case(resized, (6, 5, 2), 5, (3, 1)),
    Case(side_exit, (9, 10, 3), 3, (3, 2)),
    Case(side_exit, (9, 10, 3), 4, (2, 1)),
    Case(small_exit, (7, 6, 3), 3, (3, 1)),
    Case(small_exit, (7, 6, 3), 3, (2, 2)),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_tiles_have_the_bytes_of_whole_maps(case: Case) -> None:
    net = Net((1, *case.size))
    case.build(net)
    model = net.model()
    check(model, build_patched_tflite(model, tiled(model, case.layers, *case.grid)), net.inputs())


def test_stages_follow_each_other_and_halos_do_not_matter() -> None:
    net = Net((1, 20, 20, 3))
    mobile(net)
    net.conv(net.conv(net.nodes[-1].output, 4, SAME3), 5, SAME3)
    model = net.model()
    names = tuple(layer.name for layer in Dataflow(model).layers)
    stages = (
        Stage(names[:2], 3, 1),
        Stage(names[2:3], halo=Halo.KEPT),
        Stage(names[3:5], 1, 3, Halo.KEPT),
        Stage(names[5:], 2, 2),
    )
    check(model, build_patched_tflite(model, stages), net.inputs())


def test_several_outputs_and_views() -> None:
    net = Net((1, 8, 8, 3))
    at = net.conv(net.add(Reshape((1, 8, 8, 3)), "input"), 4, SAME3)
    side = net.add(Clip(RELU), at)
    vector = net.add(Reshape((1, 256)), net.conv(at, 4, SAME3))
    logits = net.add(FullyConnected(), vector, *net.filter((3, 256), 0))
    model = net.model(side, logits, net.add(Softmax(), logits), vector)
    check(model, build_patched_tflite(model, tiled(model, 3, 2, 2)), net.inputs())


HOSTILE = ("input@0,0", "conv@0,0", "constant1", "conv@4_", "é\u202e\x00" * 40, "conv@0,0/padded", "")


def test_names_of_tensors_may_be_those_that_tiles_would_get() -> None:
    net = Net((1, 9, 9, 3))
    at = "input"
    for name in HOSTILE[:-1]:
        at = net.conv(at, 2, Window((3, 3), pads=(1, 0, 1, 2)), name=name)
    at = net.conv(at, 2, SAME3, name="conv")
    model = net.model()
    patched = build_patched_tflite(model, tiled(model, len(HOSTILE), 2, 2))
    names = [tensor.name for tensor in patched.main.tensors]
    assert len(set(names)) == len(names)
    check(model, patched, net.inputs())


REFUSED = (
    (lambda net: net.add(Pad((9, 0, 0, 0)), "input"), 1, (5, 1), "nothing but padding"),
    (lambda net: net.add(ResizeNearest((5, 8)), net.conv("input", 2, SAME3)), 2, (2, 1), "gives other pixels"),
    (
        lambda net: net.conv(net.add(Reshape((1, 16, 4, 3)), net.conv("input", 3, SAME3)), 2, SAME3),
        2,
        (8, 1),
        "another shape of",
    ),
)


@pytest.mark.parametrize(("build", "layers", "grid", "message"), REFUSED)
def test_what_has_no_form_is_refused(
    build: Callable[[Net], str], layers: int, grid: tuple[int, int], message: str
) -> None:
    net = Net((1, 8, 8, 3))
    build(net)
    model = net.model()
    with pytest.raises(McukitError, match=message) as caught:
        build_patched_tflite(model, tiled(model, layers, *grid))
    problem = caught.value.problems[0]
    assert problem.code == "unsupported-stage"
    assert problem.where
    assert problem.hint


def test_an_operator_without_a_rule_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net((1, 8, 8, 3))
    mobile(net)
    model = net.model()
    monkeypatch.setattr("mcukit.export.tflite_tiles._RULES", ())
    with pytest.raises(McukitError, match="conv2d in tiles has no form"):
        build_patched_tflite(model, tiled(model, 2, 2, 1))


def test_a_grid_that_the_map_has_not_is_refused() -> None:
    net = Net((1, 8, 8, 3))
    mobile(net)
    model = net.model()
    with pytest.raises(McukitError, match="can't be cut"):
        build_patched_tflite(model, tiled(model, 4, 3, 1))


def test_the_file_has_standard_operators_and_each_weight_once() -> None:
    net = Net((1, 24, 24, 3))
    mobile(net)
    model = net.model()
    data = write_tflite(build_patched_tflite(model, tiled(model, 4, 3, 1)))
    patched = read_tflite(data, "patched")
    kinds = {operator.builtin for operator in patched.main.operators}
    assert kinds == {
        BuiltinOperator.SLICE, BuiltinOperator.CONV_2D, BuiltinOperator.DEPTHWISE_CONV_2D, BuiltinOperator.CONCATENATION
    }  # fmt: skip
    weights = [tensor.name for tensor in patched.main.tensors if tensor.name.startswith("weights")]
    assert len(weights) == len(set(weights)) == 4
    resolver = tflm_files("net", patched, data, None)["net_op_resolver.h"]
    assert all(method in resolver for method in ("AddSlice", "AddConcatenation"))


def test_padding_is_avoided() -> None:
    """SAME gives wrong rows at the inner borders of tiles, which are cut off: no tile needs a PAD."""
    net = Net((1, 40, 40, 3))
    mobile(net)
    model = net.model()
    operators = build_patched_tflite(model, tiled(model, 4, 5, 1)).main.operators
    assert not [operator for operator in operators if operator.builtin is BuiltinOperator.PAD]
    # Of each tile: a slice in front, four operators, at most one slice at the end; and one concatenation.
    assert len(operators) <= 5 * 6 + 1


def test_the_memory_plan_keeps_what_is_alive_apart() -> None:
    net = Net((1, 33, 21, 3))
    residual(net)
    model = net.model()
    plain = build_patched_tflite(model, tiled(model, 7, 4, 1), memory_plan=False)
    planned = with_memory_plan(plain)
    assert [entry.name for entry in planned.metadata] == [METADATA_NAME]
    values = np.frombuffer(planned.buffers[planned.metadata[0].buffer].data, "<i4")
    assert list(values[:3]) == [1, 0, len(plain.main.tensors)]
    offsets = values[3:]
    computed = {*plain.main.inputs, *plain.computed_tensors}
    assert {index for index, offset in enumerate(offsets) if offset >= 0} == computed
    assert not (offsets[list(computed)] % 16).any()
    head = measure_arena(write_tflite(planned)).head
    assert least_head_bytes(plain) <= head <= measure_arena(write_tflite(plain)).head


ROWS = (
    (mobile, (24, 24, 4), (0, 1, 3), False),
    (mobile, (24, 24, 4), (0, 3, 5), True),
    (mobile, (31, 16, 3), (0, 1, 2, 5), True),
    (onnx_pads, (33, 30, 4), (0, 2, 7), True),
    (residual, (20, 16, 4), (0, 3, 7), False),
    (residual, (20, 16, 4), (0, 1, 6), True),
    (side_exit, (12, 8, 4), (0, 5), True),
)


@pytest.mark.parametrize(("build", "size", "starts", "upwards"), ROWS)
def test_tiles_need_not_be_alike_nor_run_downwards(
    build: Callable[[Net], None], size: tuple[int, int, int], starts: tuple[int, ...], upwards: bool
) -> None:
    net = Net((1, *size))
    build(net)
    model = net.model()
    names = tuple(layer.name for layer in Dataflow(model).layers)[: 3 if build is side_exit else None]
    stage = RowStage(names, len(starts), row_starts=starts, upwards=upwards)
    check(model, build_patched_tflite(model, (stage,)), net.inputs())


@pytest.mark.parametrize("starts", [(1, 3), (0, 3, 3), (0, 6), (0,), (0, -1)])
def test_rows_at_which_no_tiles_can_begin_are_refused(starts: tuple[int, ...]) -> None:
    net = Net((1, 24, 24, 3))
    mobile(net)
    model = net.model()
    names = tuple(layer.name for layer in Dataflow(model).layers)
    with pytest.raises(McukitError, match="tiles can't begin") as caught:
        build_patched_tflite(model, (RowStage(names, 2, row_starts=starts),))
    assert caught.value.problems[0].code == "bad-stage"


def test_rows_are_cut_out_and_put_together_where_they_are() -> None:
    """Two convolutions in tiles need no memory for copies: all slices lie in the maps that they are slices of."""
    net = Net((1, 32, 16, 4))
    net.conv(net.conv("input", 8, POINT), 4, POINT)
    model = net.model()
    stages = (*tiled(model, 1, 4, 1), Stage((Dataflow(model).layers[1].name,), 4, 1))
    patched = build_patched_tflite(model, stages)
    check(model, patched, net.inputs())
    offsets = plan_offsets(patched)
    moved = []
    for operator in patched.main.operators:
        if operator.builtin is BuiltinOperator.SLICE:
            begin = patched.constant(operator.inputs[1])
            assert begin is not None
            distance = int(begin[1]) * patched.main.tensors[operator.inputs[0]].shape[3] * 16
            moved.append(offsets[operator.outputs[0]] - offsets[operator.inputs[0]] - distance)
    assert moved == [0] * 8
    # The map in between and a tile of the input or the output, at most.
    assert measure_arena(write_tflite(patched)).head <= 32 * 16 * 8 + 8 * 16 * 8


def test_a_wrong_memory_plan_is_found_out() -> None:
    """The proof can fail: any tensor but the output moved onto another one that is in use."""
    net = Net((1, 24, 16, 4))
    mobile(net)
    model = net.model()
    patched = build_patched_tflite(model, tiled(model, 4, 3, 1))
    prove_memory_plan(patched)
    (entry,) = patched.metadata
    convolutions = [operator for operator in patched.main.operators if operator.builtin is BuiltinOperator.CONV_2D]
    for operator in convolutions:
        values = np.frombuffer(patched.buffers[entry.buffer].data, "<i4").copy()
        values[3 + operator.outputs[0]] = values[3 + operator.inputs[0]]
        buffers = (*patched.buffers[: entry.buffer], Buffer(values.tobytes()))
        with pytest.raises(AssertionError):
            prove_memory_plan(replace(patched, buffers=buffers))


def test_networks_without_layers_have_a_plan() -> None:
    net = Net((1, 4, 4, 2))
    model = net.model(net.add(Reshape((1, 32)), "input"))
    check(model, build_patched_tflite(model, ()), net.inputs())


def test_a_file_with_several_subgraphs_is_not_planned() -> None:
    net = Net((1, 4, 4, 2))
    net.conv("input", 2, POINT)
    plain = build_tflite(net.model().graph)
    with pytest.raises(ValueError, match="one subgraph"):
        with_memory_plan(Model((*plain.subgraphs, *plain.subgraphs), plain.buffers))


def test_the_search_finds_what_saves_memory() -> None:
    """A network whose first maps are far larger than the rest: half of the memory for tensors."""
    net = Net((1, 64, 64, 3))
    at = net.conv("input", 8, halving(64, 64), clamp=RELU6)
    at = net.conv(net.depthwise(at, SAME3), 16, POINT)
    at = net.conv(net.depthwise(at, halving(32, 32)), 16, POINT)
    net.add(AveragePool(Window((16, 16))), at)
    model = net.model()
    assert_same_bytes_in_less(model, net.inputs(), 0.61)
    stages = choose_patched_stages(model)
    assert any(stage.tiled for stage in stages)
    before = measure_arena(write_tflite(build_tflite(model.graph)))
    after = measure_arena(write_tflite(build_patched_tflite(model, stages)))
    assert after.head <= before.head / 2


def test_estimates_are_near_what_the_interpreter_reports() -> None:
    """Of the head, and of what one plan's tail has more than another's."""
    net = Net((1, 64, 64, 3))
    mobile(net)
    model = net.model()
    plans = patched_plans(model)
    found = [measure_arena(write_tflite(build_patched_tflite(model, plan.stages))) for plan in plans[:3]]
    for plan, use in zip(plans, found, strict=False):
        assert plan.head_bytes <= use.head <= 1.15 * plan.head_bytes
        more = use.tail - found[0].tail
        assert abs(more - (plan.tail_bytes - plans[0].tail_bytes)) < 100


def test_a_network_that_fits_stays_whole() -> None:
    net = Net((1, 6, 6, 8))
    net.conv("input", 4, POINT)
    assert not any(stage.tiled for stage in choose_patched_stages(net.model()))


@pytest.mark.parametrize("seed", range(24))
def test_random_networks(seed: int) -> None:
    """All operators, branches, views and grids; those that can't be written say so."""
    generator = Random(seed)
    model = random_network(generator)
    inputs = random_inputs(model, generator)
    stages, _ = random_stages(Dataflow(model), generator)
    patched = patched_or_refused(model, stages)
    if patched is not None:
        check(model, patched, inputs)


@st.composite
def chains(draw: st.DrawFn) -> tuple[Net, tuple[int, int]]:
    """Windows one after the other, with TFLite's padding or any, and a grid that fits the last map."""
    net = Net(
        (1, draw(st.integers(5, 24)), draw(st.integers(5, 24)), draw(st.integers(1, 3))), draw(st.integers(0, 99))
    )
    at = "input"
    for _ in range(draw(st.integers(1, 5))):
        _, height, width, _ = net.shape(at)
        kernel = draw(st.integers(1, min(height, 4))), draw(st.integers(1, min(width, 4)))
        window = Window(kernel, (draw(st.integers(1, 2)), draw(st.integers(1, 2))))
        pads = draw(st.sampled_from([(0, 0, 0, 0), window.same_pads(height, width), (1, 0, 0, 1), (1, 1, 1, 1)]))
        window = Window(kernel, window.stride, pads=pads)
        at = net.depthwise(at, window) if draw(st.booleans()) else net.conv(at, draw(st.integers(1, 5)), window)
    height, width, _ = map_shape(net.shape(at))
    return net, (draw(st.integers(1, min(height, 4))), draw(st.integers(1, min(width, 3))))


@given(chains())
@settings(max_examples=15, deadline=None)
def test_random_chains(chain: tuple[Net, tuple[int, int]]) -> None:
    net, grid = chain
    model = net.model()
    patched = patched_or_refused(model, tiled(model, len(net.nodes), *grid))
    # Where padding is as wide as a tile.
    assume(patched is not None)
    check(model, patched, net.inputs())

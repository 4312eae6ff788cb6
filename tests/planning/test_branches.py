# SPDX-License-Identifier: Apache-2.0
"""Tiles of two precisions: each form of the layers computes its own bytes, on every executor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mcukit.calibration.float_model import FloatModel
from mcukit.calibration.ranges import Range
from mcukit.emulation.planned_reference import run_planned_reference
from mcukit.emulation.reference import run_reference
from mcukit.errors import McukitError
from mcukit.export.c_code import generate_c
from mcukit.export.names import file_stem
from mcukit.export.tflite_patches import build_patched_tflite
from mcukit.graph.graph import Graph
from mcukit.ops.activation import RELU
from mcukit.ops.relu import Clip
from mcukit.ops.requantize import Requantize
from mcukit.planning.branch_stage import branch_stage
from mcukit.planning.choose import PlanRequest, choose_plan
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import Halo, Plan, Stage
from mcukit.planning.planner import plan_of
from mcukit.quantized.branches import OutlierTest, narrow_form, narrow_name, with_branches
from mcukit.quantized.integer import IntegerModel, with_kernels
from mcukit.quantized.kernel_sets import KernelSet
from mcukit.quantized.lower import lower
from mcukit.quantized.precision import Precision
from mcukit.quantized.quantize import quantize_graph
from mcukit.tflite.micro import run_tflm
from mcukit.tflite.writer import write_tflite
from tests.planning.batch import Job, require_all_right
from tests.planning.networks import HALVE, POINT, SAME, Network

TILED = 5
"""The first nodes of `network` that run in tiles."""

NARROW = Precision({"requantize1": 4, "clip2": 2})


def network() -> Graph:
    net = Network(12, 10, 3)
    first = net.conv("input", 5, SAME)
    narrow = net.add(Clip(RELU), net.add(Requantize(), first))
    tiled = net.conv(net.add(Requantize(), narrow), 6, HALVE)
    return net.graph(net.conv(net.conv(tiled, 4, SAME), 3, POINT))


def branched(
    wide: tuple[tuple[int, int], ...] = (),
    test: OutlierTest | None = None,
    grid: tuple[int, int] = (2, 3),
    shrink: float = 0.7,
    precision: Precision = NARROW,
) -> tuple[IntegerModel, np.ndarray]:
    """The network with branches, and inputs. Narrow maps have ranges of their own, smaller by `shrink`."""
    graph = network()
    generator = np.random.default_rng(3)
    # Images of very different contrast: a test on values finds outliers in some tiles of some of them.
    real = generator.standard_normal((4, 12, 10, 3)) * generator.uniform(0.1, 1.0, (4, 2, 1, 1)).repeat(6, axis=1)
    maps = FloatModel(graph).run_nhwc(real.astype(np.float32))
    ranges = {name: Range.around_zero(float(values.min()), float(values.max())) for name, values in maps.items()}
    model = lower(quantize_graph(graph, ranges))
    inner = {node.output for node in graph.nodes[: TILED - 1]}
    smaller = narrowed(ranges, inner, shrink)
    narrow = narrow_form(quantize_graph(graph, smaller, precision), TILED)
    assert model.input.quantization is not None
    return with_branches(model, narrow, grid, wide, test), model.input.quantization.quantize(real)


def narrowed(ranges: Mapping[str, Range], names: set[str], factor: float) -> dict[str, Range]:
    return {
        name: replace(span, minimum=span.minimum * factor, maximum=span.maximum * factor) if name in names else span
        for name, span in ranges.items()
    }


def plans(model: IntegerModel) -> list[Plan]:
    """The stage in tiles, and every kind of stage behind it."""
    flow = Dataflow(model)
    stage = branch_stage(flow)
    assert stage is not None
    rest = tuple(layer.name for layer in flow.layers[len(stage.layers) :])
    kinds = Stage(rest), Stage(rest, halo=Halo.KEPT), Stage(rest, 1, 2, Halo.KEPT)
    return [plan_of(flow, (stage, after)) for after in kinds]


CHOICES = {
    "some positions": {"wide": ((0, 1), (1, 2))},
    "none is wide": {},
    "all are wide": {"wide": tuple((row, column) for row in range(2) for column in range(3))},
    "rows of tiles": {"wide": ((1, 0),), "grid": (3, 1)},
    "columns of tiles": {"wide": ((0, 1),), "grid": (1, 4)},
    "one tile": {"grid": (1, 1)},
    "by value": {"test": OutlierTest(-60, 70, (4,) * 6)},
    "by value, one tile": {"test": OutlierTest(-60, 70, (9,)), "grid": (1, 1)},
    "by value, rows": {"test": OutlierTest(-60, 70, (2, 7, 2)), "grid": (3, 1)},
}


@pytest.mark.parametrize("choice", CHOICES)
def test_every_executor_computes_the_same_bytes(choice: str, tmp_path: Path) -> None:
    model, inputs = branched(**CHOICES[choice])
    expected = run_reference(model, inputs, keep_maps=True)
    jobs = []
    for position, kernels in enumerate(KernelSet):
        # Layers and their narrow forms have kernels of the set and, by turns, portable ones.
        portable = {layer.name: KernelSet.PORTABLE for layer in model.steps[position % 2 :: 2]}
        model = with_kernels(model, kernels, portable)
        plan = plans(model)[position]
        found = run_planned_reference(model, plan, inputs, keep_maps=True)
        np.testing.assert_array_equal(found.outputs[0], expected.outputs[0])
        for name, values in found.maps.items():
            mask = found.computed[name]
            np.testing.assert_array_equal(values[mask], expected.maps[name][mask], err_msg=name)
        jobs.append(Job(f"{choice}, then {plan.stages[1].schedule}, {kernels}", model, plan, inputs))
    require_all_right(jobs, tmp_path)


def test_tiles_by_value_differ_from_image_to_image() -> None:
    """Or the test above would show nothing."""
    model, inputs = branched(**CHOICES["by value"])

    computed = run_reference(model, inputs, keep_maps=True).computed[narrow_name("conv2d0")]

    assert computed.any(axis=(1, 2)).any()
    assert not computed.all()
    assert len({mask.tobytes() for mask in computed}) > 1


def test_wide_tiles_are_those_of_the_plain_network_and_narrow_ones_are_not() -> None:
    model, inputs = branched(wide=((0, 0), (0, 1), (0, 2)))

    plain = run_reference(replace(model, branches=None), inputs, keep_maps=True).maps["conv2d4"]
    found = run_reference(model, inputs, keep_maps=True).maps["conv2d4"]

    np.testing.assert_array_equal(found[:, :3], plain[:, :3])
    assert (found[:, 3:] != plain[:, 3:]).any()


def test_weights_that_both_forms_have_are_written_once() -> None:
    model, _ = branched(wide=((0, 0),))
    text = generate_c(model, plans(model)[0])[f"{file_stem(model.name)}_weights.c"]

    assert text.count("conv2d4_weights[") == 1
    assert "conv2d4_narrow_weights" not in text
    assert "conv2d4_narrow_multiplier[" in text
    arrays = sum(array.bytes for layer in model.layers if layer.kernel for array in layer.kernel.constants)
    assert arrays < model.weight_bytes < 2 * arrays


def test_forms_that_do_not_meet_are_refused() -> None:
    graph = network()
    ranges = {tensor.name: Range(-1.0, 1.0) for tensor in graph.maps()}
    model = lower(quantize_graph(graph, ranges))
    other = narrow_form(quantize_graph(graph, narrowed(ranges, {"conv2d4"}, 0.5)), TILED)

    with pytest.raises(McukitError, match="'conv2d4' leaves the tiles") as caught:
        with_branches(model, other, (2, 2))
    assert caught.value.problems[0].code == "bad-branches"
    with pytest.raises(McukitError) as caught:
        branched(wide=((2, 0), (0, 0), (0, 3)))
    assert [problem.message for problem in caught.value.problems] == [
        "tile (2, 0) lies outside of the grid of 2 x 3",
        "tile (0, 3) lies outside of the grid of 2 x 3",
    ]
    assert caught.value.problems[0].hint == "rows count from 0 to 1, columns from 0 to 2"
    with pytest.raises(McukitError, match="2 x 3 tiles have 2 counts of outliers"):
        branched(test=OutlierTest(-1, 1, (1, 1)))
    with pytest.raises(McukitError, match="positions and a test"):
        branched(wide=((0, 0),), test=OutlierTest(-1, 1, (1,) * 6))


def test_plans_must_begin_with_the_tiles_of_the_model() -> None:
    model, _ = branched(wide=((0, 0),))
    flow = Dataflow(model)
    names = tuple(layer.name for layer in flow.layers)

    with pytest.raises(McukitError, match="its first stage is 5 layers in 2 x 3 patches") as caught:
        plan_of(flow, (Stage(names),))
    assert caught.value.problems[0].code == "bad-stage"


def test_the_search_plans_behind_the_tiles_of_the_model() -> None:
    model, inputs = branched(wide=((0, 0),))
    found = choose_plan(model, PlanRequest())

    assert found.plan.stages[0] == branch_stage(Dataflow(model))
    assert found.macs_redundant > 0
    run = run_planned_reference(model, found.plan, inputs)
    np.testing.assert_array_equal(run.outputs[0], run_reference(model, inputs).outputs[0])
    with pytest.raises(McukitError, match="can't be pushed"):
        choose_plan(model, PlanRequest(pushed=True))


def test_narrow_tiles_count_with_their_own_kernels() -> None:
    estimates = {wide: choose_plan(branched(wide=wide)[0], PlanRequest()).instructions for wide in ((), ((0, 0),))}

    assert estimates[()] != estimates[((0, 0),)]


@pytest.mark.parametrize("choice", CHOICES)
def test_standard_operators_compute_the_same_bytes(choice: str) -> None:
    """In TFLite Micro's own interpreter, tile by tile."""
    pytest.importorskip("tflite_micro", reason="the tflite-micro package is not installed")
    model, inputs = branched(**CHOICES[choice])
    stage = branch_stage(Dataflow(model))
    assert stage is not None
    patched = build_patched_tflite(model, (stage,))

    outputs = run_tflm(write_tflite(patched), inputs)

    np.testing.assert_array_equal(outputs[0], run_reference(model, inputs).outputs[0])

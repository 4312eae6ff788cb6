# SPDX-License-Identifier: Apache-2.0
"""Every schedule gives the bytes that whole maps give, in the memory that the plan says."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcukit.emulation import planned_reference
from mcukit.emulation.planned_reference import run_planned_reference
from mcukit.emulation.reference import run_reference
from mcukit.errors import McukitError
from mcukit.graph.graph import Graph, Node, Quantization, Tensor
from mcukit.ops.max_pool import MaxPool
from mcukit.ops.window import Window
from mcukit.planning.check import check_plan
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import Halo, Plan, Stage
from mcukit.planning.planner import plan_layers, plan_of
from mcukit.quantized.integer import IntegerModel
from mcukit.quantized.lower import lower
from tests.planning.chain_network import LAYERS, chain_inputs, chain_network, edited, one_after_the_other
from tests.planning.random_networks import random_inputs, random_network, random_stages

MODEL = chain_network()
SCHEDULES = {
    "layers": (Stage(LAYERS),),
    "stream": (Stage(LAYERS, halo=Halo.KEPT),),
    "strips": (Stage(LAYERS, 1, 4, Halo.KEPT),),
    "patches": (Stage(LAYERS, 3, 2),),
    "patches of one pixel": (Stage(LAYERS, 4, 4),),
    "stream+patches": (Stage(LAYERS[:2], halo=Halo.KEPT), Stage(LAYERS[2:], 2, 2)),
    "strips+layers": (Stage(LAYERS[:4], 1, 3, Halo.KEPT), Stage(LAYERS[4:])),
}


def check_bytes(model: IntegerModel, plan: Plan, inputs: np.ndarray) -> None:
    """Outputs, and of every map what was computed, are those of the network run layer by layer without any plan."""
    expected = run_reference(model, inputs, keep_maps=True)
    found = run_planned_reference(model, plan, inputs, keep_maps=True)
    for wanted, values in zip(expected.outputs, found.outputs, strict=True):
        np.testing.assert_array_equal(wanted, values, strict=True)
    assert found.maps.keys() == found.computed.keys() == expected.maps.keys()
    for name, values in found.maps.items():
        computed = found.computed[name]
        assert computed.shape == values.shape[:3]
        np.testing.assert_array_equal(values[computed], expected.maps[name][computed], err_msg=name)
    for tensor in model.outputs:
        assert found.computed[tensor.name].all()


@pytest.mark.parametrize("pushed", [False, True])
@pytest.mark.parametrize("stages", SCHEDULES.values(), ids=SCHEDULES)
def test_every_schedule_gives_the_same_bytes(stages: tuple[Stage, ...], pushed: bool) -> None:
    flow = Dataflow(MODEL)
    if pushed and (stages[0].schedule != "stream"):
        with pytest.raises(McukitError, match="streams"):
            plan_of(flow, stages, pushed=True)
        return
    check_bytes(MODEL, plan_of(flow, stages, pushed=pushed), chain_inputs())


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False))
def test_random_networks_under_random_plans(generator: Random) -> None:
    model = random_network(generator)
    flow = Dataflow(model)
    inputs = random_inputs(model, generator)
    for _ in range(2):
        stages, pushed = random_stages(flow, generator)
        plan = plan_of(flow, stages, pushed=pushed)
        check_plan(flow, plan)
        check_bytes(model, plan, inputs)


def test_random_networks_have_all_operators_and_plans_all_schedules() -> None:
    found: set[object] = set()
    for seed in range(100):
        generator = Random(seed)
        model = random_network(generator)
        stages, pushed = random_stages(Dataflow(model), generator)
        found |= (
            {layer.node.operator.op_name for layer in model.layers} | {stage.schedule for stage in stages} | {pushed}
        )
    assert found == {
        "add", "average_pool", "clip", "concat", "conv2d", "depthwise_conv2d", "fully_connected", "leaky_relu",
        "max_pool", "mean", "mul", "pad", "reshape", "resize_nearest", "sigmoid", "softmax", "sub",
        "layers", "stream", "strips", "patches", True, False,
    }  # fmt: skip


def test_outputs_alone_need_no_maps() -> None:
    run = run_planned_reference(MODEL, plan_layers(MODEL), chain_inputs())
    assert run.maps == run.computed == {}
    np.testing.assert_array_equal(run.outputs[0], run_reference(MODEL, chain_inputs()).outputs[0])


def test_batches_are_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planned_reference, "BATCH_ELEMENTS", 1)
    check_bytes(MODEL, plan_layers(MODEL), chain_inputs())


def test_what_nobody_reads_is_not_computed_and_marked() -> None:
    """Every other row and column of the first map are skipped by the strides of its reader."""
    same = Quantization.per_tensor(0.1, 0)
    tensors = [Tensor("in", (1, 8, 8, 2), None, same), Tensor("a", (1, 8, 8, 2), None, same)]
    tensors.append(Tensor("b", (1, 2, 2, 2), None, same))
    nodes = (
        Node("a", MaxPool(Window((1, 1))), ("in",), "a"),
        Node("b", MaxPool(Window((1, 1), (4, 4))), ("a",), "b"),
    )
    model = lower(Graph("sparse", {tensor.name: tensor for tensor in tensors}, nodes, ("in",), ("b",)))
    plan = plan_of(Dataflow(model), (Stage(("a", "b"), 2, 2),))
    inputs = random_inputs(model, Random(3))
    computed = run_planned_reference(model, plan, inputs, keep_maps=True).computed["a"]
    assert all(np.argwhere(mask).tolist() == [[0, 0], [0, 4], [4, 0], [4, 4]] for mask in computed)
    check_bytes(model, plan, inputs)


def test_tiles_that_contradict_each_other_are_noticed() -> None:
    """The second tile computes halo rows again, from an input that the first tile's output lies on."""
    stages = (Stage(LAYERS[:2], 2, 1), Stage(LAYERS[2:]))
    plan = one_after_the_other(plan_of(Dataflow(MODEL), stages))
    broken = edited(plan, maps={"mean": {"offset": plan.maps["in"].offset}})
    with pytest.raises(McukitError, match="computed twice, with different results") as caught:
        run_planned_reference(MODEL, broken, chain_inputs(), keep_maps=True)
    assert caught.value.problems[0].where == "map 'largest'"
    expected = run_reference(MODEL, chain_inputs()).outputs[0]
    assert not np.array_equal(run_planned_reference(MODEL, broken, chain_inputs()).outputs[0], expected)


def test_a_plan_for_another_network_is_refused() -> None:
    other = random_network(Random(5))
    with pytest.raises(McukitError) as caught:
        run_planned_reference(other, plan_layers(MODEL), random_inputs(other, Random(5)))
    assert caught.value.problems[0].code == "bad-stage"


@pytest.mark.parametrize(
    "inputs", [np.zeros((1, 8, 8, 4), np.uint8), np.zeros((2, 8, 8, 3), np.int8), chain_inputs()[:0]]
)
def test_inputs_that_do_not_fit_are_refused(inputs: np.ndarray) -> None:
    with pytest.raises(McukitError) as caught:
        run_planned_reference(MODEL, plan_layers(MODEL), inputs)
    assert caught.value.problems[0].code == "wrong-input"


def test_places_of_a_wrong_size_are_refused() -> None:
    plan = plan_layers(MODEL)
    with pytest.raises(McukitError) as caught:
        run_planned_reference(MODEL, replace(plan, arenas={"ram": 4}), chain_inputs())
    assert caught.value.problems[0].code == "bad-plan"

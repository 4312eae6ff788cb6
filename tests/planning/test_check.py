# SPDX-License-Identifier: Apache-2.0
"""Plans that can be executed pass; of all others the check says which rows of which buffers are in each other's way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcukit.emulation.planned_reference import run_planned_reference
from mcukit.emulation.reference import run_reference
from mcukit.errors import McukitError
from mcukit.planning.check import MOST_CONFLICTS, check_plan
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import DEFAULT_REGION, Halo, Place, Plan, Stage
from mcukit.planning.planner import plan_of
from mcukit.quantized.integer import with_kernels
from mcukit.quantized.kernel_sets import KernelSet
from tests.ops.harness import case_graph, quantize_case
from tests.ops.test_depthwise_conv2d import SAME3, depthwise
from tests.planning.chain_network import LAYERS, chain_inputs, chain_network, edited, one_after_the_other
from tests.planning.random_networks import random_inputs, random_network, random_stages

FLOW = Dataflow(chain_network())
STAGES = {
    "layers": (Stage(LAYERS),),
    "stream": (Stage(LAYERS, halo=Halo.KEPT),),
    "strips": (Stage(LAYERS, 1, 2, Halo.KEPT),),
    "patches": (Stage(LAYERS, 2, 3),),
    "stream and layers": (Stage(LAYERS[:3], halo=Halo.KEPT), Stage(LAYERS[3:])),
}
STREAM = one_after_the_other(plan_of(FLOW, STAGES["stream"]))
PUSHED = one_after_the_other(plan_of(FLOW, STAGES["stream"], pushed=True))
STRIPS = one_after_the_other(plan_of(FLOW, STAGES["strips"]))
WHOLE = one_after_the_other(plan_of(FLOW, STAGES["layers"]))
Edit = Callable[[], Plan]


def at(plan: Plan, name: str) -> int:
    return plan.maps[name].offset


def row_bytes(plan: Plan, name: str) -> int:
    return plan.maps[name].bytes // plan.maps[name].rows


def fewer_rows(plan: Plan, name: str) -> Plan:
    place = plan.maps[name]
    return edited(plan, maps={name: {"rows": place.rows - 1, "bytes": place.bytes - row_bytes(plan, name)}})


@pytest.mark.parametrize("pushed", [False, True])
@pytest.mark.parametrize("stages", STAGES.values(), ids=STAGES)
def test_what_the_planner_makes_passes(stages: tuple[Stage, ...], pushed: bool) -> None:
    if pushed and stages[0].schedule != "stream":
        with pytest.raises(McukitError, match="streams"):
            plan_of(FLOW, stages, pushed=True)
        return
    plan = plan_of(FLOW, stages, pushed=pushed)
    check_plan(FLOW, plan)
    check_plan(FLOW, one_after_the_other(plan))


OVERLAPS: dict[str, tuple[Edit, str]] = {
    "a ring too short for a window": (
        lambda: fewer_rows(PUSHED, "in"),
        "row 0 of map 'in' has made way for row 2 when row 1 of map 'largest' is computed: 2 rows are too few",
    ),
    "a ring too short for a residual": (
        lambda: fewer_rows(STREAM, "largest"),
        "row 0 of map 'largest' has made way for row 2",
    ),
    "a ring too short in a strip": (lambda: fewer_rows(STRIPS, "sum"), "row 0 of map 'sum' has made way for row 1"),
    "two maps": (
        lambda: edited(STREAM, maps={"sum": {"offset": at(STREAM, "largest")}}),
        "and row 0 of map 'sum' are both alive when row 1 of map 'mean' is computed, and share 32 bytes",
    ),
    "a part of a row": (
        lambda: edited(STREAM, maps={"sum": {"offset": at(STREAM, "largest") - row_bytes(STREAM, "sum") + 4}}),
        "share 4 bytes",
    ),
    "scratch and what it is computed from": (
        lambda: edited(STREAM, scratch={"mean": {"offset": at(STREAM, "largest")}}),
        "and scratch of 'mean' are both alive when row 0 of map 'mean' is computed, and share 16 bytes",
    ),
    "scratch and output": (
        lambda: edited(STREAM, scratch={"mean": {"offset": at(STREAM, "mean")}}),
        "row 0 of map 'mean' and its scratch share 16 bytes",
    ),
    "scratch of whole maps": (
        lambda: edited(WHOLE, scratch={"mean": {"offset": at(WHOLE, "mean") + 7 * row_bytes(WHOLE, "mean")}}),
        "row 7 of map 'mean' and its scratch share 16 bytes",
    ),
    "in place without leave": (
        lambda: edited(WHOLE, maps={"largest": {"offset": at(WHOLE, "in")}}),
        "row 0 of map 'largest' would overwrite 32 bytes of the rows of map 'in' that it needs",
    ),
    "in place, but a word aside": (
        lambda: edited(WHOLE, maps={"rectified": {"offset": at(WHOLE, "mean") + 4}}),
        "row 0 of map 'rectified' would overwrite 28 bytes of the rows of map 'mean' that it needs",
    ),
    "in place of what is read later": (
        lambda: edited(WHOLE, maps={"rectified": {"offset": at(WHOLE, "largest")}}),
        "row 0 of map 'largest' and row 0 of map 'rectified' are both alive when row 0 of map 'sum' is computed",
    ),
}


@pytest.mark.parametrize(("edit", "message"), OVERLAPS.values(), ids=OVERLAPS)
def test_rows_that_are_in_each_others_way(edit: Edit, message: str) -> None:
    plan = edit()
    with pytest.raises(McukitError) as caught:
        check_plan(FLOW, plan)
    assert message in str(caught.value)
    assert {problem.code for problem in caught.value.problems} == {"bad-plan"}
    assert all(problem.where and problem.hint for problem in caught.value.problems)
    inputs = chain_inputs()
    expected = run_reference(FLOW.model, inputs).outputs[0]
    assert not np.array_equal(run_planned_reference(FLOW.model, plan, inputs).outputs[0], expected)


ALLOWED: dict[str, Edit] = {
    "in place": lambda: edited(WHOLE, maps={"rectified": {"offset": at(WHOLE, "mean")}}),
    "a row of a pooled map ahead": lambda: edited(
        WHOLE, maps={name: {"offset": at(WHOLE, "sum") - row_bytes(WHOLE, "small")} for name in ("small", "vector")}
    ),
    "two rows of a window behind": lambda: edited(
        WHOLE, maps={"largest": {"offset": 0}, "in": {"offset": 2 * row_bytes(WHOLE, "in")}}
    ),
    "a ring longer than it must be": lambda: edited(
        STREAM, maps={"sum": {"offset": STREAM.arena_bytes, "rows": 5, "bytes": 160}}
    ),
    "scratch in the place of an input that is gone": lambda: edited(WHOLE, scratch={"mean": {"offset": 0}}),
}


@pytest.mark.parametrize("edit", ALLOWED.values(), ids=ALLOWED)
def test_memory_that_may_be_shared(edit: Edit) -> None:
    plan = edit()
    check_plan(FLOW, plan)
    inputs = chain_inputs()
    expected = run_reference(FLOW.model, inputs).outputs[0]
    np.testing.assert_array_equal(run_planned_reference(FLOW.model, plan, inputs).outputs[0], expected)


@pytest.mark.parametrize(("kernels", "behind"), [(KernelSet.PORTABLE, 2), (KernelSet.DSP, 5)])
def test_rows_that_are_computed_together_need_the_input_of_all(kernels: KernelSet, behind: int) -> None:
    case = depthwise(10, 12, 4, SAME3)
    portable, inputs = quantize_case(case, case_graph(case))
    flow = Dataflow(with_kernels(portable, kernels))
    assert flow.kernels[0].rows_together == (4 if kernels is KernelSet.DSP else 1)
    plan = plan_of(flow, (Stage(("output",)),))
    rows = row_bytes(plan, "input")

    def with_input(place: int) -> Plan:
        maps = {"output": {"offset": 0}, "input": {"offset": place * rows}}
        return edited(plan, maps=maps, scratch={"output": {"offset": 20 * rows}})

    allowed, refused = with_input(behind), with_input(behind - 1)
    expected = run_reference(flow.model, inputs).outputs[0]
    check_plan(flow, allowed)
    np.testing.assert_array_equal(run_planned_reference(flow.model, allowed, inputs).outputs[0], expected)
    with pytest.raises(McukitError, match="would overwrite"):
        check_plan(flow, refused)
    assert not np.array_equal(run_planned_reference(flow.model, refused, inputs).outputs[0], expected)
    used = flow.shape("input")[0] * rows + (behind - 1) * rows
    assert plan.arena_bytes >= used


def without(plan: Plan, name: str) -> Plan:
    return replace(plan, maps={other: place for other, place in plan.maps.items() if other != name})


PLACES: dict[str, tuple[Edit, str, str]] = {
    "a map without place": (lambda: without(WHOLE, "mean"), "map 'mean'", "it has no place"),
    "a view without place": (lambda: without(WHOLE, "vector"), "map 'vector'", "it has no place"),
    "no such map": (
        lambda: replace(WHOLE, maps={**WHOLE.maps, "other": WHOLE.maps["in"]}),
        "map 'other'",
        "the network needs no such memory",
    ),
    "no scratch": (lambda: replace(WHOLE, scratch={}), "scratch of 'mean'", "it has no place"),
    "scratch for nothing": (
        lambda: replace(WHOLE, scratch={**WHOLE.scratch, "sum": Place(DEFAULT_REGION, 0, 4)}),
        "scratch of 'sum'",
        "the network needs no such memory",
    ),
    "small scratch": (
        lambda: edited(WHOLE, scratch={"mean": {"bytes": 12}}),
        "scratch of 'mean'",
        "12 bytes are given, the layer needs 16",
    ),
    "odd offset": (lambda: edited(WHOLE, maps={"in": {"offset": 2}}), "map 'in'", "offset 2 is not a multiple of 4"),
    "negative offset": (lambda: edited(WHOLE, maps={"in": {"offset": -4}}), "map 'in'", "offset -4 is not"),
    "no such region": (
        lambda: edited(WHOLE, maps={"in": {"region": "dtcm"}}),
        "map 'in'",
        "there is no arena in 'dtcm'",
    ),
    "arena too large": (
        lambda: replace(WHOLE, arenas={DEFAULT_REGION: WHOLE.arena_bytes + 4}),
        "arena 'ram'",
        f"it has {WHOLE.arena_bytes + 4} bytes, but what lies in it ends at {WHOLE.arena_bytes}",
    ),
    "arena too small": (lambda: replace(WHOLE, arenas={DEFAULT_REGION: 0}), "arena 'ram'", "it has 0 bytes"),
    "arena for nothing": (
        lambda: replace(WHOLE, arenas={**WHOLE.arenas, "dtcm": 64}),
        "arena 'dtcm'",
        "it has 64 bytes, but what lies in it ends at 0",
    ),
    "a part of a whole map": (
        lambda: fewer_rows(WHOLE, "mean"),
        "map 'mean'",
        "7 rows and 8 columns are held, but all 8 x 8 are needed",
    ),
    "no rows": (lambda: edited(STREAM, maps={"mean": {"rows": 0, "bytes": 0}}), "map 'mean'", "0 rows are held of 8"),
    "more rows than there are": (
        lambda: edited(STREAM, maps={"mean": {"rows": 9, "bytes": 288}}),
        "map 'mean'",
        "9 rows are held of 8",
    ),
    "fewer columns than a tile": (
        lambda: edited(STRIPS, maps={"mean": {"columns": 3, "bytes": 12}}),
        "map 'mean'",
        "3 columns are held, but tiles have up to 4 of the map's 8",
    ),
    "wrong bytes": (
        lambda: edited(STREAM, maps={"sum": {"bytes": 60}}),
        "map 'sum'",
        "60 bytes are not 2 rows of 8 columns of 4 channels",
    ),
    "a view elsewhere": (
        lambda: edited(WHOLE, maps={"vector": {"offset": 0}}),
        "map 'vector'",
        "it is 'small' in another shape",
    ),
    "weights of nothing": (
        lambda: replace(WHOLE, weights={"other": "flash"}),
        "weights of 'other'",
        "the network has no such layer",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("edit", "where", "message"), PLACES.values(), ids=PLACES)
def test_places_that_cannot_be_right(edit: Edit, where: str, message: str) -> None:
    plan = edit()
    with pytest.raises(McukitError) as caught:
        check_plan(FLOW, plan)
    found = [problem for problem in caught.value.problems if problem.where == where]
    assert any(message in problem.message for problem in found), str(caught.value)
    assert all(problem.code == "bad-plan" and problem.hint for problem in caught.value.problems)
    with pytest.raises(McukitError):
        run_planned_reference(FLOW.model, plan, chain_inputs())


def test_all_places_that_are_wrong_are_named() -> None:
    plan = replace(without(WHOLE, "mean"), scratch={}, arenas={DEFAULT_REGION: 4})
    with pytest.raises(McukitError) as caught:
        check_plan(FLOW, plan)
    assert {problem.where for problem in caught.value.problems} == {"map 'mean'", "scratch of 'mean'", "arena 'ram'"}


def test_many_conflicts_are_counted() -> None:
    model = random_network(Random(1))
    flow = Dataflow(model)
    plan = plan_of(flow, (Stage(tuple(layer.name for layer in flow.layers)),))
    maps = {name: replace(place, offset=0) for name, place in plan.maps.items()}
    scratch = {name: replace(place, offset=0) for name, place in plan.scratch.items()}
    end = max(place.bytes for place in (*maps.values(), *scratch.values()))
    plan = replace(plan, maps=maps, scratch=scratch, arenas={DEFAULT_REGION: -(-end // 4) * 4})
    with pytest.raises(McukitError, match="more pairs of buffers are in each other's way") as caught:
        check_plan(flow, plan)
    assert len(caught.value.problems) == MOST_CONFLICTS + 1


def test_stages_are_checked_first() -> None:
    with pytest.raises(McukitError) as caught:
        check_plan(FLOW, replace(WHOLE, stages=(Stage(LAYERS[1:]),)))
    assert caught.value.problems[0].code == "bad-stage"


@settings(deadline=None)
@given(st.randoms(use_true_random=False))
def test_a_plan_that_passes_gives_the_right_bytes_wherever_things_lie(generator: Random) -> None:
    """Places are moved at random: whatever the check lets pass must not change a byte."""
    model = random_network(generator)
    flow = Dataflow(model)
    stages, pushed = random_stages(flow, generator)
    plan = plan_of(flow, stages, pushed=pushed)
    maps, scratch = dict(plan.maps), dict(plan.scratch)
    for _ in range(generator.randint(1, 3)):
        places = generator.choice([places for places in (maps, scratch) if places])
        name = generator.choice(list(places))
        offset = max(0, places[name].offset + 4 * generator.randint(-12, 12))
        if places is scratch:
            scratch[name] = replace(scratch[name], offset=offset)
            continue
        owner = flow.owner(name)
        together = [other for other in maps if flow.owner(other) == owner]
        maps |= {other: replace(maps[other], offset=offset) for other in together}
    end = max(place.end for place in (*maps.values(), *scratch.values()))
    moved = replace(plan, maps=maps, scratch=scratch, arenas={DEFAULT_REGION: -(-end // 4) * 4})
    try:
        check_plan(flow, moved)
    except McukitError:
        return
    inputs = random_inputs(model, generator)
    expected = run_reference(model, inputs).outputs
    for wanted, found in zip(expected, run_planned_reference(model, moved, inputs).outputs, strict=True):
        np.testing.assert_array_equal(wanted, found)

# SPDX-License-Identifier: Apache-2.0
"""What is used most lies in the fastest region, nothing lies where it may not, and what finds no place is named."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random

import numpy as np
import pytest

from mcukit.errors import McukitError
from mcukit.planning.check import check_plan
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.lifetimes import BufferNeed, Cells
from mcukit.planning.placement import Conflicts, place
from mcukit.planning.plan import DEFAULT_REGION, Halo, Plan, Stage
from mcukit.planning.planner import plan_of
from mcukit.planning.region_budget import RegionBudget
from mcukit.planning.regions import (
    Assignment,
    Constants,
    Shortage,
    assign_buffers,
    assign_weights,
    constants_of,
)
from mcukit.planning.schedule import partition
from tests.planning.networks import NETWORKS, network_named
from tests.planning.random_networks import random_network, random_stages
from tests.planning.small_network import PLANS, network, stages_of

FLASH = RegionBudget("flash", 1 << 20, "flash")


def buffer(size: int, accesses: float, born: int = 0, dies: int = 9) -> BufferNeed:
    cells = Cells(*(np.array([value], np.int64) for value in (0, size, born, dies)))
    return BufferNeed((f"{size}x{accesses:g}",), False, size, 1, 1, cells, accesses)


def regions(*sizes: int, without_dma: tuple[int, ...] = ()) -> tuple[RegionBudget, ...]:
    return tuple(RegionBudget(f"r{i}", size, dma=i not in without_dma) for i, size in enumerate(sizes))


ASSIGNMENTS: dict[str, tuple[list[BufferNeed], tuple[RegionBudget, ...], list[str], dict[str, int]]] = {
    "all in the fastest": ([buffer(40, 1), buffer(60, 2)], regions(100, 100), ["r0", "r0"], {"r0": 100}),
    "the hotter one in the fastest": (
        [buffer(40, 1), buffer(60, 2)], regions(99, 100), ["r1", "r0"], {"r0": 60, "r1": 40}
    ),
    "heat before size": ([buffer(40, 2), buffer(60, 1)], regions(99, 100), ["r0", "r1"], {"r0": 40, "r1": 60}),
    "cold ones beside hot ones, if they fit": (
        [buffer(40, 3), buffer(80, 2), buffer(20, 1)], regions(60, 80), ["r0", "r1", "r0"], {"r0": 60, "r1": 80}
    ),
    "one after the other": (
        [buffer(40, 1, 0, 1), buffer(40, 1, 2, 3)], regions(40, 80), ["r0", "r0"], {"r0": 40}
    ),
    "three regions by heat": (
        [buffer(40, 1), buffer(40, 2), buffer(40, 3)], regions(40, 40, 40), ["r2", "r1", "r0"],
        {"r0": 40, "r1": 40, "r2": 40},
    ),
    "regions that nobody needs": ([buffer(40, 1)], regions(8, 40, 40), ["r1"], {"r1": 40}),
    "the large one goes first where heat leaves it no place": (
        [buffer(12, 9), buffer(100, 1), buffer(60, 5)], regions(104, 72), ["r1", "r0", "r1"], {"r0": 100, "r1": 72}
    ),
    "whole words": ([buffer(5, 2), buffer(5, 1)], regions(15, 8), ["r0", "r1"], {"r0": 8, "r1": 8}),
}  # fmt: skip


@pytest.mark.parametrize(("buffers", "given", "expected", "arenas"), ASSIGNMENTS.values(), ids=ASSIGNMENTS)
def test_assignments(
    buffers: list[BufferNeed], given: tuple[RegionBudget, ...], expected: list[str], arenas: dict[str, int]
) -> None:
    found = assign_buffers(Conflicts(buffers), given)
    assert isinstance(found, Assignment)
    assert [found.places[position][0] for position in range(len(buffers))] == expected
    assert found.arenas == arenas
    assert list(found.arenas) == sorted(arenas)


INPUT_FIRST = 0
DMA: dict[str, tuple[list[BufferNeed], tuple[RegionBudget, ...], list[str]]] = {
    "all but the input": ([buffer(40, 9), buffer(40, 1)], regions(80, 40, without_dma=(0,)), ["r1", "r0"]),
    "a cold input leaves hot ones the fast region": (
        [buffer(40, 1), buffer(40, 9)], regions(40, 40, 40, without_dma=(2,)), ["r1", "r0"]
    ),
    "hot ones make room where the input must be": (
        [buffer(40, 1), buffer(40, 9)], regions(40, 40, without_dma=(1,)), ["r0", "r1"]
    ),
}  # fmt: skip


@pytest.mark.parametrize(("buffers", "given", "expected"), DMA.values(), ids=DMA)
def test_the_input_lies_where_dma_reaches_it(
    buffers: list[BufferNeed], given: tuple[RegionBudget, ...], expected: list[str]
) -> None:
    found = assign_buffers(Conflicts(buffers), given, [INPUT_FIRST])
    assert isinstance(found, Assignment)
    assert [found.places[position][0] for position in range(len(buffers))] == expected


SHORTAGES: dict[str, tuple[list[BufferNeed], tuple[RegionBudget, ...], tuple[int, ...], Shortage]] = {
    "one buffer": ([buffer(100, 1)], regions(40, 60), (), Shortage(0, "r1", 40)),
    "the largest": ([buffer(8, 9), buffer(100, 1)], regions(40, 60), (), Shortage(1, "r1", 40)),
    "the second largest": ([buffer(60, 9), buffer(80, 1)], regions(80, 40), (), Shortage(0, "r1", 20)),
    "two in one region": ([buffer(60, 9), buffer(80, 1)], regions(100), (), Shortage(0, "r0", 40)),
    "an input out of reach": ([buffer(60, 1)], regions(99, 40, without_dma=(0,)), (0,), Shortage(0, "r1", 20)),
}


@pytest.mark.parametrize(("buffers", "given", "for_dma", "expected"), SHORTAGES.values(), ids=SHORTAGES)
def test_shortages(
    buffers: list[BufferNeed], given: tuple[RegionBudget, ...], for_dma: tuple[int, ...], expected: Shortage
) -> None:
    assert assign_buffers(Conflicts(buffers), given, for_dma) == expected


def test_there_must_be_a_region() -> None:
    with pytest.raises(ValueError, match="no memory region"):
        assign_buffers(Conflicts([buffer(4, 1)]), ())
    with pytest.raises(ValueError, match="no memory region"):
        assign_buffers(Conflicts([buffer(4, 1)]), regions(99, without_dma=(0,)), [0])


@pytest.mark.parametrize("seed", range(30))
def test_what_fits_one_region_is_always_placed(seed: int) -> None:
    generator = Random(seed)
    buffers = []
    for _ in range(12):
        born = generator.randint(0, 9)
        size = generator.randint(1, 60)
        buffers.append(buffer(size, generator.random(), born, born + generator.randint(0, 4)))
    conflicts = Conflicts(buffers)
    arena = place(conflicts)[1]
    for given in (regions(arena), regions(arena // 3, arena), regions(arena // 2, arena // 3, arena)):
        found = assign_buffers(conflicts, given)
        assert isinstance(found, Assignment)
        assert sorted(found.places) == list(range(len(buffers)))
        assert all(found.arenas[region.name] <= region.bytes for region in given if region.name in found.arenas)


@pytest.mark.parametrize("name", NETWORKS)
def test_plans_in_regions_are_proven(name: str) -> None:
    model, _ = network_named(name)
    flow = Dataflow(model)
    names = tuple(layer.name for layer in flow.layers)
    for halo in Halo:
        single = plan_of(flow, (Stage(names, halo=halo),))
        given = regions(single.arena_bytes // 3, single.arena_bytes, without_dma=(0,))
        plan = plan_of(flow, single.stages, regions=given)
        check_plan(flow, plan)
        assert plan.maps[model.input.name].region == "r1"
        assert all(plan.arenas[region.name] <= region.bytes for region in given if region.name in plan.arenas)


@pytest.mark.parametrize("seed", range(25))
def test_random_plans_fit_or_say_what_is_missing(seed: int) -> None:
    generator = Random(seed)
    model = random_network(generator)
    flow = Dataflow(model)
    stages, pushed = random_stages(flow, generator)
    total = plan_of(flow, stages, pushed=pushed).arena_bytes
    given = regions(*(int(total * generator.uniform(0.2, 0.9)) for _ in range(3)), without_dma=(0,))
    try:
        plan = plan_of(flow, stages, pushed=pushed, regions=given, weight_regions=(given[0], FLASH))
    except McukitError as error:
        found = error.problems
    else:
        require_fit(flow, plan, given)
        return
    assert [problem.code for problem in found] == ["budget-exceeded"]
    assert re.search("finds no place beside the others in r1 or r2|r0, r1 or r2", found[0].message)
    assert found[0].where
    assert found[0].hint


def require_fit(flow: Dataflow, plan: Plan, given: Sequence[RegionBudget]) -> None:
    check_plan(flow, plan)
    sizes = {region.name: region.bytes for region in given}
    assert all(size <= sizes[name] for name, size in plan.arenas.items())
    assert plan.maps[flow.model.input.name].region != "r0"


def test_without_regions_there_is_one_without_limit() -> None:
    flow = Dataflow(network())
    for name, (_, pushed) in PLANS.items():
        plan = plan_of(flow, stages_of(flow, name), pushed=pushed)
        assert list(plan.arenas) == [DEFAULT_REGION]
        assert plan.weights == {}
        large = plan_of(flow, plan.stages, pushed=pushed, regions=regions(1 << 30, 4))
        assert large.arenas == {"r0": plan.arena_bytes}
        assert {name: place.offset for name, place in large.maps.items()} == {
            name: place.offset for name, place in plan.maps.items()
        }


def test_what_finds_no_place_is_named() -> None:
    flow = Dataflow(network())
    stages = stages_of(flow, "layers")
    with pytest.raises(McukitError) as caught:
        plan_of(flow, stages, regions=regions(200, 400, without_dma=(0,)))
    (problem,) = caught.value.problems
    assert problem.code == "budget-exceeded"
    assert problem.where == "node 'a_layer' (conv2d)"
    assert problem.message == (
        "the map 'a' of 480 bytes finds no place beside the others in r0 or r1: at least 140 bytes are missing in r1"
    )
    with pytest.raises(McukitError) as caught:
        plan_of(flow, stages, regions=regions(2000, 300, without_dma=(0,)))
    (problem,) = caught.value.problems
    assert problem.where == "the input"
    assert problem.message.endswith("finds no place beside the others in r1: at least 60 bytes are missing in r1")


HOT, WARM, COLD = Constants("hot", 40, 9.0), Constants("warm", 80, 5.0), Constants("cold", 400, 1.0)
WEIGHTS: dict[str, tuple[tuple[RegionBudget, ...], dict[str, int], dict[str, str]]] = {
    "flash alone": ((FLASH,), {}, {}),
    "all": ((RegionBudget("fast", 520), FLASH), {}, {"hot": "fast", "warm": "fast", "cold": "fast"}),
    "the hottest": ((RegionBudget("fast", 79), FLASH), {}, {"hot": "fast"}),
    "a cooler one where a hotter one is too large": ((RegionBudget("fast", 39), FLASH), {}, {}),
    "what the arena leaves": ((RegionBudget("fast", 580), FLASH), {"fast": 500}, {"hot": "fast"}),
    "what the arena leaves, wherever it begins": ((RegionBudget("fast", 100), FLASH), {"fast": 56}, {}),
    "nothing left": ((RegionBudget("fast", 100), FLASH), {"fast": 100}, {}),
    "two regions": (
        (RegionBudget("fast", 40), RegionBudget("next", 80), FLASH), {"other": 99}, {"hot": "fast", "warm": "next"}
    ),
    "a second flash": (
        (RegionBudget("fast", 40), RegionBudget("flash", 120, "flash"), RegionBudget("qspi", 400, "flash")), {},
        {"hot": "fast", "cold": "qspi"},
    ),
    "copies come from the first flash only": (
        (RegionBudget("fast", 999), RegionBudget("flash", 60, "flash"), RegionBudget("qspi", 999, "flash")), {},
        {"hot": "fast", "warm": "qspi", "cold": "qspi"},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("given", "arenas", "expected"), WEIGHTS.values(), ids=WEIGHTS)
def test_weights(given: tuple[RegionBudget, ...], arenas: dict[str, int], expected: dict[str, str]) -> None:
    assert assign_weights((COLD, HOT, WARM), given, arenas) == expected


def test_weights_that_find_no_place() -> None:
    small = RegionBudget("flash", 400, "flash")
    assert assign_weights((COLD, HOT, WARM), (small,), {}) == Shortage(0, "flash", 120)
    with pytest.raises(ValueError, match="flash"):
        assign_weights((COLD,), (RegionBudget("fast", 999),), {})
    flow = Dataflow(network())
    with pytest.raises(McukitError) as caught:
        plan_of(flow, stages_of(flow, "layers"), weight_regions=(RegionBudget("flash", 600, "flash"),))
    (problem,) = caught.value.problems
    assert (problem.code, problem.where) == ("budget-exceeded", "node 'g_layer' (clip)")
    missing = flow.model.weight_bytes - 600
    assert problem.message == (
        f"weights of 256 bytes find no place beside the others in flash: at least {missing} bytes are missing in flash"
    )


def test_constants_are_as_hot_as_they_are_read() -> None:
    flow = Dataflow(network())

    def constants(name: str) -> dict[str, Constants]:
        stages = partition(flow, stages_of(flow, name), PLANS[name][1])
        return {item.layer: item for item in constants_of(flow, stages)}

    whole = constants("layers")
    assert set(whole) == {"a_layer", "b_layer", "d_layer", "g_layer"}
    assert sum(item.bytes for item in whole.values()) == flow.model.weight_bytes
    assert whole["a_layer"].reads == 12 * 10 * 4 * 27 / whole["a_layer"].bytes
    assert whole["b_layer"].reads == 12 * 10 * 4 / 256  # a table
    # Tiles compute a's halo again, but d's map is the last of their stage but for an addition.
    patches = constants("patches")
    assert patches["a_layer"].reads > whole["a_layer"].reads
    assert patches["d_layer"].reads == whole["d_layer"].reads


def test_hot_weights_lie_beside_the_arena() -> None:
    flow = Dataflow(network())
    fast = RegionBudget("fast", 1000)
    plan = plan_of(flow, stages_of(flow, "layers"), regions=(fast,), weight_regions=(fast, FLASH))
    assert plan.arenas["fast"] == 596
    assert plan.weights == {"a_layer": "fast", "d_layer": "fast"}  # 144 and 180 bytes; a table has 256

# SPDX-License-Identifier: Apache-2.0
"""The search against trying everything: on small networks every way to cut them into stages can be planned."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from random import Random

import pytest

from mcukit.planning.candidates import LAYER_BY_LAYER, STREAM, Candidate, Candidates, Shape
from mcukit.planning.costs import load_costs
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import Halo
from mcukit.planning.planner import plan_of
from mcukit.planning.search import PlanSearch, default_shapes
from tests.planning.chain_network import chain_network
from tests.planning.networks import NETWORKS, network_named
from tests.planning.random_networks import random_network

SHAPES = (LAYER_BY_LAYER, STREAM, Shape(1, 2, Halo.KEPT), Shape(2, 2, Halo.RECOMPUTED))
MOST_LAYERS = 7
SEEDS = [seed for seed in range(40) if 2 <= len(Dataflow(random_network(Random(seed))).layers) <= MOST_LAYERS]


@cache
def everything(seed: int, pushed: bool) -> tuple[tuple[int, int], ...]:
    """Arena and instructions of every path of stages that the search may choose."""
    flow = Dataflow(random_network(Random(seed)))
    candidates = Candidates(flow, load_costs(), pushed)
    found = []
    for path in paths(0, len(flow.layers), pushed):
        if all(candidates.is_possible(candidate) for candidate in path):
            plan = plan_of(flow, [candidates.stage(candidate) for candidate in path], pushed=pushed)
            found.append((plan.arena_bytes, sum(candidates.instructions(candidate) for candidate in path)))
    return tuple(found)


def paths(first: int, count: int, pushed: bool) -> Iterator[tuple[Candidate, ...]]:
    if first == count:
        yield ()
    for last in range(first + 1, count + 1):
        for shape in SHAPES:
            alone = last == first + 1
            if shape == LAYER_BY_LAYER and not alone:
                continue
            if shape == STREAM and alone and not (pushed and first == 0):
                continue
            if shape not in {LAYER_BY_LAYER, STREAM} and first > 0:
                continue
            for rest in paths(last, count, pushed):
                yield (Candidate(first, last, shape), *rest)


def search_of(seed: int, pushed: bool) -> PlanSearch:
    return PlanSearch(Dataflow(random_network(Random(seed))), load_costs(), SHAPES, pushed=pushed)


@pytest.mark.parametrize("pushed", [False, True], ids=["whole", "pushed"])
@pytest.mark.parametrize("seed", SEEDS)
def test_no_plan_beats_what_the_search_calls_optimal(seed: int, pushed: bool) -> None:
    everywhere = everything(seed, pushed)
    search = search_of(seed, pushed)
    if not everywhere:
        assert search.smallest() is None
        return
    for budget in sorted({arena for arena, _ in everywhere}):
        best = min(cost for arena, cost in everywhere if arena <= budget)
        found = search.cheapest(budget)
        if found is None:
            continue
        assert found.plan.arena_bytes <= budget
        assert found.bound <= best <= found.instructions
        if found.optimal:
            assert found.instructions == best


@pytest.mark.parametrize("pushed", [False, True], ids=["whole", "pushed"])
def test_hardly_any_plan_is_missed(pushed: bool) -> None:
    """What fits alone may not fit together: then there may be a plan that the search does not find."""
    budgets = missed = 0
    for seed in SEEDS:
        everywhere = everything(seed, pushed)
        if not everywhere:
            continue
        search = search_of(seed, pushed)
        arenas = sorted({arena for arena, _ in everywhere})
        budgets += len(arenas)
        missed += sum(search.cheapest(arena) is None for arena in arenas)
        smallest = search.smallest()
        assert smallest is not None
        assert arenas[0] <= smallest.plan.arena_bytes <= arenas[0] * 1.05
    assert budgets > 40
    assert missed <= budgets // 10


def test_the_front_descends() -> None:
    for name in NETWORKS:
        flow = Dataflow(network_named(name)[0])
        search = PlanSearch(flow, load_costs(), default_shapes())
        front = search.front()
        arenas = [found.plan.arena_bytes for found in front]
        costs = [found.instructions for found in front]
        assert arenas == sorted(set(arenas), reverse=True)
        assert costs == sorted(set(costs))
        smallest = search.smallest()
        assert smallest is not None
        assert arenas[-1] == smallest.plan.arena_bytes


def test_computed_macs_are_the_networks_and_what_is_redundant() -> None:
    flow = Dataflow(chain_network())
    shape = Shape(2, 2, Halo.RECOMPUTED)
    tiled = PlanSearch(flow, load_costs(), (LAYER_BY_LAYER, shape), first=(shape,)).smallest()
    streamed = PlanSearch(flow, load_costs(), (LAYER_BY_LAYER, STREAM)).smallest()
    assert tiled is not None
    assert streamed is not None
    assert tiled.macs == sum(flow.macs) + tiled.macs_redundant
    assert tiled.plan.stages[0].schedule == "patches"
    assert streamed.macs == sum(flow.macs)
    assert streamed.macs_redundant == 0

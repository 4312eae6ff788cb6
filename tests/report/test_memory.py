# SPDX-License-Identifier: Apache-2.0
"""Who holds which bytes when: for every schedule, and for plans that someone has changed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mcukit.planning.dataflow import Dataflow
from mcukit.planning.lifetimes import buffers_of
from mcukit.planning.placement import live_bytes
from mcukit.planning.plan import Place, Plan
from mcukit.planning.schedule import partition, schedule
from mcukit.quantized.integer import IntegerModel
from mcukit.report.memory import MemoryTimeline, Phase, memory_timelines, phases
from tests.planning.small_network import PLANS, network, planned


def timelines(model: IntegerModel, plan: Plan) -> tuple[MemoryTimeline, ...]:
    flow = Dataflow(model)
    stages = partition(flow, plan.stages, plan.pushed)
    return memory_timelines(flow, plan, stages, schedule(flow, stages, plan.pushed))


def phases_of(plan: Plan) -> tuple[Phase, ...]:
    flow = Dataflow(network())
    stages = partition(flow, plan.stages, plan.pushed)
    return phases(stages, schedule(flow, stages, plan.pushed))


@pytest.mark.parametrize("name", PLANS)
def test_every_buffer_is_held_once_and_alone(name: str) -> None:
    model, plan = network(), planned(network(), name)
    (timeline,) = timelines(model, plan)
    held = [text for holding in timeline.holdings for text in holding.names if holding.kind != "scratch"]
    assert sorted(held) == sorted(set(plan.maps) - {"v"})
    ticks = max(int(holding.cells.dies.max()) for holding in timeline.holdings)
    users = np.zeros((plan.arena_bytes, ticks + 2), np.int64)
    for holding in timeline.holdings:
        cells = holding.cells
        assert int(cells.start.min()) >= holding.offset
        assert int(cells.end.max()) <= holding.offset + holding.bytes
        for start, end, born, dies in zip(cells.start, cells.end, cells.born, cells.dies, strict=True):
            users[start:end, born + 1 : dies + 2] += 1
    assert users.max() == 1
    assert timeline.alive_bytes == users.sum(axis=0).max()
    assert users.sum(axis=0)[timeline.busiest + 1] == timeline.alive_bytes


@pytest.mark.parametrize("name", PLANS)
def test_most_bytes_alive_are_those_of_planning(name: str) -> None:
    flow, plan = Dataflow(network()), planned(network(), name)
    stages = partition(flow, plan.stages, plan.pushed)
    calls = schedule(flow, stages, plan.pushed)
    (timeline,) = memory_timelines(flow, plan, stages, calls)
    assert timeline.alive_bytes == live_bytes(buffers_of(flow, stages, calls, plan.pushed)[0])
    assert timeline.alive_bytes <= timeline.arena_bytes == plan.arena_bytes


def test_kinds() -> None:
    (timeline,) = timelines(network(), planned(network(), "pushed"))
    kinds = {name: holding.kind for holding in timeline.holdings for name in holding.names if holding.kind != "scratch"}
    assert kinds["image"] == "input"
    assert kinds["a"] == kinds["c"] == "ring"
    assert kinds["e"] == "map"
    assert kinds["g"] == "output"
    assert "scratch" in {holding.kind for holding in timeline.holdings}


def test_regions_have_timelines_of_their_own() -> None:
    plan = planned(network(), "layers")
    size = plan.maps["image"].bytes
    moved = replace(
        plan,
        maps={**plan.maps, "image": replace(plan.maps["image"], region="fast", offset=0)},
        arenas={**plan.arenas, "fast": size},
    )
    slow, fast = timelines(network(), moved)
    assert (fast.region, fast.arena_bytes, fast.alive_bytes) == ("fast", size, size)
    assert [holding.names for holding in fast.holdings] == [("image",)]
    assert "image" not in {name for holding in slow.holdings for name in holding.names}


def test_a_ring_that_is_longer_than_it_must_be_is_held_throughout() -> None:
    plan = planned(network(), "stream")
    place = plan.maps["c"]
    longer = Place(place.region, plan.arena_bytes, 6 * place.bytes // place.rows, 6, place.columns)
    changed = replace(plan, maps={**plan.maps, "c": longer}, arenas={place.region: plan.arena_bytes + longer.bytes})
    (timeline,) = timelines(network(), changed)
    (holding,) = (holding for holding in timeline.holdings if holding.names == ("c",))
    assert holding.cells.start.tolist() == [plan.arena_bytes]
    assert holding.cells.end.tolist() == [plan.arena_bytes + longer.bytes]


def test_maps_that_could_share_memory_but_do_not() -> None:
    plan = planned(network(), "layers")
    place = plan.maps["b"]
    apart = replace(place, offset=plan.arena_bytes)
    changed = replace(plan, maps={**plan.maps, "b": apart}, arenas={place.region: apart.end})
    (timeline,) = timelines(network(), changed)
    offsets = {holding.names: holding.offset for holding in timeline.holdings}
    assert offsets[("a",)] == place.offset
    assert offsets[("b",)] == apart.offset


def test_phases_layer_by_layer() -> None:
    parts = phases_of(planned(network(), "layers"))
    assert [(part.layers, part.last - part.first) for part in parts] == [
        ((0,), 12), ((1,), 12), ((2,), 6), ((3,), 6), ((4,), 6), ((5,), 1), ((6,), 1),
    ]  # fmt: skip
    assert [part.first for part in parts[1:]] == [part.last for part in parts[:-1]]


def test_phases_of_stages_that_take_turns() -> None:
    (part,) = phases_of(planned(network(), "stream"))
    assert part == Phase(0, tuple(range(7)), 0, 12 + 12 + 6 + 6 + 6 + 1 + 1, (0,))
    pushed = phases_of(planned(network(), "pushed"))[0]
    assert pushed.last == 12 + 12 + 12 + 6 + 6 + 6, "the rows of the input take a tick each, too"
    patches = phases_of(planned(network(), "patches"))[0]
    assert (len(patches.tiles), patches.tiles[0]) == (4, 0)

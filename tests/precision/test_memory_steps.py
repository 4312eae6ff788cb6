# SPDX-License-Identifier: Apache-2.0
"""What must be in memory, against sums by hand and against what the planner finds alive."""

from __future__ import annotations

import pytest

from mcukit.planning.dataflow import Dataflow
from mcukit.planning.peak import find_peak
from mcukit.planning.plan import Halo, Stage
from mcukit.planning.planner import plan_of
from mcukit.planning.schedule import partition
from mcukit.precision.memory_steps import ExcessBytes, MemoryStep, memory_steps
from mcukit.quantized.precision import INT8, Precision
from tests.float_networks import BLOCK, classifier, dataflow
from tests.planning.networks import NETWORKS, lowered


def steps_of(stage: Stage, *, last: int = BLOCK) -> tuple[Dataflow, tuple[MemoryStep, ...]]:
    """Of a stage with the first layers."""
    graph = classifier()
    flow = dataflow(graph)
    names = tuple(layer.name for layer in flow.layers)
    cut = Stage(names[:last], stage.tile_rows, stage.tile_columns, stage.halo)
    return flow, memory_steps(graph, flow, partition(flow, (cut, Stage(names[last:])), pushed=False)[:1])


def test_layers_hold_what_they_read_compute_and_leave_for_later() -> None:
    flow, steps = steps_of(Stage(()))
    scratch = {layer.name: kernel.scratch_bytes for layer, kernel in zip(flow.layers, flow.kernels, strict=True)}
    image, narrow = 144 * 3, 144 * 8

    assert {step.layer: step.bytes({}) - scratch[step.layer] for step in steps} == {
        "conv2d0": image + narrow,
        "depthwise_conv2d1": 2 * narrow,
        "conv2d2": 3 * narrow,
        "add3": 3 * narrow,
    }


def test_fewer_bits_take_fewer_bytes() -> None:
    _, steps = steps_of(Stage(()))
    addition = steps[-1]
    assert set(addition.groups()) == {"conv2d0", "conv2d2", "add3"}
    assert addition.bytes({"conv2d0": 4, "conv2d2": 2}) - addition.scratch == 144 * (4 + 2 + 8)


def test_the_excess_is_what_no_step_has_room_for() -> None:
    _, steps = steps_of(Stage(()))
    highest = max(step.bytes({}) for step in steps)
    over = sum(step.bytes({}) - 3000 for step in steps if step.bytes({}) > 3000)
    cost = ExcessBytes(classifier(), steps, 3000)

    assert ExcessBytes(classifier(), steps, highest)(INT8) == 0
    assert cost.with_room_for(INT8)(INT8) == 0
    narrow = Precision({"conv2d0": 4})
    assert cost.with_room_for(narrow)(narrow) == 0 < cost.with_room_for(narrow)(INT8) <= over
    assert cost(INT8) == over > 0
    assert cost(Precision({"conv2d0": 4})) == sum(max(step.bytes({"conv2d0": 4}) - 3000, 0) for step in steps) < over


def test_patches_hold_tiles_beside_the_whole_input_and_output() -> None:
    flow, steps = steps_of(Stage((), 2, 2, Halo.RECOMPUTED))
    scratch = flow.kernels[0].scratch_bytes
    # A quarter of the block reads 7 x 7 pixels of the first map: 6 and one of halo.
    whole = 144 * 3 + 144 * 8

    assert {step.bytes({}) - scratch for step in steps if step.layer == "conv2d0"} == {whole + 49 * 8}
    tile = next(step for step in steps if step.layer == "conv2d2")
    assert tile.bytes({"conv2d0": 4, "conv2d2": 2}) - tile.scratch == whole + 49 * 4 + 36 * 8 + 36 * 2


def test_a_stream_is_one_moment_of_all_its_rings() -> None:
    flow, steps = steps_of(Stage((), halo=Halo.KEPT))
    names = tuple(layer.name for layer in flow.layers)
    plan = plan_of(flow, (Stage(names[:BLOCK], halo=Halo.KEPT), Stage(names[BLOCK:])))
    rings = {plan.maps[name].offset: plan.maps[name].bytes for name in ("input", *names[:BLOCK])}

    assert len(steps) == 1
    assert steps[0].layer in names[:BLOCK]
    assert steps[0].bytes({}) - steps[0].scratch == sum(rings.values())
    assert steps[0].bytes({"conv2d0": 4}) == steps[0].bytes({}) - plan.maps["conv2d0"].bytes // 2


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    ("rows", "columns", "halo"), [(1, 1, Halo.RECOMPUTED), (2, 2, Halo.RECOMPUTED), (1, 1, Halo.KEPT)]
)
def test_the_planner_never_keeps_more_alive(name: str, rows: int, columns: int, halo: Halo) -> None:
    graph = NETWORKS[name]()
    flow = Dataflow(lowered(graph)[0])
    names = tuple(layer.name for layer in flow.layers)
    grids = [
        last for last in (1, 2, 3, len(names)) if min(flow.shape(names_output(flow, last))[:2]) >= max(rows, columns)
    ]
    assert grids or rows > 1
    for last in grids:
        stages = (Stage(names[:last], rows, columns, halo), *([Stage(names[last:])] if last < len(names) else []))
        steps = memory_steps(graph, flow, partition(flow, stages, pushed=False))
        alive = find_peak(flow, plan_of(flow, stages)).bytes
        assert alive <= max(step.bytes({}) for step in steps)


def names_output(flow: Dataflow, last: int) -> str:
    return flow.layers[last - 1].output

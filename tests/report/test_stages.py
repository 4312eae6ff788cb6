# SPDX-License-Identifier: Apache-2.0
"""What the report says about stages: tables, and tiles drawn to scale."""

from __future__ import annotations

import pytest

from mcukit.graph.graph import Graph, Node, Quantization, Tensor
from mcukit.ops.activation import RELU
from mcukit.ops.max_pool import MaxPool
from mcukit.ops.relu import Clip
from mcukit.ops.window import Window
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import Halo, Stage
from mcukit.planning.schedule import partition, schedule
from mcukit.quantized.lower import lower
from mcukit.report.map_canvas import Rectangle
from mcukit.report.memory import memory_timelines
from mcukit.report.stages import StageView, group_number, stage_groups, stage_views, stages_table
from mcukit.report.tile_picture import tile_picture
from tests.planning.small_network import SAME, network, planned


def views(name: str) -> tuple[StageView, ...]:
    flow, plan = Dataflow(network()), planned(network(), name)
    stages = partition(flow, plan.stages, plan.pushed)
    (timeline,) = memory_timelines(flow, plan, stages, schedule(flow, stages, plan.pushed))
    return stage_views(flow, plan, stages, timeline.holdings)


def test_overview() -> None:
    flow, plan = Dataflow(network()), planned(network(), "patches")
    table = stages_table(flow, partition(flow, plan.stages, plan.pushed))
    assert table.rows == (
        ("1", "patches", "1 to 5", "2 x 2", "17,280", "14,580", "84.4 %"),
        ("2", "layers", "6 to 8", "-", "0", "0", "-"),
        ("all", "", "", "", "17,280", "14,580", "84.4 %"),
    )


def test_layer_by_layer_stages_are_one_group() -> None:
    kept = Stage(("x",), halo=Halo.KEPT)
    groups = stage_groups([Stage(("a",)), Stage(("b",)), kept, kept, Stage(("c",)), Stage(("d",), 2, 2)])
    assert [group_number(group) for group in groups] == ["1 to 2", "3", "4", "5", "6"]


@pytest.mark.parametrize(
    ("name", "titles", "shown"),
    [
        ("layers", [], []),
        ("stream", ["Stage 1: stream, 7 layers"], [(False, False, True)]),
        ("patches", ["Stage 1: patches, 2 x 2 tiles, 5 layers"], [(True, True, False)]),
        (
            "strips",
            ["Stage 1: strips, 1 x 3 tiles, 5 layers", "Stage 2: stream, 2 layers"],
            [(True, True, True), (False, False, True)],
        ),
    ],
)
def test_each_schedule_shows_what_it_has(name: str, titles: list[str], shown: list[tuple[bool, bool, bool]]) -> None:
    found = views(name)
    assert [view.title for view in found] == titles
    assert [tuple(part is not None for part in (v.picture, v.tiles, v.rings)) for v in found] == shown


def test_tile_table() -> None:
    """The receptive fields of a tile of 3 x 2 or 3 x 3 pixels of the last map, worked out by hand."""
    (view,) = views("patches")
    assert view.tiles is not None
    assert view.tiles.rows == (
        ("1", "conv2d", "a_layer", "12 x 10", "6 x 5", "9 x 9", "112.5 %", "12,960", "14,580"),
        ("2", "clip", "b_layer", "12 x 10", "6 x 5", "9 x 9", "112.5 %", "0", "0"),
        ("3", "max_pool", "c_layer", "6 x 5", "3 x 3", "4 x 4", "86.7 %", "0", "0"),
        ("4", "conv2d", "d_layer", "6 x 5", "3 x 3", "3 x 3", "0.0 %", "4,320", "0"),
        ("5", "add", "e_layer", "6 x 5", "3 x 3", "3 x 3", "0.0 %", "0", "0"),
        ("", "all", "", "", "", "", "84.4 %", "17,280", "14,580"),
    )


def test_ring_table() -> None:
    """b lies in the memory of a, and counts once; e leaves the stage, so that all of it is held."""
    view = views("pushed")[0]
    assert view.rings is not None
    assert view.rings.rows == (
        ("", "image", "3 of 12", "10 of 10", "90", "360", "75.0 %", "1 x 1"),
        ("1", "a", "3 of 12", "10 of 10", "120", "480", "75.0 %", "3 x 3"),
        ("2", "b", "3 of 12", "10 of 10", "in that of 1", "480", "75.0 %", "3 x 3"),
        ("3", "c", "3 of 6", "5 of 5", "60", "120", "50.0 %", "5 x 5"),
        ("4", "d", "1 of 6", "5 of 5", "20", "120", "83.3 %", "9 x 9"),
        ("5", "e", "6 of 6", "5 of 5", "120", "120", "0.0 %", "9 x 9"),
        ("", "all", "", "", "410", "1,200", "65.8 %", ""),
    )


def test_tiles_are_drawn_to_scale() -> None:
    flow, plan = Dataflow(network()), planned(network(), "patches")
    picture = tile_picture(flow, partition(flow, plan.stages, plan.pushed)[0])
    unit = 338 / 12
    assert picture.map == Rectangle(1, 1, pytest.approx(10 * unit), pytest.approx(338))
    first, last = picture.tiles[0], picture.tiles[-1]
    assert first.share == Rectangle(1, 1, pytest.approx(5 * unit), pytest.approx(6 * unit))
    # The first tile reads rows 0 to 8 and columns 0 to 6 of the input, the last one rows 2 to 11 and all columns.
    assert first.reads == Rectangle(1, 1, pytest.approx(7 * unit), pytest.approx(9 * unit))
    assert last.reads == Rectangle(1, pytest.approx(1 + 2 * unit), pytest.approx(10 * unit), pytest.approx(10 * unit))
    assert picture.chosen == last
    assert last.title == "tile 2, 2\nshare 6 x 5\nreads 10 x 10: rows 2 to 11, columns 0 to 9"
    assert "the network's input, 12 x 10 pixels" in picture.facts
    assert "2.69 times on average. Outlined is tile 2, 2, which for its share of 6 x 5 reads 10 x 10." in picture.facts


def test_a_stage_in_the_middle_is_drawn_on_the_map_that_it_reads() -> None:
    flow = Dataflow(network())
    names = [layer.name for layer in flow.layers]
    stages = partition(flow, [Stage(tuple(names[:3])), Stage(tuple(names[3:5]), 2, 1), Stage(tuple(names[5:]))], False)
    assert "on the map c, 6 x 5 pixels" in tile_picture(flow, stages[1]).facts


@pytest.mark.parametrize(("side", "drawn"), [(32, 1024), (33, 0)])
def test_a_grid_of_very_many_tiles_shows_only_one(side: int, drawn: int) -> None:
    same = Quantization.per_tensor(0.1, 0)
    tensors = {name: Tensor(name, (1, 40, 40, 1), None, same) for name in ("in", "out")}
    node = Node("pool", MaxPool(Window((3, 3), pads=SAME)), ("in",), "out")
    flow = Dataflow(lower(Graph("net", tensors, (node,), ("in",), ("out",))))
    (tiles,) = partition(flow, [Stage(("pool",), side, side)], False)
    picture = tile_picture(flow, tiles)
    assert len(picture.tiles) == drawn
    assert picture.chosen.reads.width > picture.chosen.share.width


def test_a_very_tall_map_is_drawn_wide_enough_to_be_seen() -> None:
    same = Quantization.per_tensor(0.1, 0)
    tensors = {name: Tensor(name, (1, 500, 4, 1), None, same) for name in ("in", "out")}
    flow = Dataflow(lower(Graph("net", tensors, (Node("clip", Clip(RELU), ("in",), "out"),), ("in",), ("out",))))
    (tiles,) = partition(flow, [Stage(("clip",), 2, 2)], False)
    assert tile_picture(flow, tiles).map == Rectangle(1, 1, pytest.approx(60), pytest.approx(338))

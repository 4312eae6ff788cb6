# SPDX-License-Identifier: Apache-2.0
"""QuantMCU put together: which maps are narrowed, what wide tiles keep, and BitOPs counted by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mcukit.calibration.float_model import FloatModel
from mcukit.calibration.ranges import choose_range
from mcukit.calibration.statistics import MapStatistics, collect_statistics
from mcukit.emulation.reference import run_reference
from mcukit.errors import McukitError
from mcukit.graph.graph import Graph
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import Halo, Stage
from mcukit.planning.schedule import partition
from mcukit.precision.bitops import macs_of_network
from mcukit.precision.quantmcu import QuantmcuOptions, QuantmcuResult, branch_bitops, inner_groups, narrowed_model
from mcukit.quantized.branches import narrow_name
from mcukit.quantized.integer import IntegerModel
from mcukit.quantized.lower import lower
from mcukit.quantized.quantize import quantize_graph
from tests.planning.networks import POINT, Network

IMAGES = 20
STAGES = (Stage(("conv2d0", "conv2d1"), 2, 2, Halo.RECOMPUTED), Stage(("conv2d2", "conv2d3")))
INNER, LEAVING, BEHIND = "conv2d0", "conv2d1", "conv2d2"

# A tile is a quarter of 8 x 8 pixels; the first layer computes a row and a column of halo for the second.
FIRST, SECOND = 5 * 5 * 4 * (9 * 2), 4 * 4 * 3 * (9 * 4)
REST = 8 * 8 * (5 * 3 + 2 * 5)


def network() -> Graph:
    net = Network(8, 8, 2)
    tiled = net.conv(net.conv("input", 4), 3)
    return net.graph(net.conv(net.conv(tiled, 5, POINT), 2, POINT))


GRAPH = network()


def images(count: int = IMAGES) -> np.ndarray:
    """Small values, and large ones in the upper left corner of three images of four."""
    values = np.random.default_rng(5).normal(0.0, 0.2, (count, 8, 8, 2)).astype(np.float32)
    values[: count * 3 // 4, :3, :3] *= 6.0
    return values


def calibrated() -> tuple[dict[str, MapStatistics], IntegerModel]:
    statistics = dict(collect_statistics(FloatModel(GRAPH), images()))
    ranges = {name: choose_range(item, "min-max") for name, item in statistics.items()}
    return statistics, lower(quantize_graph(GRAPH, ranges))


STATISTICS, INT8 = calibrated()


def narrowed(vdpc: str, entropy_weight: float = 0.0, count: int = IMAGES, **options: Any) -> QuantmcuResult:
    """With BitOPs alone deciding, unless told otherwise: everything that may be narrow has 2 bits."""
    chosen = QuantmcuOptions(vdpc=vdpc, entropy_weight=entropy_weight, **options)
    return narrowed_model(GRAPH, STATISTICS, INT8, images(count), STAGES, chosen)


def bits(model: IntegerModel, name: str) -> int:
    quantization = model.graph.tensors[name].quantization
    assert quantization is not None
    return quantization.bits


def stored() -> np.ndarray:
    assert INT8.input.quantization is not None
    return INT8.input.quantization.quantize(images())


def test_without_classes_all_patches_are_narrow() -> None:
    found = narrowed("off")
    assert found.classes is None
    assert found.model.branches is None
    assert [bits(found.model, name) for name in ("input", INNER, LEAVING, BEHIND, "conv2d3")] == [8, 2, 8, 8, 8]
    assert found.bitops == 4 * (FIRST * 64 + SECOND * 16) + REST * 64


def test_positions_of_outliers_keep_eight_bits() -> None:
    found = narrowed("static")
    branches = found.model.branches
    assert found.classes is not None
    assert branches is not None
    assert branches.wide == frozenset(found.classes.outlier_tiles)
    assert branches.test is None
    assert 0 < len(branches.wide) < 4
    assert bits(found.model, INNER) == 8
    narrow = branches.graph.tensors[narrow_name(INNER)].quantization
    assert narrow is not None
    assert narrow.bits == 2
    wide, ordinary = len(branches.wide), 4 - len(branches.wide)
    assert found.bitops == 4 * FIRST * 64 + wide * SECOND * 64 + ordinary * SECOND * 16 + REST * 64


def test_values_decide_on_the_device() -> None:
    found = narrowed("runtime")
    branches, classes = found.model.branches, found.classes
    assert classes is not None
    assert branches is not None
    assert not branches.wide
    assert branches.test is not None
    assert (branches.test.low, branches.test.high) == (classes.low, classes.high)
    assert branches.test.counts == tuple(position.count for position in classes.positions)
    wide = classes.has_outliers(stored()).sum() / IMAGES
    assert 0 < wide < 4
    expected = 4 * FIRST * 64 + wide * SECOND * 64 + (4 - wide) * SECOND * 16 + REST * 64
    assert found.bitops == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("vdpc", ["static", "runtime"])
def test_wide_tiles_keep_the_values_of_eight_bits(vdpc: str) -> None:
    """At the map where all tiles meet; the others differ somewhere."""
    found = narrowed(vdpc)
    assert found.classes is not None
    inputs = stored()
    plain = run_reference(INT8, inputs, keep_maps=True).maps[LEAVING]
    mixed = run_reference(found.model, inputs, keep_maps=True).maps[LEAVING]
    wide = found.classes.has_outliers(inputs)
    if vdpc == "static":
        wide = np.broadcast_to([position.is_outlier for position in found.classes.positions], wide.shape)
    differing = 0
    for index, position in enumerate(found.classes.positions):
        row, column = position.tile
        part = np.s_[:, row * 4 : row * 4 + 4, column * 4 : column * 4 + 4]
        kept = wide[:, index]
        np.testing.assert_array_equal(mixed[part][kept], plain[part][kept])
        differing += np.count_nonzero(mixed[part][~kept] != plain[part][~kept])
    assert wide.any()
    assert differing > 0


def test_weights_keep_their_integers() -> None:
    found = narrowed("static")
    assert found.model.branches is not None
    narrow = found.model.branches.graph
    for node in INT8.graph.nodes[:2]:
        weights = INT8.graph.tensors[node.inputs[1]].data
        for graph in (found.model.graph, narrow):
            np.testing.assert_array_equal(graph.tensors[node.inputs[1]].data, weights)


@pytest.mark.parametrize("vdpc", ["off", "static"])
def test_maps_behind_the_patches_are_narrowed_if_wanted(vdpc: str) -> None:
    found = narrowed(vdpc, layer_stage=True)
    assert [bits(found.model, name) for name in (LEAVING, BEHIND, "conv2d3")] == [2, 2, 8]
    assert found.bitops < narrowed(vdpc).bitops


def test_lambda_goes_from_all_narrow_to_nothing() -> None:
    assert dict(narrowed("off", 0.0).choice.precision.maps) == {INNER: 2}
    everything = narrowed("off", 1.0)
    assert dict(everything.choice.precision.maps) == {}
    assert everything.bitops == (4 * (FIRST + SECOND) + REST) * 64
    with pytest.raises(McukitError, match=r"lambda is 1\.5"):
        narrowed("off", 1.5)


def test_only_maps_inside_of_all_tiles_may_differ() -> None:
    flow = Dataflow(INT8)
    assert inner_groups(GRAPH, partition(flow, STAGES, pushed=False)[0], flow) == (INNER,)


def test_shares_of_wide_tiles_weigh_both_forms() -> None:
    model = narrowed("static").model
    tiles = partition(Dataflow(model), STAGES, pushed=False)
    shares = dict.fromkeys(tiles[0].regions, 0.25)
    expected = 4 * FIRST * 64 + SECOND * 64 + 3 * SECOND * 16 + REST * 64
    assert branch_bitops(model, tiles, shares) == expected
    plain = branch_bitops(replace(model, branches=None), tiles)
    assert plain == (4 * (FIRST + SECOND) + REST) * 64 > sum(macs_of_network(GRAPH).values()) * 64


def test_too_few_images_and_impossible_budgets_are_refused() -> None:
    with pytest.raises(McukitError) as caught:
        narrowed("static", count=8)
    assert [problem.code for problem in caught.value.problems] == ["too-few-images"]
    assert narrowed("off", count=8).model
    with pytest.raises(McukitError) as caught:
        narrowed("static", budget=50)
    assert {problem.code for problem in caught.value.problems} == {"budget-exceeded"}

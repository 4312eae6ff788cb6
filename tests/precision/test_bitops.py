# SPDX-License-Identifier: Apache-2.0
"""BitOPs against sums by hand, and against what planning counts of the same tiles."""

from __future__ import annotations

import pytest

from mcukit.calibration.ranges import Range
from mcukit.errors import McukitError
from mcukit.planning.plan import Halo, Stage
from mcukit.planning.schedule import partition
from mcukit.planning.tiles import tile_macs
from mcukit.precision.bitops import BitopsCost, macs_of_network, macs_of_stages, macs_of_tiles, quantized_bitops
from mcukit.quantized.precision import INT8, Precision
from mcukit.quantized.quantize import quantize_graph
from tests.float_networks import BLOCK, classifier, dataflow

MACS = {
    "conv2d0": 144 * 8 * 27,
    "depthwise_conv2d1": 144 * 8 * 9,
    "conv2d2": 144 * 8 * 8,
    "conv2d4": 36 * 12 * 72,
    "conv2d6": 12 * 5,
}
MIXED = Precision({"conv2d0": 4, "add3": 2}, {"conv2d2": 4, "conv2d4": 2})


def test_layers_with_weights_count_and_no_others() -> None:
    found = BitopsCost(classifier()).count(INT8)

    assert {layer.name: layer.macs for layer in found.layers} == MACS == macs_of_network(classifier())
    assert found.bitops == 64 * sum(MACS.values())
    assert found.reduction == 1.0


def test_bits_of_the_map_that_is_read_and_of_the_weights_multiply() -> None:
    found = BitopsCost(classifier()).count(MIXED)

    factors = {"conv2d0": 64, "depthwise_conv2d1": 4 * 8, "conv2d2": 8 * 4, "conv2d4": 2 * 2, "conv2d6": 64}
    assert {layer.name: layer.bitops for layer in found.layers} == {n: MACS[n] * factors[n] for n in MACS}
    assert {layer.name: layer.output_bits for layer in found.layers}["conv2d0"] == 4
    assert found.reduction == pytest.approx(64 * sum(MACS.values()) / sum(MACS[n] * factors[n] for n in MACS))


def test_the_quick_count_is_the_whole_one() -> None:
    cost = BitopsCost(classifier())
    for precision in (INT8, MIXED):
        assert cost(precision) == cost.count(precision).bitops


def test_a_quantized_network_says_its_bits_itself() -> None:
    graph = classifier()
    quantized = quantize_graph(graph, {tensor.name: Range(-1.0, 1.0) for tensor in graph.maps()}, MIXED)

    assert quantized_bitops(quantized) == BitopsCost(graph).count(MIXED)
    with pytest.raises(ValueError, match="is not quantized"):
        quantized_bitops(graph)


def test_readers_of_a_map_are_paid_per_bit() -> None:
    found = BitopsCost(classifier()).of_readers({"conv2d4": 4})

    assert found["conv2d0"] == 8 * MACS["depthwise_conv2d1"]
    assert found["add3"] == 4 * MACS["conv2d4"]
    assert found["softmax7"] == 0


def test_what_tiles_compute_again_counts() -> None:
    graph = classifier()
    flow = dataflow(graph)
    names = tuple(layer.name for layer in flow.layers)
    stages = (Stage(names[:BLOCK], 2, 3, Halo.RECOMPUTED), Stage(names[BLOCK:]))
    tiles = partition(flow, stages, pushed=False)
    macs = macs_of_stages(flow, tiles)

    assert sum(macs[name] for name in names[:BLOCK]) == tile_macs(flow, tiles[0]) > sum(flow.macs[:BLOCK])
    assert macs["conv2d0"] > MACS["conv2d0"]
    assert macs["conv2d4"] == MACS["conv2d4"]
    assert BitopsCost(graph, macs)(INT8) == 64 * sum(macs.values())


def test_tiles_together_are_the_stage() -> None:
    flow = dataflow(classifier())
    names = tuple(layer.name for layer in flow.layers)
    tiles = partition(flow, (Stage(names[:BLOCK], 3, 2, Halo.RECOMPUTED), Stage(names[BLOCK:])), pushed=False)[0]
    positions = list(tiles.regions)
    some, others = (macs_of_tiles(flow, tiles, part) for part in (positions[:2], positions[2:]))

    assert {name: some[name] + others[name] for name in some} == macs_of_stages(flow, [tiles])
    assert 0 < some["conv2d0"] < others["conv2d0"]


def test_layers_without_macs_are_left_out() -> None:
    found = BitopsCost(classifier(), {"conv2d0": 5}).count(INT8)
    assert [(layer.name, layer.macs) for layer in found.layers] == [("conv2d0", 5)]


def test_a_wrong_precision_is_refused() -> None:
    with pytest.raises(McukitError, match="no such map"):
        BitopsCost(classifier()).count(Precision({"nothing": 4}))

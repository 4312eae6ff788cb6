# SPDX-License-Identifier: Apache-2.0
"""Receptive fields and repeated work, against values counted by hand and pixel by pixel."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from mcukit.graph.graph import Graph, Node, Quantization, Tensor, map_shape
from mcukit.graph.region import Region
from mcukit.ops.add import Add
from mcukit.ops.max_pool import MaxPool
from mcukit.ops.operator import Operator
from mcukit.ops.pad import Pad
from mcukit.ops.resize_nearest import ResizeNearest
from mcukit.ops.window import Window
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import Halo, Stage
from mcukit.planning.receptive_field import ReceptiveField, grid_shares, receptive_fields, stage_work
from mcukit.planning.schedule import partition
from mcukit.planning.tiles import tile_macs
from mcukit.quantized.integer import IntegerModel
from mcukit.quantized.lower import lower
from tests.planning.small_network import PLANS, SAME, network, stages_of


def chain(shape: tuple[int, ...], *operators: Operator) -> IntegerModel:
    """Operators without constants, one after the other; a pair of maps goes into an Add."""
    same = Quantization.per_tensor(0.1, 0)
    tensors, nodes, last = {"m0": Tensor("m0", shape, None, same)}, [], "m0"
    for number, operator in enumerate(operators, start=1):
        inputs = (last, f"m{number - 2}") if isinstance(operator, Add) else (last,)
        last = f"m{number}"
        tensors[last] = Tensor(last, operator.output_shape([tensors[name] for name in inputs]), None, same)
        nodes.append(Node(f"layer{number}", operator, inputs, last))
    return lower(Graph("chain", tensors, tuple(nodes), ("m0",), (last,)))


POOL = MaxPool(Window((3, 3), pads=SAME))
HALVE = MaxPool(Window((2, 2), (2, 2)))


@pytest.mark.parametrize(
    ("model", "field"),
    [
        (chain((1, 20, 20, 1), POOL), (3, 3)),
        (chain((1, 20, 20, 1), POOL, POOL, POOL), (7, 7)),
        (chain((1, 20, 20, 1), HALVE, POOL), (6, 6)),
        (chain((1, 20, 20, 1), POOL, HALVE, HALVE), (6, 6)),
        (chain((1, 20, 20, 1), MaxPool(Window((3, 1), dilation=(4, 1)))), (9, 1)),
        (chain((1, 20, 20, 1), MaxPool(Window((1, 1), (3, 3)))), (1, 1)),
        (chain((1, 4, 5, 1), POOL, POOL, POOL), (4, 5)),
        (chain((1, 20, 20, 1), POOL, Add()), (3, 3)),
    ],
    ids=["window", "windows", "stride before", "stride after", "dilation", "gaps", "whole input", "residual"],
)
def test_receptive_fields_by_hand(model: IntegerModel, field: tuple[int, int]) -> None:
    assert receptive_fields(model)[model.outputs[0].name] == ReceptiveField(*field)


def test_receptive_fields_of_a_network() -> None:
    fields = {name: (field.rows, field.columns) for name, field in receptive_fields(network()).items()}
    assert fields == {
        "image": (1, 1), "a": (3, 3), "b": (3, 3), "c": (5, 5), "d": (9, 9), "e": (9, 9),
        "f": (12, 10), "v": (12, 10), "g": (12, 10),
    }  # fmt: skip


@pytest.mark.parametrize(
    "model",
    [
        network(),
        chain((1, 7, 9, 1), Pad((4, 1, 3, 2)), POOL),
        chain((1, 5, 6, 2), ResizeNearest((10, 12)), POOL, HALVE),
        chain((1, 9, 7, 1), MaxPool(Window((2, 3), (3, 2), (2, 1), (1, 2, 2, 0))), POOL),
    ],
    ids=["network", "padding alone", "resize", "uneven"],
)
def test_receptive_fields_pixel_by_pixel(model: IntegerModel) -> None:
    """Sets of input pixels, carried forward through single pixels of every map."""
    height, width, _ = map_shape(model.input.shape)
    reached = {model.input.name: {pixel: {pixel} for pixel in product(range(height), range(width))}}
    expected = {model.input.name: ReceptiveField(1, 1)}
    for layer in model.layers:
        inputs = model.graph.node_inputs(layer.node)
        rows, columns, _ = map_shape(model.graph.tensors[layer.output].shape)
        pixels: dict[tuple[int, int], set[tuple[int, int]]] = {}
        for row, column in product(range(rows), range(columns)):
            pixels[row, column] = set()
            for index, name in enumerate(layer.inputs):
                needed = layer.node.operator.input_region(Region(row, row + 1, column, column + 1), inputs, index)
                for source in product(
                    range(needed.first_row, needed.last_row), range(needed.first_column, needed.last_column)
                ):
                    pixels[row, column] |= reached[name][source]
        reached[layer.output] = pixels
        extents = [
            [max(values) - min(values) + 1 for found in pixels.values() if (values := {p[axis] for p in found})]
            for axis in (0, 1)
        ]
        expected[layer.output] = ReceptiveField(max(extents[0]), max(extents[1]))
    assert receptive_fields(model) == expected


@pytest.mark.parametrize("name", PLANS)
def test_work_is_what_the_tiles_compute(name: str) -> None:
    flow = Dataflow(network())
    for tiles in partition(flow, stages_of(flow, name), PLANS[name][1]):
        work = stage_work(flow, tiles)
        assert work.macs_computed == tile_macs(flow, tiles)
        assert [layer.layer for layer in work.layers] == list(tiles.stage.layers)
        for index, layer in enumerate(work.layers):
            times = np.zeros((layer.height, layer.width), np.int64)
            for regions in tiles.regions.values():
                region = regions[index]
                times[region.first_row : region.last_row, region.first_column : region.last_column] += 1
            assert (layer.pixels, layer.computed_pixels) == (np.count_nonzero(times), times.sum())
            per_pixel = layer.macs // times.size
            assert layer.macs_redundant == per_pixel * np.maximum(times - 1, 0).sum()


def test_only_columns_of_strips_are_computed_again() -> None:
    flow = Dataflow(network())
    (strips, *_), (stream, *_) = (
        [stage_work(flow, tiles) for tiles in partition(flow, stages_of(flow, name), False)]
        for name in ("strips", "stream")
    )
    assert strips.macs_redundant > 0
    assert stream.macs_redundant == 0
    assert {layer.tile_rows for layer in strips.layers} == {12, 6}


def test_a_halo_by_hand() -> None:
    model = chain((1, 8, 8, 1), POOL, POOL)
    flow = Dataflow(model)
    (tiles,) = partition(flow, (Stage(("layer1", "layer2"), 2, 2, Halo.RECOMPUTED),), False)
    first, second = stage_work(flow, tiles).layers
    assert (first.share_rows, first.share_columns, first.tile_rows, first.tile_columns) == (4, 4, 5, 5)
    assert (first.pixels, first.computed_pixels, first.halo_share) == (64, 100, 36 / 64)
    assert (second.tile_rows, second.computed_pixels, second.halo_share) == (4, 64, 0.0)


def test_pixels_that_no_one_reads_are_not_computed() -> None:
    flow = Dataflow(chain((1, 8, 8, 1), POOL, MaxPool(Window((1, 1), (2, 2)))))
    (tiles,) = partition(flow, (Stage(("layer1", "layer2"), 2, 2),), False)
    first = stage_work(flow, tiles).layers[0]
    assert (first.pixels, first.computed_pixels, first.macs_redundant) == (36, 36, 0)


@pytest.mark.parametrize(("height", "width", "rows", "columns"), [(8, 8, 2, 2), (7, 5, 3, 2), (1, 9, 1, 4)])
def test_shares_cover_a_map_once(height: int, width: int, rows: int, columns: int) -> None:
    times = np.zeros((height, width), np.int64)
    for share in grid_shares(height, width, Stage(("layer",), rows, columns)).values():
        times[share.first_row : share.last_row, share.first_column : share.last_column] += 1
    assert (times == 1).all()

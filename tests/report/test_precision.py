# SPDX-License-Identifier: Apache-2.0
"""What report.json says about bits, and the words for it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from mcukit.emulation.measure import Measurement
from mcukit.graph.graph import Quantization
from mcukit.planning.choose import Planned
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.planner import plan_layers
from mcukit.planning.schedule import partition
from mcukit.precision.quantmcu import branch_bitops
from mcukit.quantized.branches import narrow_name
from mcukit.quantized.integer import IntegerModel
from mcukit.quantized.lower import lower
from mcukit.report.bits import bits_title, has_bits, precision_facts
from mcukit.report.blocks import plain_text
from mcukit.report.content import TfliteFacts, report_content
from mcukit.report.precision import layer_bitops, tile_shares
from mcukit.report.terminal import build_view
from tests.planning.small_network import planned
from tests.report.conftest import ContentOf
from tests.report.two_forms import GRID, MIDDLE, TEST, WIDE, classes_of, first_plan, two_forms


def layer_of(content: dict[str, Any], name: str) -> dict[str, Any]:
    (layer,) = (layer for layer in content["layers"] if layer["name"] == name)
    return layer


@pytest.mark.parametrize("name", ["layers", "patches", "strips"])
def test_bitops_count_what_tiles_compute_again(model: IntegerModel, content_of: ContentOf, name: str) -> None:
    content = content_of(model, planned(model, name))
    assert content["bitops"] == 64 * (content["macs"] + content["macs_redundant"])
    assert content["bitops"] == sum(layer["bitops"] for layer in content["layers"])
    assert content["macs_redundant"] == sum(layer["macs_redundant"] for layer in content["layers"])
    assert content["precision"]["bitops_int8"] == 64 * content["macs"]
    assert content["precision"]["bitops_reduction"] == pytest.approx(64 * content["macs"] / content["bitops"])


def test_a_build_of_8_bits(content: dict[str, Any]) -> None:
    """The input and seven maps; the view among the layers has no memory of its own."""
    precision = content["precision"]
    assert precision["maps"] == {"8": 8, "4": 0, "2": 0}
    assert precision["weights"] == {"8": 2, "4": 0, "2": 0}
    assert (precision["input_bits"], precision["input_bytes"]) == (8, 360)
    assert precision["weight_reduction"] == precision["bitops_reduction"] == 1.0
    assert precision["branches"] is None
    assert all("narrow" not in layer for layer in content["layers"])
    assert not has_bits(content)
    assert bits_title(content) == "int8"
    assert "BitOPs" not in plain_text(build_view(content))


def test_builds_that_know_of_no_bits_have_8(content: dict[str, Any]) -> None:
    del content["precision"]
    assert not has_bits(content)
    assert "BitOPs" not in plain_text(build_view(content))


def test_maps_count_packed(content_of: ContentOf) -> None:
    """Of a model that is nothing but the narrow form: 12 x 10 pixels of 5 values in 3 and in 2 bytes."""
    whole = two_forms()
    assert whole.branches is not None
    model = lower(whole.branches.graph)
    content = content_of(model, plan_layers(model))
    assert layer_of(content, narrow_name("requantize1"))["map_bytes"] == 12 * 10 * 3
    clip = layer_of(content, narrow_name(MIDDLE))
    assert (clip["input_bits"], clip["output_bits"], clip["map_bytes"]) == (4, 2, 12 * 10 * 2)
    assert content["precision"]["maps"] == {"8": 4, "4": 1, "2": 1}
    assert bits_title(content) == "8, 4 and 2 bits"


def test_both_forms_of_tiles(content_of: ContentOf) -> None:
    model = two_forms()
    plan = first_plan(model)
    content = json.loads(json.dumps(content_of(model, plan)))
    flow = Dataflow(model)
    stages = partition(flow, plan.stages, pushed=False)
    assert content["bitops"] == branch_bitops(model, stages)
    assert content["bitops"] == sum(layer["bitops"] for layer in content["layers"])
    assert content["macs_redundant"] == sum(layer["macs_redundant"] for layer in content["layers"]) > 0
    clip = layer_of(content, MIDDLE)
    assert (clip["input_bits"], clip["output_bits"], clip["map_bytes"]) == (8, 8, 600)
    kernel = clip["narrow"].pop("kernel")
    assert kernel == "mk_lookup_packed"
    assert clip["narrow"] == {"input_bits": 4, "output_bits": 2, "map_bytes": 240, "instructions": None}
    assert layer_of(content, "conv2d5")["narrow"] is None
    branches = content["precision"]["branches"]
    assert (branches["grid"], branches["wide"], branches["test"]) == ([2, 3], [[0, 1], [1, 2]], None)
    assert branches["maps"] == {"8": 3, "4": 1, "2": 1}
    assert branches["wide_from"] == "positions"
    assert [entry["tile"] for entry in branches["tiles"] if entry["wide_share"]] == branches["wide"]
    assert {entry["outliers"] for entry in branches["tiles"]} == {None}


def test_layers_sum_up_where_narrow_tiles_multiply_fewer_bits() -> None:
    model = two_forms()
    assert model.branches is not None
    graph, read = model.branches.graph, narrow_name("requantize3")
    four = replace(graph.tensors[read], quantization=Quantization.per_tensor(0.1, 0, bits=4))
    narrow = replace(model.branches, graph=replace(graph, tensors={**graph.tensors, read: four}))
    model = replace(model, branches=narrow)
    flow = Dataflow(model)
    stages = partition(flow, first_plan(model).stages, pushed=False)
    costs = {}
    for wide in (0.0, 0.25, 1.0):
        shares = dict.fromkeys(stages[0].regions, wide)
        layers = layer_bitops(flow, stages, shares)
        assert sum(layers.values()) == branch_bitops(model, stages, shares)
        costs[wide] = layers["conv2d4"]
    assert costs[0.0] * 2 == costs[1.0]
    assert costs[0.25] == (3 * costs[0.0] + costs[1.0]) / 4


@pytest.mark.parametrize("known", [False, True])
def test_tiles_whose_values_decide(content_of: ContentOf, known: bool) -> None:
    model = two_forms(TEST)
    plan = first_plan(model)
    content = content_of(model, plan, classes_of(model) if known else None)
    stages = partition(Dataflow(model), plan.stages, pushed=False)
    branches = content["precision"]["branches"]
    assert branches["test"] == {"low": -60, "high": 70, "counts": [4] * 6}
    assert branches["wide"] == []
    shares = [entry["wide_share"] for entry in branches["tiles"]]
    text = plain_text(build_view(content))
    if known:
        assert branches["wide_from"] == "images"
        assert shares == pytest.approx([0, 20, 40, 60, 80, 100])
        assert [entry["images"] for entry in branches["tiles"]] == shares
        assert [entry["outliers"] for entry in branches["tiles"]] == pytest.approx([0, 2.5, 5, 7.5, 10, 12.5])
        assert "BitOPs count 50.0 % as wide, as in the calibration images" in text
    else:
        assert branches["wide_from"] == "assumed"
        assert shares == [100.0] * 6
        assert "BitOPs count all as wide" in text
    wide = {(row, column): shares[3 * row + column] / 100 for row in range(2) for column in range(3)}
    assert content["bitops"] == round(branch_bitops(model, stages, wide))


def test_positions_outrank_images() -> None:
    model = two_forms()
    assert model.branches is not None
    found = tile_shares(model.branches, classes_of(model))
    assert found.source == "positions"
    assert {tile for tile, share in found.wide.items() if share} == set(WIDE)


def test_instructions_of_narrow_tiles() -> None:
    model = two_forms()
    counts = {layer.name: 100 + index for index, layer in enumerate(model.steps)}
    content = report_content(
        model,
        Planned(first_plan(model), "auto", None, "cortex-m4"),
        board=None,
        budget={"sram": None, "flash": None},
        calibrated=True,
        errors={},
        tflite=TfliteFacts(3000, None),
        measurement=Measurement("cortex-m4", "gcc", 5000, 100, 2000, 900, 0, counts),
    )
    clip = layer_of(content, MIDDLE)
    assert clip["instructions"] == counts[MIDDLE]
    assert clip["narrow"]["instructions"] == counts[narrow_name(MIDDLE)]


def test_words(content_of: ContentOf) -> None:
    model = two_forms()
    content = content_of(model, first_plan(model))
    facts = dict(precision_facts(content))
    assert facts["maps"] == "8 with 8 bits"
    assert facts["maps of narrow tiles"] == "3 with 8 bits, 1 with 4, 1 with 2"
    assert facts["layers with weights"] == "4 with 8 bits"
    assert facts["tiles of two forms"] == f"{GRID[0]} x {GRID[1]}, 2 of 6 wide by position"
    assert "times more than int8 without work done twice" in facts["BitOPs"]
    content["precision"].update(weight_reduction=1.6, bitops_reduction=2.2, weights={"8": 1, "4": 3, "2": 0})
    facts = dict(precision_facts(content))
    assert facts["layers with weights"] == "1 with 8 bits, 3 with 4; 1.60 times fewer bits than int8"
    assert "2.20 times fewer than int8" in facts["BitOPs"]


def test_the_terminal_shows_bits_of_layers(content_of: ContentOf) -> None:
    model = two_forms()
    content = content_of(model, first_plan(model))
    lines = plain_text(build_view(content)).splitlines()
    assert "BitOPs  map bits  weight bits" in lines[1]
    (clip,) = (line for line in lines if line.startswith(MIDDLE))
    assert "8 / 2            -" in clip
    (conv,) = (line for line in lines if line.startswith("conv2d5"))
    assert conv.split()[4:7] == [f"{layer_of(content, 'conv2d5')['bitops']:,}", "8", "8"]

# SPDX-License-Identifier: Apache-2.0
"""Bits in plan.json: what is written is read again, and everything wrong is said at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mcukit.errors import McukitError
from mcukit.planning.plan_bits import Branching, PlanBits, bits_from_file, bits_to_json
from mcukit.quantized.branches import OutlierTest
from mcukit.quantized.precision import Precision
from tests.ops.harness import Case, quantize_case
from tests.planning.test_branches import branched, network


def read(content: object, folder: Path) -> PlanBits:
    path = folder / "plan.json"
    path.write_text(json.dumps(content))
    return bits_from_file(path)


def problems_of(content: object, folder: Path) -> list[tuple[str, str]]:
    """Place in the file, and message."""
    with pytest.raises(McukitError) as caught:
        read(content, folder)
    problems = caught.value.problems
    assert all(problem.code == "invalid-file" and problem.hint for problem in problems)
    return [(problem.where.removeprefix(f"{folder / 'plan.json'}."), problem.message) for problem in problems]


def test_eight_bits_are_not_written(tmp_path: Path) -> None:
    graph = network()
    model, _ = quantize_case(Case(graph.nodes[-1].operator, (), seed=0), graph)
    assert bits_to_json(model) == {}
    assert read({}, tmp_path) == PlanBits()


@pytest.mark.parametrize(
    ("wide", "test"),
    [((), None), (((1, 2), (0, 1)), None), ((), OutlierTest(-60, 70, (4, 0, 1, 2, 3, 1 << 20)))],
    ids=["all narrow", "positions", "values"],
)
def test_branches_are_read_as_they_were_written(
    wide: tuple[tuple[int, int], ...], test: OutlierTest | None, tmp_path: Path
) -> None:
    model, _ = branched(wide=wide, test=test)
    found = read(bits_to_json(model), tmp_path)

    assert found.branching == Branching({"requantize1": 4, "clip2": 2}, tuple(sorted(wide)), test)
    assert found.precision == Precision({"requantize1": 8, "clip2": 8})
    assert found.precision.is_int8


def test_bits_of_maps_and_weights_are_read(tmp_path: Path) -> None:
    content = {
        "bits": [{"map": "a", "bits": 4}, {"map": "b", "bits": 2}],
        "weight_bits": [{"layer": "c", "bits": 8}, {"layer": "d", "bits": 2}],
        "stages": "not looked at here",
    }
    found = read(content, tmp_path)
    assert found == PlanBits(Precision({"a": 4, "b": 2}, {"c": 8, "d": 2}))
    assert not found.precision.is_int8


BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "no list": ({"bits": 3}, "bits", "3 is not a list of objects"),
    "no list of weights": ({"weight_bits": {"a": 4}}, "weight_bits", "an object is not a list of objects"),
    "no object in the list": ({"bits": [4]}, "bits[0]", "4 is not an object"),
    "a width without kernels": ({"bits": [{"map": "a", "bits": 5}]}, "bits[0].bits", "5 is not 8, 4 or 2"),
    "a width that is none": ({"bits": [{"map": "a", "bits": "4"}]}, "bits[0].bits", '"4" is not 8, 4 or 2'),
    "true": ({"bits": [{"map": "a", "bits": True}]}, "bits[0].bits", "true is not 8, 4 or 2"),
    "no width": ({"bits": [{"map": "a"}]}, "bits[0].bits", "is missing"),
    "no name": ({"weight_bits": [{"bits": 4}]}, "weight_bits[0].layer", "is missing"),
    "an empty name": ({"bits": [{"map": "", "bits": 4}]}, "bits[0].map", '"" is not a string'),
    "a map twice": ({"bits": [{"map": "a", "bits": 4}] * 2}, "bits[1].map", "stands in the list twice"),
    "a layer twice": (
        {"weight_bits": [{"layer": "a", "bits": 4}] * 2}, "weight_bits[1].layer", "stands in the list twice",
    ),
    "an unknown key": ({"bits": [{"map": "a", "bits": 4, "wide": 8}]}, "bits[0].wide", "is not known"),
    "narrow alone": (
        {"bits": [{"map": "a", "bits": 8, "narrow": 4}]}, "bits", "'narrow' is given, but no 'branches'",
    ),
    "branches that are a list": ({"branches": []}, "branches", "a list of 0 is not an object"),
    "branches that are nothing": ({"branches": None}, "branches", "null is not an object"),
    "an unknown key of branches": ({"branches": {"tiles": []}}, "branches.tiles", "is not known"),
    "a tile without column": ({"branches": {"wide": [{"row": 0}]}}, "branches.wide[0].column", "is missing"),
    "a tile twice": (
        {"branches": {"wide": [{"row": 0, "column": 1}] * 2}}, "branches.wide[1].row", "stands in the list twice",
    ),
    "a negative row": (
        {"branches": {"wide": [{"row": -1, "column": 0}]}}, "branches.wide[0].row", "-1 is not an integer of 0 to",
    ),
    "a test of nothing": ({"branches": {"test": {}}}, "branches.test.counts", "is missing"),
    "counts that are no list": (
        {"branches": {"test": {"low": 0, "high": 1, "counts": 5}}}, "branches.test.counts", "5 is not a list of",
    ),
    "a count that is none": (
        {"branches": {"test": {"low": 0, "high": 1, "counts": [1, -1]}}},
        "branches.test.counts[1]", "-1 is not an integer of 0 to",
    ),
    "a limit that no map stores": (
        {"branches": {"test": {"low": -9999, "high": 1, "counts": [1]}}}, "branches.test.low", "-9999 is not an",
    ),
    "positions and values": (
        {"branches": {"wide": [{"row": 0, "column": 0}], "test": {"low": 0, "high": 1, "counts": [1]}}},
        "branches.test", "positions in 'wide' decide already",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("content", "where", "message"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_said_with_its_place(
    content: dict[str, Any], where: str, message: str, tmp_path: Path
) -> None:
    found = problems_of(content, tmp_path)
    assert any(place == where and message in text for place, text in found), found


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    content = {
        "bits": [{"map": "a", "bits": 3}, {"map": "a", "bits": 4, "narrow": 1}],
        "weight_bits": [7],
        "branches": {"wide": 1, "test": {"low": "a", "high": None, "counts": [True]}, "more": 0},
    }
    assert [where for where, _ in problems_of(content, tmp_path)] == [
        "bits[0].bits", "bits[1].map", "bits[1].narrow", "branches.more", "branches.test.counts[0]",
        "branches.test.high", "branches.test.low", "branches.wide", "weight_bits[0]",
    ]  # fmt: skip


@pytest.mark.parametrize("content", [None, [], 1, "bits"])
def test_a_file_of_no_object(content: object, tmp_path: Path) -> None:
    with pytest.raises(McukitError, match="is not an object"):
        read(content, tmp_path)

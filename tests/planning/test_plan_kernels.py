# SPDX-License-Identifier: Apache-2.0
"""Kernels in plan.json: what is written is read again, and everything wrong is said at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mcukit.errors import McukitError
from mcukit.planning.plan_kernels import kernels_from_file, kernels_to_json, with_plan_kernels
from mcukit.quantized.integer import other_kernels, with_kernels
from mcukit.quantized.kernel_sets import KernelSet
from tests.planning.chain_network import LAYERS, chain_network

MODEL = with_kernels(chain_network(), KernelSet.DSP)
FIRST, SECOND = LAYERS[:2]


def read(content: object, folder: Path) -> Mapping[str, KernelSet] | None:
    path = folder / "plan.json"
    path.write_text(json.dumps(content))
    return kernels_from_file(path)


@pytest.mark.parametrize("others", [{}, {SECOND: KernelSet.PORTABLE}, dict.fromkeys(LAYERS[:2], KernelSet.PORTABLE)])
def test_what_is_written_is_read_back(others: dict[str, KernelSet], tmp_path: Path) -> None:
    model = with_kernels(MODEL, KernelSet.DSP, others)
    found = read(kernels_to_json(model), tmp_path)
    assert found == others
    assert other_kernels(with_plan_kernels(MODEL, found, "plan.json")) == others


def test_a_plan_without_kernels_changes_none(tmp_path: Path) -> None:
    assert read({"stages": "not looked at here"}, tmp_path) is None
    chosen = with_kernels(MODEL, KernelSet.DSP, {FIRST: KernelSet.PORTABLE})
    assert with_plan_kernels(chosen, None, "plan.json") is chosen
    # One that has some says it for all layers.
    assert other_kernels(with_plan_kernels(chosen, {}, "plan.json")) == {}


BAD: dict[str, tuple[Any, str, str]] = {
    "no list": ("portable", "kernels", '"portable" is not a list of objects'),
    "no object": ([3], "kernels[0]", "3 is not an object"),
    "no layer": ([{"set": "dsp"}], "kernels[0].layer", "is missing"),
    "no set": ([{"layer": "a"}], "kernels[0].set", "is missing"),
    "an unknown set": ([{"layer": "a", "set": "fast"}], "kernels[0].set", '"fast" is not one of portable, dsp, mve'),
    "a list of sets": ([{"layer": "a", "set": ["dsp"]}], "kernels[0].set", "a list of 1 is not one of"),
    "a layer twice": ([{"layer": "a", "set": "dsp"}] * 2, "kernels[1].layer", "stands in the list twice"),
    "an unknown key": ([{"layer": "a", "set": "dsp", "bits": 4}], "kernels[0].bits", "is not known"),
}


@pytest.mark.parametrize(("value", "where", "message"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_said_with_its_place(value: object, where: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(McukitError) as caught:
        read({"kernels": value}, tmp_path)
    problems = [
        (problem.where.removeprefix(f"{tmp_path / 'plan.json'}."), problem) for problem in caught.value.problems
    ]
    assert all(problem.code == "invalid-file" and problem.hint for _, problem in problems)
    assert any(place == where and message in problem.message for place, problem in problems)


def test_kernels_that_do_not_fit_the_network_are_named_all_at_once() -> None:
    given = {"nothing": KernelSet.DSP, FIRST: KernelSet.MVE, SECOND: KernelSet.PORTABLE}
    with pytest.raises(McukitError) as caught:
        with_plan_kernels(MODEL, given, "plan.json")
    assert [(problem.code, problem.where) for problem in caught.value.problems] == [
        ("bad-plan", "plan.json: kernels[0]"),
        ("bad-plan", "plan.json: kernels[1]"),
    ]
    assert "there is no layer 'nothing'" in str(caught.value)
    assert f"'{FIRST}' can't have mve kernels in a network with dsp ones" in str(caught.value)

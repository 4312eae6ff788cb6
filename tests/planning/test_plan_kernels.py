# SPDX-License-Identifier: Apache-2.0
"""Kernels in plan.json: what is written is read again, and everything wrong is said at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mcukit.errors import McukitError
from mcukit.planning.plan_kernels import PlanKernels, kernels_from_file, kernels_to_json, with_plan_kernels
from mcukit.quantized.integer import other_kernels, with_kernels
from mcukit.quantized.kernel_sets import KernelSet
from tests.planning.chain_network import LAYERS, chain_network

MODEL = with_kernels(chain_network(), KernelSet.DSP)
FIRST, SECOND = LAYERS[:2]


def read(content: object, folder: Path) -> PlanKernels | None:
    path = folder / "plan.json"
    path.write_text(json.dumps(content))
    return kernels_from_file(path)


@pytest.mark.parametrize("others", [{}, {SECOND: KernelSet.PORTABLE}, dict.fromkeys(LAYERS[:2], KernelSet.PORTABLE)])
def test_what_is_written_is_read_back(others: dict[str, KernelSet], tmp_path: Path) -> None:
    model = with_kernels(MODEL, KernelSet.DSP, others)
    found = read(kernels_to_json(model), tmp_path)
    assert found == PlanKernels(KernelSet.DSP, others)
    assert other_kernels(with_plan_kernels(MODEL, found, "plan.json")) == others


CHOSEN = with_kernels(MODEL, KernelSet.DSP, {FIRST: KernelSet.PORTABLE})


def test_a_plan_without_kernels_changes_none(tmp_path: Path) -> None:
    assert read({"stages": "not looked at here"}, tmp_path) is None
    assert with_plan_kernels(CHOSEN, None, "plan.json") is CHOSEN
    # One that has some says it for all layers.
    assert other_kernels(with_plan_kernels(CHOSEN, PlanKernels(KernelSet.DSP), "plan.json")) == {}


def test_places_without_kernels_are_those_of_the_networks_own_set(tmp_path: Path) -> None:
    for key in ("arenas", "maps", "scratch"):
        found = read({key: []}, tmp_path)
        assert found == PlanKernels(has_places=True)
        assert other_kernels(with_plan_kernels(CHOSEN, found, "plan.json")) == {}


def test_kernels_for_another_set_count_only_where_places_belong_to_them(tmp_path: Path) -> None:
    content = kernels_to_json(with_kernels(MODEL, KernelSet.MVE, {FIRST: KernelSet.DSP}))
    assert with_plan_kernels(CHOSEN, read(content, tmp_path), "plan.json") is CHOSEN
    with pytest.raises(McukitError, match="places were made for mve kernels, and the network has dsp ones") as caught:
        with_plan_kernels(CHOSEN, read(content | {"maps": []}, tmp_path), "plan.json")
    assert [(problem.code, problem.where) for problem in caught.value.problems] == [
        ("bad-plan", "plan.json: kernels.set")
    ]


def others(*entries: object) -> dict[str, object]:
    return {"set": "dsp", "others": list(entries)}


BAD: dict[str, tuple[Any, str, str]] = {
    "no object": ("portable", "kernels", '"portable" is not an object'),
    "no set of the network": ({"others": []}, "kernels.set", "is missing"),
    "an unknown set of the network": ({"set": "neon"}, "kernels.set", '"neon" is not one of portable, dsp, mve'),
    "no list": ({"set": "dsp", "others": {}}, "kernels.others", "an object is not a list of objects"),
    "no object in the list": (others(3), "kernels.others[0]", "3 is not an object"),
    "no layer": (others({"set": "dsp"}), "kernels.others[0].layer", "is missing"),
    "no set": (others({"layer": "a"}), "kernels.others[0].set", "is missing"),
    "an unknown set": (others({"layer": "a", "set": "fast"}), "kernels.others[0].set", '"fast" is not one of portable'),
    "a list of sets": (others({"layer": "a", "set": ["dsp"]}), "kernels.others[0].set", "a list of 1 is not one of"),
    "a layer twice": (
        others(*[{"layer": "a", "set": "dsp"}] * 2),
        "kernels.others[1].layer",
        "stands in the list twice",
    ),
    "an unknown key": (others({"layer": "a", "set": "dsp", "bits": 4}), "kernels.others[0].bits", "is not known"),
    "an unknown key beside": ({"set": "dsp", "layers": []}, "kernels.layers", "is not known"),
}


@pytest.mark.parametrize(("value", "where", "message"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_said_with_its_place(value: object, where: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(McukitError) as caught:
        read({"kernels": value}, tmp_path)
    prefix = f"{tmp_path / 'plan.json'}."
    problems = [(problem.where.removeprefix(prefix), problem) for problem in caught.value.problems]
    assert all(problem.code == "invalid-file" and problem.hint for _, problem in problems)
    assert any(place == where and message in problem.message for place, problem in problems)


def test_kernels_that_do_not_fit_the_network_are_named_all_at_once() -> None:
    given = {"nothing": KernelSet.DSP, FIRST: KernelSet.MVE, SECOND: KernelSet.PORTABLE}
    with pytest.raises(McukitError) as caught:
        with_plan_kernels(MODEL, PlanKernels(KernelSet.DSP, given), "plan.json")
    assert [(problem.code, problem.where) for problem in caught.value.problems] == [
        ("bad-plan", "plan.json: kernels.others[0]"),
        ("bad-plan", "plan.json: kernels.others[1]"),
    ]
    assert "there is no layer 'nothing'" in str(caught.value)
    assert f"'{FIRST}' can't have mve kernels in a network with dsp ones" in str(caught.value)

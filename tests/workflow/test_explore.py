# SPDX-License-Identifier: Apache-2.0
"""Choices of bits and plans: none beats another, and each can be handed back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mcukit.errors import McukitError
from mcukit.report.blocks import Table
from mcukit.report.choices import choices_view
from mcukit.workflow.bits import BitsOptions
from mcukit.workflow.explore import Exploration, choice_plan, explore
from mcukit.workflow.options import QuantizeOptions
from mcukit.workflow.quantize import quantize
from mcukit.workflow.verify import verify
from tests.importers.onnx_text import network

NODES = """
    a = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(x, w1, b1)
    r = Relu(a)
    c = Conv<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(r, w2, b2)
    s = Relu(c)
    p = GlobalAveragePool(s)
    f = Flatten(p)
    y = Gemm<transB=1>(f, w3, b3)
"""
CONSTANTS = {"w1": (8, 3, 3, 3), "b1": (8,), "w2": (8, 8, 3, 3), "b2": (8,), "w3": (4, 8), "b3": (4,)}
OPTIONS = QuantizeOptions(bits=BitsOptions(max_error=1.0, images=8))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explore")
    values = np.random.default_rng(0).normal(0.0, 0.5, (20, 12, 12, 3)).astype(np.float32)
    np.savez(folder / "calibration.npz", x=values)
    path = folder / "net.onnx"
    path.write_bytes(network("(float[1,3,12,12] x) => (float[1,4] y)", NODES, CONSTANTS))
    return path


@pytest.fixture(scope="module")
def found(model: Path) -> Exploration:
    return explore(model, OPTIONS)


def test_no_choice_beats_another(found: Exploration) -> None:
    costs = [choice.costs() for choice in found.choices]

    assert len(set(costs)) == len(costs) > 3
    for one in costs:
        assert not [other for other in costs if other != one and all(a <= b for a, b in zip(other, one, strict=True))]
    assert costs == sorted(costs)
    assert found.choices[0].bitops == found.bitops, "8 bits everywhere make the least error"
    assert found.choices[-1].bitops < found.bitops / 3
    assert {choice.plan.pushed for choice in found.choices} == {False, True}


def test_a_choice_is_a_plan_to_hand_back(found: Exploration, model: Path, tmp_path: Path) -> None:
    choice = min(found.choices, key=lambda each: each.plan.arena_bytes)
    plan = tmp_path / "plan.json"
    plan.write_text(choice_plan(choice))

    build = quantize(model, tmp_path / "build", QuantizeOptions(plan=plan))

    assert build.plan.stages == choice.plan.stages
    assert build.plan.arena_bytes == choice.plan.arena_bytes
    assert build.report["bitops"] == choice.bitops
    assert verify(build, "host").equal


def test_a_budget_that_nothing_fits(found: Exploration, model: Path) -> None:
    least = min(choice.plan.arena_bytes for choice in found.choices)

    with pytest.raises(McukitError, match=f"less than {least:,} bytes"):
        explore(model, QuantizeOptions(bits=OPTIONS.bits, sram=least - 1))


def test_people_see_a_row_for_each_choice(found: Exploration) -> None:
    table = next(block for block in choices_view(found, [Path("choice_1.json")]) if isinstance(block, Table))

    assert [row[0] for row in table.rows] == [str(number + 1) for number in range(len(found.choices))]
    assert any("rows pushed" in row[-1] for row in table.rows)

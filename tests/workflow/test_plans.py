# SPDX-License-Identifier: Apache-2.0
"""Plans from the model file to the build: chosen, edited, handed back, pushed, and in the regions of a board."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mcukit.boards import load_board
from mcukit.errors import McukitError
from mcukit.workflow.build import load_build
from mcukit.workflow.emulate import emulate
from mcukit.workflow.plans import plan_front
from mcukit.workflow.quantize import QuantizeOptions, quantize
from mcukit.workflow.verify import random_inputs, verify


@pytest.mark.parametrize("plan", ["auto", "layers", "stream", "patches", "strips"])
def test_a_build_under_every_schedule(plan: str, small_model: Path, tmp_path: Path) -> None:
    build = quantize(small_model, tmp_path / "build", QuantizeOptions(plan=plan))
    assert build.report["plan"]["requested"] == plan
    assert build.report["plan"]["search"]["target"] == "cortex-m4"
    assert load_build(tmp_path / "build").plan == build.plan
    for target in ("plan", "host"):
        assert verify(build, target, random_inputs(build, 2)).equal


def test_a_plan_is_edited_and_handed_back(small_model: Path, tmp_path: Path) -> None:
    first = quantize(small_model, tmp_path / "first", QuantizeOptions(plan="layers"))
    content = json.loads((tmp_path / "first" / "plan.json").read_text())
    names = content["stages"][0]["layers"]
    content["stages"] = [
        {"layers": names[:2], "grid": [2, 1], "halo": "recomputed"},
        {"layers": names[2:], "grid": [1, 1], "halo": "recomputed"},
    ]
    edited = {key: content[key] for key in ("schema", "pushed", "stages")}
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(edited))
    build = quantize(small_model, tmp_path / "second", QuantizeOptions(plan=path))
    assert build.plan.schedule == "patches+layers"
    assert build.report["plan"]["requested"] == "mine.json"
    assert build.report["plan"]["search"] is None
    assert build.plan != first.plan
    assert verify(build, "host", random_inputs(build, 2)).equal
    # The places of the first plan do not fit these stages.
    path.write_text(json.dumps({**edited, **{key: content[key] for key in ("arenas", "maps", "scratch")}}))
    with pytest.raises(McukitError) as caught:
        quantize(small_model, tmp_path / "third", QuantizeOptions(plan=path))
    assert caught.value.problems[0].code == "bad-plan"
    assert not (tmp_path / "third").exists()


def test_rows_are_pushed(small_model: Path, tmp_path: Path) -> None:
    whole = quantize(small_model, tmp_path / "whole", QuantizeOptions(plan="stream"))
    pushed = quantize(small_model, tmp_path / "pushed", QuantizeOptions(plan="stream", push_rows=True))
    assert pushed.plan.arena_bytes < whole.plan.arena_bytes
    assert pushed.report["pushed_arena_bytes"] == pushed.plan.arena_bytes
    header = (tmp_path / "pushed" / "model" / f"{pushed.name}.h").read_text()
    assert f"int {pushed.name}_push_row(const int8_t *row);" in header
    assert f"{pushed.name}_input" not in header
    inputs = random_inputs(pushed, 3)
    for target in ("plan", "host", "cortex-m4"):
        assert verify(pushed, target, inputs).equal
    run = emulate(pushed, "cortex-m4", inputs[:1])
    assert run.arena_bytes == pushed.plan.arena_bytes


@pytest.mark.parametrize(
    ("options", "code", "where"),
    [
        (QuantizeOptions(plan="rows"), "wrong-option", "--plan"),
        (QuantizeOptions(plan="none.json"), "unreadable-file", "none.json"),
        (QuantizeOptions(plan="layers", push_rows=True), "wrong-option", "--push-rows"),
    ],
)
def test_what_is_no_plan(options: QuantizeOptions, code: str, where: str, small_model: Path, tmp_path: Path) -> None:
    with pytest.raises(McukitError) as caught:
        quantize(small_model, tmp_path / "build", options)
    assert caught.value.problems[0].code == code
    assert caught.value.problems[0].where == where
    assert not (tmp_path / "build").exists()


def test_a_plan_file_does_not_change_its_mind(small_model: Path, tmp_path: Path) -> None:
    quantize(small_model, tmp_path / "first", QuantizeOptions(plan="stream"))
    options = QuantizeOptions(plan=tmp_path / "first" / "plan.json", push_rows=True)
    with pytest.raises(McukitError, match="takes the input whole"):
        quantize(small_model, tmp_path / "second", options)
    with pytest.raises(McukitError, match=r"the plan needs .* bytes of SRAM and the budget is 60"):
        quantize(small_model, tmp_path / "third", QuantizeOptions(plan=tmp_path / "first" / "plan.json", sram=60))


def test_buffers_lie_in_the_regions_of_the_board(small_model: Path, tmp_path: Path) -> None:
    build = quantize(small_model, tmp_path / "build", QuantizeOptions(board="nucleo_h743zi"))
    regions = {region.name for region in load_board("nucleo_h743zi").arena_regions}
    assert set(build.plan.arenas) <= regions
    assert build.report["arenas"] == dict(build.plan.arenas)
    # DMA does not reach the fastest region: the input lies elsewhere, everything else there.
    assert build.plan.maps["x"].region != "dtcm"
    assert {place.region for name, place in build.plan.maps.items() if name != "x"} == {"dtcm"}
    text = (tmp_path / "build" / "model" / f"{build.name}.c").read_text()
    assert "MK_ARENA_IN(dtcm) static int8_t arena_dtcm[" in text
    assert verify(build, "cortex-m7", random_inputs(build, 1)).equal


def test_the_front_of_a_model_file(small_model: Path) -> None:
    front = plan_front(small_model)
    arenas = [found.plan.arena_bytes for found in front.plans]
    assert arenas == sorted(set(arenas), reverse=True)
    assert all(found.macs == front.macs + found.macs_redundant for found in (*front.plans, *front.pushed))
    assert min(found.plan.arena_bytes for found in front.pushed) <= arenas[-1]
    assert [cost.grid for cost in front.grids] == [(2, 2), (3, 3), (4, 4)]


def test_what_does_not_fit_is_refused_before_calibration(small_model: Path, tmp_path: Path) -> None:
    """Plans depend on shapes: nobody waits for data that are no use."""
    options = QuantizeOptions(calibration=tmp_path / "missing.npz", sram=10)
    with pytest.raises(McukitError) as caught:
        quantize(small_model, tmp_path / "build", options)
    assert caught.value.problems[0].code == "budget-exceeded"

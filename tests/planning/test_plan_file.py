# SPDX-License-Identifier: Apache-2.0
"""plan.json: what is written is read back, what people edit is placed anew, and nothing in it can do harm."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcukit.errors import McukitError
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import Halo, Plan, Stage
from mcukit.planning.plan_file import load_plan, plan_from_json, plan_text, plan_to_json
from mcukit.planning.planner import plan_of
from tests.planning.chain_network import LAYERS, chain_network

MODEL = chain_network()
FLOW = Dataflow(MODEL)
STAGES = {
    "layers": (Stage(LAYERS),),
    "stream": (Stage(LAYERS, halo=Halo.KEPT),),
    "strips+layers": (Stage(LAYERS[:3], 1, 2, Halo.KEPT), Stage(LAYERS[3:])),
    "patches+stream": (Stage(LAYERS[:2], 2, 3), Stage(LAYERS[2:], halo=Halo.KEPT)),
}
PLAN = plan_of(FLOW, STAGES["strips+layers"])
Edit = Callable[[dict[str, Any]], object]


def described(plan: Plan = PLAN) -> dict[str, Any]:
    content = json.loads(plan_text(plan))
    assert isinstance(content, dict)
    return content


@pytest.mark.parametrize("stages", STAGES.values(), ids=STAGES)
def test_what_is_written_is_read_back(stages: tuple[Stage, ...], tmp_path: Path) -> None:
    plan = replace(plan_of(FLOW, stages), weights={"mean": "flash"})
    path = tmp_path / "plan.json"
    path.write_text(plan_text(plan))
    assert json.loads(path.read_text()) == plan_to_json(plan)
    assert load_plan(path, MODEL) == plan


def test_a_pushed_plan_is_read_back() -> None:
    plan = plan_of(FLOW, STAGES["stream"], pushed=True)
    assert plan_from_json(described(plan), MODEL) == plan


def test_the_text_is_made_for_people() -> None:
    lines = plan_text(PLAN).splitlines()
    assert '      "grid": [1, 2],' in lines
    assert '        "mean",' in lines
    (place,) = (line for line in lines if '"name": "in"' in line)
    assert json.loads(place.rstrip(",")) == plan_to_json(PLAN)["maps"][0]  # type: ignore[index]


@pytest.mark.parametrize("stages", STAGES.values(), ids=STAGES)
def test_stages_alone_are_placed_anew(stages: tuple[Stage, ...]) -> None:
    plan = plan_of(FLOW, stages)
    content = described(plan)
    assert plan_from_json({"schema": 1, "stages": content["stages"]}, MODEL) == plan


def test_grid_and_halo_may_be_left_out() -> None:
    assert plan_from_json({"schema": 1, "stages": [{"layers": list(LAYERS)}]}, MODEL).stages == STAGES["layers"]


def test_places_are_taken_as_they_are() -> None:
    content = described()
    end = content["arenas"][0]["bytes"]
    content["scratch"][0]["offset"] = end
    content["arenas"][0]["bytes"] = end + content["scratch"][0]["bytes"]
    plan = plan_from_json(content, MODEL)
    assert plan.scratch["mean"].offset == end
    assert plan.maps == PLAN.maps


def first_stage(**fields: object) -> Edit:
    return lambda content: content["stages"][0].update(fields)


def first_map(**fields: object) -> Edit:
    return lambda content: content["maps"][0].update(fields)


HOSTILE: dict[str, tuple[Edit, str, str]] = {
    "schema": (lambda c: c.update(schema=2), "schema", "2 is not 1"),
    "no schema": (lambda c: c.pop("schema"), "schema", "is missing"),
    "no stages": (lambda c: c.pop("stages"), "stages", "is missing"),
    "stages are no list": (lambda c: c.update(stages={}), "stages", "an object is not a list of objects"),
    "a stage is no object": (lambda c: c.update(stages=[[1]]), "stages[0]", "a list of 1 is not an object"),
    "pushed is a number": (lambda c: c.update(pushed=1), "pushed", "1 is not true or false"),
    "unknown key": (lambda c: c.update(stage=[]), "stage", "is not known"),
    "unknown key of a stage": (first_stage(tiles=3), "stages[0].tiles", "is not known"),
    "key of a terminal": (lambda c: c.update({"\x1b[2J": 1}), '"\\u001b[2J"', "is not known"),
    "no layers": (first_stage(layers=[]), "stages[0].layers", "a list of 0 is not a list of strings"),
    "layers are numbers": (first_stage(layers=[1, 2]), "stages[0].layers", "is not a list of strings"),
    "grid of one": (first_stage(grid=[2]), "stages[0].grid", "is not a list of 2 integers"),
    "grid of zero": (first_stage(grid=[0, 1]), "stages[0].grid[0]", "0 is not an integer of 1 to 65535"),
    "grid of a fraction": (first_stage(grid=[1, 1.0]), "stages[0].grid[1]", "1.0 is not an integer"),
    "grid of true": (first_stage(grid=[1, True]), "stages[0].grid[1]", "true is not an integer"),
    "huge grid": (first_stage(grid=[1, 10**400]), "stages[0].grid[1]", "is not an integer of 1 to 65535"),
    "too many tiles": (first_stage(grid=[4000, 4000]), "stages[0].grid", "4000 x 4000 tiles are too many"),
    "halo": (first_stage(halo="shared"), "stages[0].halo", '"shared" is not one of kept, recomputed'),
    "halo is null": (first_stage(halo=None), "stages[0].halo", "null is not one of kept, recomputed"),
    "schedule contradicts": (
        first_stage(schedule="patches"),
        "stages[0].schedule",
        "this grid and halo are called 'strips'",
    ),
    "half of the places": (lambda c: c.pop("arenas"), "arenas", "is missing"),
    "no map": (lambda c: c.update(maps=[7]), "maps[0]", "7 is not an object"),
    "offset below zero": (first_map(offset=-4), "maps[0].offset", "-4 is not an integer of 0 to"),
    "offset too large": (first_map(offset=1 << 40), "maps[0].offset", "is not an integer of 0 to"),
    "offset is infinite": (first_map(offset=float("inf")), "maps[0].offset", "Infinity is not an integer"),
    "rows": (first_map(rows=0), "maps[0].rows", "0 is not an integer of 1 to 65535"),
    "region": (first_map(region="../ram"), "maps[0].region", "is not the name of a memory region"),
    "the same map twice": (first_map(name="mean"), "maps[2].name", "stands in the list twice"),
    "huge arenas": (
        lambda c: c["arenas"].extend({"region": f"r{i}", "bytes": 1 << 28} for i in range(3)),
        "arenas",
        "bytes",
    ),
    "arena for a map": (lambda c: c["arenas"][0].pop("bytes"), "arenas[0].bytes", "is missing"),
    "weights without region": (lambda c: c.update(weights=[{"name": "mean"}]), "weights[0].region", "is missing"),
    "no such layer": (first_stage(layers=["largest", "mode"]), "stages[0]: 'mode'", "the network has no such layer"),
    "missing layer": (first_stage(layers=list(LAYERS[:2])), "stages: 'rectified'", "the layer is in no stage"),
    "layer in two stages": (first_stage(layers=list(LAYERS[:4])), "stages[1]: 'sum'", "more than once"),
    "wrong order": (
        first_stage(layers=["mean", "largest", "rectified"]),
        "stages[0]: 'mean'",
        "does not stand where the network has it",
    ),
    "grid larger than the map": (
        first_stage(grid=[1, 9]),
        "stages[0]: 'rectified'",
        "a map of 8 x 8 pixels can't be cut into 1 x 9 tiles",
    ),
    "pushed into strips": (lambda c: c.update(pushed=True), "stages: 'in'", "rows of the input can be pushed"),
    "another place": (first_map(offset=4), "arena 'ram'", "bytes"),
    "arena that is not exact": (
        lambda c: c["arenas"][0].update(bytes=c["arenas"][0]["bytes"] + 4),
        "arena 'ram'",
        "what lies in it ends at",
    ),
    "weights of nothing": (
        lambda c: c.update(weights=[{"name": "other", "region": "flash"}]),
        "weights of 'other'",
        "the network has no such layer",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("edit", "where", "message"), HOSTILE.values(), ids=HOSTILE)
def test_what_is_wrong_is_said_with_its_place(edit: Edit, where: str, message: str) -> None:
    content = described()
    edit(content)
    with pytest.raises(McukitError) as caught:
        plan_from_json(content, MODEL)
    problems = caught.value.problems
    assert any(problem.where == where and message in problem.message for problem in problems), str(caught.value)
    assert all(problem.hint for problem in problems)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("content", [None, [], "plan", 1, float("nan"), True, [[]]])
def test_what_is_no_object_is_refused(content: object) -> None:
    with pytest.raises(McukitError, match="is not an object"):
        plan_from_json(content, MODEL)


def test_everything_wrong_is_said_at_once() -> None:
    content = described()
    content["schema"] = "1"
    content["stages"][1]["halo"] = 3
    content["maps"][1]["rows"] = None
    with pytest.raises(McukitError) as caught:
        plan_from_json(content, MODEL)
    assert [problem.where for problem in caught.value.problems] == ["maps[1].rows", "schema", "stages[1].halo"]


FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is not valid JSON"),
    "no JSON": (b"{'schema': 1}", "is not valid JSON"),
    "no text": (b'{"schema": "\xff"}', "is not valid JSON"),
    "NaN": (b'{"schema": NaN}', "NaN is not JSON"),
    "infinity": (b'{"schema": [-Infinity]}', "-Infinity is not JSON"),
    "a key twice": (b'{"schema": 1, "stages": [{"halo": 1, "halo": 2}]}', 'the key "halo" stands twice'),
    "deep": (b"[" * 200_000, "is nested too deeply"),
    "long number": (b'{"schema": ' + b"9" * 10_000 + b"}", "is not valid JSON"),
    "large": (b" " * ((1 << 22) + 1), "has more than 4194304 bytes"),
}


@pytest.mark.parametrize(("data", "message"), FILES.values(), ids=FILES)
def test_files_that_are_no_plans(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(data)
    with pytest.raises(McukitError) as caught:
        load_plan(path, MODEL)
    (problem,) = caught.value.problems
    assert (problem.code, problem.where) == ("invalid-file", str(path))
    assert message in problem.message


@pytest.mark.parametrize("name", ["", "missing.json", "nul\0.json"])
def test_files_that_cannot_be_read(name: str, tmp_path: Path) -> None:
    with pytest.raises(McukitError) as caught:
        load_plan(tmp_path / name, MODEL)
    assert caught.value.problems[0].code == "unreadable-file"


def test_problems_of_a_file_name_it(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text('{"schema": 3}')
    with pytest.raises(McukitError) as caught:
        load_plan(path, MODEL)
    assert [problem.where for problem in caught.value.problems] == [f"{path}: schema", f"{path}: stages"]


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(LAYERS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def places_in(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of parsed JSON."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [(value, key) for key in keys] + [place for key in keys for place in places_in(value[key])]


@settings(deadline=None)
@given(st.data())
def test_junk_anywhere_is_a_plan_or_an_error(data: st.DataObject) -> None:
    content = copy.deepcopy(described())
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(places_in(content)))
        container[key] = data.draw(JUNK)
    try:
        plan = plan_from_json(content, MODEL)
    except McukitError:
        return
    assert plan_from_json(plan_to_json(plan), MODEL) == plan


@pytest.mark.parametrize(("schedule", "halo"), [("stream", "kept"), ("layers", "recomputed")])
def test_a_stage_may_say_its_schedule_alone(schedule: str, halo: str) -> None:
    model = chain_network()
    names = [layer.name for layer in Dataflow(model).layers]
    plan = plan_from_json({"schema": 1, "stages": [{"schedule": schedule, "layers": names}]}, model)
    assert [(stage.schedule, stage.halo) for stage in plan.stages] == [(schedule, halo)]


def test_a_misspelt_schedule_is_told_apart_from_a_contradiction() -> None:
    stage = {"schedule": "straem", "layers": ["a"]}
    with pytest.raises(McukitError, match=r'stages\[0\]\.schedule: "straem" is not one of layers, stream'):
        plan_from_json({"schema": 1, "stages": [stage]}, chain_network())

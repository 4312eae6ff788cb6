# SPDX-License-Identifier: Apache-2.0
"""plan.json: a Plan as a file that people read, edit and hand back.

Needed are `schema` and `stages`; everything else may be left out. Without `arenas`, `maps` and `scratch`, which belong
together, every buffer is placed anew. `schedule` only says what grid and halo are called. Bits (see
mcukit.planning.plan_bits) are what the network is quantized with, before it is planned, and kernels (see
mcukit.planning.plan_kernels) those that it is planned with.
"""

from __future__ import annotations

__all__ = ["first_stage", "load_plan", "plan_from_json", "plan_text", "plan_to_json"]

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from mcukit.errors import McukitError
from mcukit.json_object import JsonObject, read_json
from mcukit.planning.check import check_plan
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import Halo, Place, Plan, Stage
from mcukit.planning.plan_bits import bits_to_json, read_bits
from mcukit.planning.plan_kernels import PLACES, kernels_to_json, places_in, read_kernels
from mcukit.planning.planner import plan_of
from mcukit.planning.region_budget import RegionBudget
from mcukit.planning.schedule import partition
from mcukit.quantized.integer import IntegerModel

SCHEMA = 1

LARGEST_ARENA = 1 << 28
"""Bytes of all memory regions together: more than any microcontroller has."""

MOST_TILES = 1024
"""Of a stage: tiles of a few pixels are all halo."""

_OF_THE_CORE = ("kernels", *PLACES, "weights")
"""What depends on the core that a network is planned for."""

_SCHEDULES = ("layers", "stream", "patches", "strips")

_LARGEST_SIDE = (1 << 16) - 1
_REGION = r"[a-z][a-z0-9_]{0,31}"

Entry = TypeVar("Entry")


def plan_to_json(plan: Plan, model: IntegerModel | None = None) -> dict[str, object]:
    """A plan as what plan.json holds, with the bits and kernels of the model that it is for."""
    return {
        "schema": SCHEMA,
        **({} if model is None else bits_to_json(model) | kernels_to_json(model)),
        "schedule": plan.schedule,
        "pushed": plan.pushed,
        "stages": [
            {
                "schedule": stage.schedule,
                "grid": [stage.tile_rows, stage.tile_columns],
                "halo": stage.halo.value,
                "layers": list(stage.layers),
            }
            for stage in plan.stages
        ],
        "arenas": [{"region": region, "bytes": size} for region, size in plan.arenas.items()],
        "maps": [
            _place_to_json(name, place) | {"rows": place.rows, "columns": place.columns}
            for name, place in plan.maps.items()
        ],
        "scratch": [_place_to_json(name, place) for name, place in plan.scratch.items()],
        "weights": [{"name": name, "region": region} for name, region in plan.weights.items()],
    }


def plan_text(plan: Plan, model: IntegerModel | None = None, *, places: bool = True) -> str:
    """The text of plan.json, one line for each layer and each place.

    places: whether it says where buffers lie, and which kernels they are made for.
    """
    content = plan_to_json(plan, model)
    if not places:
        content = {key: value for key, value in content.items() if key not in _OF_THE_CORE}
    return _text(content, "") + "\n"


def first_stage(path: Path) -> Stage:
    """The first stage of a plan, which says how tiles of two precisions lie. Raises McukitError for what is none."""
    file = JsonObject(read_json(path), str(path), [])
    stages = [_stage(entry) for entry in file.objects("stages")]
    if not stages and not file.problems:
        file.problem("stages", "there is none", "give at least one")
    file.raise_problems()
    return stages[0]


def load_plan(
    path: Path,
    model: IntegerModel,
    *,
    regions: Sequence[RegionBudget] | None = None,
    weight_regions: Sequence[RegionBudget] | None = None,
) -> Plan:
    """The plan in a file, for `model`; see `plan_from_json`. Raises McukitError "unreadable-file" too."""
    try:
        return plan_from_json(read_json(path), model, regions=regions, weight_regions=weight_regions)
    except McukitError as error:
        if error.problems[0].where == str(path):
            raise
        raise McukitError.collect(
            [replace(problem, where=f"{path}: {problem.where}") for problem in error.problems]
        ) from error


def plan_from_json(
    content: object,
    model: IntegerModel,
    *,
    regions: Sequence[RegionBudget] | None = None,
    weight_regions: Sequence[RegionBudget] | None = None,
) -> Plan:
    """The plan that parsed JSON describes, placed anew if it gives no places, and proven by `check_plan`.

    regions, weight_regions: where to place it, as for `plan_of`.

    Raises McukitError with all that is wrong, at places such as "stages[2].grid": "invalid-file" where the file is
    not as it should be, then "bad-stage" where stages don't fit the network, then "bad-plan" for places.
    """
    file = JsonObject(content, "", [])
    file.integer("schema", SCHEMA, SCHEMA)
    file.has("schedule")
    read_bits(file)
    read_kernels(file)
    pushed = file.boolean("pushed", default=False)
    stages = tuple(_stage(entry) for entry in file.objects("stages"))
    weights = _entries(file, "weights", "name", _region) if file.has("weights") else {}
    given = places_in(file)
    arenas, maps, scratch = {}, {}, {}
    if given:
        arenas = _entries(file, "arenas", "region", lambda entry: entry.integer("bytes", 0, LARGEST_ARENA))
        maps = _entries(file, "maps", "name", _map_place)
        scratch = _entries(file, "scratch", "name", _place)
        if sum(arenas.values()) > LARGEST_ARENA:
            file.problem("arenas", f"they have {sum(arenas.values())} bytes", f"use at most {LARGEST_ARENA}")
    file.refuse_unknown()
    file.raise_problems()
    flow = Dataflow(model)
    _check_stages(flow, stages, pushed)
    if given:
        plan = Plan(stages, pushed, maps, scratch, arenas, weights)
    else:
        plan = plan_of(flow, stages, pushed=pushed, regions=regions, weight_regions=weight_regions)
        plan = replace(plan, weights={**plan.weights, **weights})
    check_plan(flow, plan)
    return plan


def _stage(entry: JsonObject) -> Stage:
    layers = entry.texts("layers")
    rows, columns = entry.integers("grid", 2, _LARGEST_SIDE, (1, 1))
    if rows * columns > MOST_TILES:
        entry.problem("grid", f"{rows} x {columns} tiles are too many", f"use at most {MOST_TILES}")
    schedule = entry.choice("schedule", _SCHEDULES, "")
    halo = Halo.KEPT if schedule in {"stream", "strips"} else Halo.RECOMPUTED
    stage = Stage(layers, rows, columns, Halo(entry.choice("halo", [halo.value for halo in Halo], halo)))
    if schedule not in ("", stage.schedule):
        hint = "change grid and halo to what is wanted; schedule says what that is called, and may be left out"
        entry.problem("schedule", f"this grid and halo are called '{stage.schedule}'", hint)
    entry.refuse_unknown()
    return stage


def _entries(file: JsonObject, key: str, name: str, read: Callable[[JsonObject], Entry]) -> dict[str, Entry]:
    """A list of objects as a dictionary by what they call `name`, which has to differ."""
    result: dict[str, Entry] = {}
    for entry in file.objects(key):
        known = entry.text(name)
        if known in result:
            entry.problem(name, "stands in the list twice", "take one of the two out")
        result[known] = read(entry)
        entry.refuse_unknown()
    return result


def _region(entry: JsonObject) -> str:
    return entry.text("region", _REGION, 'the name of a memory region, such as "ram"')


def _place(entry: JsonObject) -> Place:
    offset, size = (entry.integer(key, 0, LARGEST_ARENA) for key in ("offset", "bytes"))
    return Place(_region(entry), offset, size)


def _map_place(entry: JsonObject) -> Place:
    rows, columns = (entry.integer(key, 1, _LARGEST_SIDE) for key in ("rows", "columns"))
    return replace(_place(entry), rows=rows, columns=columns)


def _check_stages(flow: Dataflow, stages: Sequence[Stage], pushed: bool) -> None:
    """Raises McukitError "bad-stage", with the stage that each problem is in."""
    number = {layer: index for index, stage in enumerate(stages) for layer in stage.layers}
    try:
        partition(flow, stages, pushed)
    except McukitError as error:
        places = [f"stages[{number[p.where]}]" if p.where in number else "stages" for p in error.problems]
        raise McukitError.collect(
            [
                replace(problem, where=f"{place}: '{problem.where}'")
                for problem, place in zip(error.problems, places, strict=True)
            ]
        ) from error


def _place_to_json(name: str, place: Place) -> dict[str, object]:
    return {"name": name, "region": place.region, "offset": place.offset, "bytes": place.bytes}


def _text(value: object, indent: str) -> str:
    """JSON with one line for each object and each string of a list."""
    if not _is_long(value):
        return json.dumps(value)
    inner = f"{indent}  "
    if isinstance(value, dict):
        items = [f"{json.dumps(key)}: {_text(item, inner)}" for key, item in value.items()]
        first, last = "{", "}"
    else:
        items = [_text(item, inner) for item in value] if isinstance(value, list) else []
        first, last = "[", "]"
    separator = f",\n{inner}"
    return f"{first}\n{inner}{separator.join(items)}\n{indent}{last}"


def _is_long(value: object) -> bool:
    if isinstance(value, dict):
        return any(_is_long(item) for item in value.values())
    return isinstance(value, list) and any(isinstance(item, dict | str) for item in value)

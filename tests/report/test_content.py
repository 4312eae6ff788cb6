# SPDX-License-Identifier: Apache-2.0
"""What report.json says about plans."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mcukit.planning.dataflow import Dataflow
from mcukit.planning.receptive_field import stage_work
from mcukit.planning.schedule import partition
from mcukit.quantized.integer import IntegerModel
from tests.planning.small_network import PLANS, planned
from tests.report.conftest import ContentOf


@pytest.mark.parametrize("name", PLANS)
def test_stages_and_repeated_work(model: IntegerModel, content_of: ContentOf, name: str) -> None:
    plan = planned(model, name)
    content = json.loads(json.dumps(content_of(model, plan)))
    flow = Dataflow(model)
    work = [stage_work(flow, tiles) for tiles in partition(flow, plan.stages, plan.pushed)]
    assert content["plan"]["schedule"] == plan.schedule
    assert content["plan"]["pushed"] is plan.pushed
    assert content["plan"]["stages"] == [
        {
            "schedule": stage.schedule,
            "layers": list(stage.layers),
            "grid": [stage.tile_rows, stage.tile_columns],
            "halo": str(stage.halo),
            "macs": done.macs,
            "macs_redundant": done.macs_redundant,
        }
        for stage, done in zip(plan.stages, work, strict=True)
    ]
    assert content["macs_redundant"] == sum(stage["macs_redundant"] for stage in content["plan"]["stages"])
    assert content["macs"] == sum(stage["macs"] for stage in content["plan"]["stages"]) == 12 * 10 * 108 + 30 * 144
    assert (content["macs_redundant"] > 0) == (name in {"patches", "strips", "mixture"})
    assert content["arena_bytes"] == plan.arena_bytes
    assert content["pushed_arena_bytes"] == (plan.arena_bytes if name == "pushed" else None)


def test_receptive_fields_of_layers(content: dict[str, Any]) -> None:
    fields = [layer["receptive_field"] for layer in content["layers"]]
    assert fields == [[3, 3], [3, 3], [5, 5], [9, 9], [9, 9], [12, 10], [12, 10], [12, 10]]

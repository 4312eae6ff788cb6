# SPDX-License-Identifier: Apache-2.0
"""The content of a report over three layers, and a plan for them."""

from __future__ import annotations

from typing import Any

import pytest

from mcukit.planning.plan import Place, Plan

ERROR = {"rmse": 0.01, "mae": 0.008, "l2r": 0.0123, "nse": 0.999, "cosine": 0.9999}


def layer(name: str, op: str, inputs: list[str], output: str, **more: object) -> dict[str, Any]:
    return {
        "name": name, "op": op, "inputs": inputs, "output": output, "output_shape": [1, 4, 4, 8], "macs": 1000,
        "bitops": 64000, "input_bits": 8, "output_bits": 8, "weight_bits": 8, "weight_bytes": 216, "map_bytes": 128,
        "error": ERROR, "instructions": None, **more,
    }  # fmt: skip


@pytest.fixture
def content() -> dict[str, Any]:
    """As report.json has it."""
    return {
        "schema": 1, "name": "net", "model": "net", "board": None, "kernels": "portable",
        "plan": {"schedule": "layers"},
        "input_range": [0.0, 1.0],
        "calibrated": True, "input_shape": [1, 8, 8, 1], "output_shapes": [[1, 10]], "macs": 2000,
        "macs_redundant": 0, "bitops": 128000, "arena_bytes": 400, "pushed_arena_bytes": None, "weight_bytes": 432,
        "tflite": {"bytes": 3000, "tflm_arena_bytes": None}, "accuracy": None, "emulation": None,
        "budget": {"sram": None, "flash": None, "fits_sram": True, "fits_flash": True},
        "layers": [
            layer("first", "conv2d", ["image"], "a"),
            layer("second", "clip", ["a"], "b", macs=0, error=None),
            layer("third", "add", ["b", "image"], "c"),
        ],
    }  # fmt: skip


@pytest.fixture
def plan() -> Plan:
    """The second layer works in the memory of the first one's output."""
    maps = {"image": Place(0, 64, 8), "a": Place(64, 128, 4), "b": Place(64, 128, 4), "c": Place(192, 128, 4)}
    return Plan("layers", maps, {"first": Place(320, 80, 0)}, 400)

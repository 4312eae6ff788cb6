# SPDX-License-Identifier: Apache-2.0
"""The results of the benchmark of estimated cycles that are kept, and its page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.cycles import BOARDS, NETWORKS, render
from mcukit.boards import load_board
from mcukit.emulation.cycles import CYCLE_CLASSES

KEPT = Path(__file__).parents[2] / "benchmarks" / "results"


def kept() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((KEPT / "cycles.json").read_text())
    return content


def test_every_network_is_estimated_on_every_board() -> None:
    networks = kept()["networks"]
    assert tuple(network["name"] for network in networks) == NETWORKS
    for network in networks:
        assert tuple(row["board"] for row in network["boards"]) == BOARDS
        for row in network["boards"]:
            assert row["cycles"] == sum(row["classes"][name] for name in CYCLE_CLASSES)
            assert row["clock_hz"] == load_board(row["board"]).clock_hz


def test_instructions_are_those_of_the_core() -> None:
    """Flash and clock change cycles alone."""
    for network in kept()["networks"]:
        for core in ("cortex-m4", "cortex-m7"):
            assert len({row["instructions"] for row in network["boards"] if row["core"] == core}) == 1


def test_the_page_is_that_of_the_figures() -> None:
    assert (KEPT / "cycles.md").read_text() == render(kept())

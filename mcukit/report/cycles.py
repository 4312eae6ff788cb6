# SPDX-License-Identifier: Apache-2.0
"""Estimated cycles, as reports show them."""

from __future__ import annotations

__all__ = ["CYCLE_MEANINGS", "cycles_content", "cycles_text"]

from collections.abc import Mapping
from typing import Any

from mcukit.emulation.cycles import CycleEstimate
from mcukit.report.units import count

CYCLE_MEANINGS = {
    "issue": "instructions, one after the other",
    "branches": "waits for branches",
    "fetches": "waits for code in flash",
    "loads": "waits for weights in flash",
}
"""What the classes of cycles are called."""


def cycles_content(estimate: CycleEstimate) -> dict[str, Any]:
    """As JSON has it. milliseconds: at the board's clock."""
    return {
        "board": estimate.board,
        "clock_hz": estimate.clock_hz,
        "cycles": estimate.cycles,
        "classes": dict(estimate.classes),
        "milliseconds": round(estimate.milliseconds, 3),
    }


def cycles_text(content: Mapping[str, Any]) -> str:
    """In a few words, that it is an estimate being one of them."""
    clock = f"{content['clock_hz'] / 1e6:g} MHz"
    return f"about {content['milliseconds']:.3g} ms at {clock}: {count(content['cycles'])} cycles, an estimate"

# SPDX-License-Identifier: Apache-2.0
"""What a network takes of each region of a board's memory, to the byte as it is linked."""

from __future__ import annotations

__all__ = ["region_content", "region_facts"]

from collections.abc import Mapping, Sequence
from typing import Any

from mcukit.boards import Board
from mcukit.emulation.measure import Measurement
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import DEFAULT_REGION, Plan
from mcukit.planning.regions import linked_weights
from mcukit.report.units import size


def region_content(board: Board, flow: Dataflow, plan: Plan, measurement: Measurement | None) -> list[dict[str, Any]]:
    """Of report.json: the regions that arenas, weights, code or stack lie in, in the order of the board's file.

    arena: bytes of maps and working memory. weights: each array at a multiple of 4 bytes; those in RAM are copies, and
    flash holds them too. code: of the network and its kernels with their constants, where it was measured, else null; 0
    in RAM. reserve: left to the stack, to data outside of arenas and to the application. free: the rest. Start-up code,
    application and framework are not counted.
    """
    arenas = {board.default_region if name == DEFAULT_REGION else name: used for name, used in plan.arenas.items()}
    flash = next(name for name in board.placement.weights if board.region(name).kind == "flash")
    weights = linked_weights(flow, plan.weights, flash)
    for name, copied in tuple(weights.items()):
        if board.region(name).kind == "ram":
            weights[flash] = weights.get(flash, 0) + copied
    code = None if measurement is None else measurement.code_bytes
    regions = []
    for region in board.memory:
        entry: dict[str, Any] = {
            "name": region.name,
            "kind": region.kind,
            "bytes": region.bytes,
            "arena": arenas.get(region.name, 0),
            "weights": weights.get(region.name, 0),
            "code": code if region.name == flash else 0,
            "reserve": board.placement.reserve if region.name == board.placement.stack else 0,
        }
        taken = (entry["arena"], entry["weights"], entry["code"], entry["reserve"])
        if any(taken) or region.name == flash:
            regions.append({**entry, "free": region.bytes - sum(part or 0 for part in taken)})
    return regions


def region_facts(regions: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """The entries of `region_content` for people."""
    facts = []
    for region in regions:
        parts = [
            f"{size(region[key])} {name}"
            for key, name in (("arena", "maps"), ("weights", "weights"), ("code", "code"), ("reserve", "reserved"))
            if region[key]
        ]
        facts.append((f"in {region['name']}", f"{', '.join(parts)}; {size(region['free'])} free"))
    return facts

# SPDX-License-Identifier: Apache-2.0
"""What a network takes of each region of a board's memory, to the byte as it is linked."""

from __future__ import annotations

__all__ = ["region_content", "region_facts"]

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mcukit.report.units import size

if TYPE_CHECKING:
    from mcukit.boards import Board


def region_content(
    board: Board, arenas: Mapping[str, int], weights: Mapping[str, int], code: int | None
) -> list[dict[str, Any]]:
    """Of report.json: the regions that arenas, weights, code or stack lie in, in the order of the board's file.

    arenas: bytes by region. weights: the same, each array at a multiple of 4 bytes. code: bytes of the network and its
    kernels with their constants, None where that was not measured.

    In an entry, weights in RAM are copies, and flash holds them too. copied_by is the linker script of the build folder
    whose start-up code makes them: firmware of frameworks, PlatformIO's among it, reads these weights in flash. It is
    null where there are none. Code is null where it was not measured and 0 in
    RAM; reserve is left to the stack, to data outside of arenas and to the application; free is the rest. Start-up
    code, application and framework are not counted.
    """
    flash = board.code_region
    copied = sum(used for name, used in weights.items() if board.region(name).kind == "ram")
    regions = []
    for region in board.memory:
        entry: dict[str, Any] = {
            "name": region.name,
            "kind": region.kind,
            "bytes": region.bytes,
            "arena": arenas.get(region.name, 0),
            "weights": weights.get(region.name, 0) + (copied if region.name == flash else 0),
            "code": code if region.name == flash else 0,
            "copied_by": f"linker/{board.id}.ld" if region.kind == "ram" and weights.get(region.name) else None,
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
        script = region.get("copied_by")
        copies = f" (copies, in programs linked with {script}; others keep them in flash)" if script else ""
        parts = [
            f"{size(region[key])} {name}"
            for key, name in (
                ("arena", "maps"),
                ("weights", f"weights{copies}"),
                ("code", "code"),
                ("reserve", "reserved"),
            )
            if region[key]
        ]
        facts.append((f"in {region['name']}", f"{', '.join(parts)}; {size(region['free'])} free"))
    return facts

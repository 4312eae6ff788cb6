# SPDX-License-Identifier: Apache-2.0
"""`mcukit boards`: the boards that mcukit knows."""

from __future__ import annotations

__all__ = ["boards"]

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from mcukit.cli.options import json_option
from mcukit.cli.output import Output
from mcukit.report.blocks import Block, Column, Facts, Line, Table
from mcukit.report.units import size

if TYPE_CHECKING:
    from mcukit.boards import Board, Placement
    from mcukit.planning.region_budget import RegionBudget

_KIB = 1024


@click.command()
@click.argument("board_id", metavar="[ID]", required=False)
@json_option
def boards(board_id: str | None, as_json: bool) -> int:
    """Lists the boards that mcukit knows, or all that it knows of one (an id, or the path of a TOML file)."""
    from mcukit.boards import list_boards, load_board

    output = Output(as_json)
    if board_id is None:
        known = list_boards()
        fields = [{"id": board.id, "name": board.name, **_summary(board)} for board in known]
        output.result({"boards": fields}, lambda: _list_view(known))
    else:
        board = load_board(board_id)
        output.result({"board": {**asdict(board), **_summary(board)}}, lambda: _board_view(board))
    return 0


def _summary(board: Board) -> dict[str, object]:
    return {
        "core": board.core,
        "clock_hz": board.clock_hz,
        "sram_bytes": board.sram_bytes,
        "flash_bytes": board.flash_bytes,
        "arena_regions": [asdict(region) for region in board.arena_regions],
        "weight_regions": [asdict(region) for region in board.weight_regions],
        "emulation_target": board.emulation_target,
    }


def _list_view(known: tuple[Board, ...]) -> list[Block]:
    columns = (
        Column("id"),
        Column("board"),
        Column("core"),
        Column("MHz", right=True),
        Column("SRAM KiB", right=True),
        Column("flash KiB", right=True),
    )
    rows = tuple(
        (
            board.id,
            board.name,
            board.core,
            f"{board.clock_hz / 1e6:g}",
            f"{board.sram_bytes // _KIB:,}",
            f"{board.flash_bytes // _KIB:,}",
        )
        for board in known
    )
    return [Table(columns, rows)]


def _board_view(board: Board) -> list[Block]:
    facts = (
        ("vendor", board.vendor),
        ("core", f"{board.core} at {board.clock_hz / 1e6:g} MHz"),
        ("kernels", board.kernels),
        ("emulated by", board.emulation_target),
        ("PlatformIO", board.platformio),
        ("arenas in", _budgets(board.arena_regions)),
        ("weights in", _budgets(board.weight_regions)),
        ("serial port", f"{board.serial.port} ({board.serial.connection}), {board.serial.baud:,} baud"),
    )
    titles = ("region", "kind", "address", "size", "holds", "note")
    columns = tuple(Column(title, right=title == "size") for title in titles)
    rows = tuple(
        (r.name, r.kind, f"{r.address:#010x}", size(r.bytes), _uses(board.placement, r.name), r.note)
        for r in board.memory
    )
    sources = [Line(f"  {source}", "faint") for source in board.sources]
    title = Line(f"{board.name} ({board.id})", "title")
    return [title, Facts(facts), Line(""), Table(columns, rows), Line(""), *sources]


def _budgets(regions: tuple[RegionBudget, ...]) -> str:
    """Regions with their usable bytes, fastest first."""
    return ", then ".join(f"{region.name} ({region.bytes:,} bytes)" for region in regions)


def _uses(placement: Placement, region: str) -> str:
    held = {"arena": placement.arena, "weights": placement.weights, "stack": (placement.stack,)}
    return ", ".join(use for use, names in held.items() if region in names)

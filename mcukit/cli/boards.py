# SPDX-License-Identifier: Apache-2.0
"""`mcukit boards`: the boards that mcukit knows."""

from __future__ import annotations

__all__ = ["boards"]

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from mcukit.cli.options import json_option
from mcukit.cli.output import Output
from mcukit.quantities import counted
from mcukit.report.blocks import Block, Column, Facts, Line, Table
from mcukit.report.units import size

if TYPE_CHECKING:
    from mcukit.boards import Board, Placement, Serial
    from mcukit.planning.region_budget import RegionBudget

_KIB = 1024
_NOTHING = "nothing"


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
    """Beside what stands in the file: what follows from it. cost_target: see Board; emulation_target may be null."""
    return {
        "core": board.core,
        "clock_hz": board.clock_hz,
        "ram_bytes": board.ram_bytes,
        "sram_bytes": board.sram_bytes,
        "flash_bytes": board.flash_bytes,
        "arena_regions": [asdict(region) for region in board.arena_regions],
        "weight_regions": [asdict(region) for region in board.weight_regions],
        "platformio": asdict(board.platformio) if board.platformio else None,
        "emulation_target": board.emulation_target,
        "not_emulated": board.not_emulated,
        "cost_target": board.cost_target,
        "costs_stand_in": board.costs_stand_in,
    }


def _list_view(known: tuple[Board, ...]) -> list[Block]:
    columns = (
        Column("id", whole=True),
        Column("board"),
        Column("core", whole=True),
        Column("MHz", right=True),
        Column("RAM KiB", right=True),
        Column("flash KiB", right=True),
        Column("emulated by", whole=True),
        Column("frameworks"),
    )
    rows = tuple(
        (
            board.id,
            board.name,
            board.core,
            f"{board.clock_hz / 1e6:g}",
            f"{board.ram_bytes // _KIB:,}",
            f"{board.flash_bytes // _KIB:,}",
            board.emulation_target or _NOTHING,
            ", ".join(board.platformio.frameworks) if board.platformio else "",
        )
        for board in known
    )
    return [Table(columns, rows)]


def _board_view(board: Board) -> list[Block]:
    from mcukit.report.core import core_content, core_facts

    dsp = "with DSP instructions" if board.dsp else "no DSP instructions"
    fpu = "no floating point" if board.fpu == "none" else f"{board.fpu} precision floating point"
    facts = (
        ("vendor", board.vendor),
        ("core", f"{board.core} at {board.clock_hz / 1e6:g} MHz, {dsp}, {fpu}"),
        ("kernels", board.kernels),
        *core_facts(core_content(board) or {}),
        ("cycle counter", board.cycle_counter.value),
        ("flash", _flash_timing(board)),
        ("arenas in", _budgets(board.arena_regions)),
        ("weights in", _budgets(board.weight_regions)),
        ("stack in", f"{board.placement.stack}, where {board.placement.reserve:,} bytes are left to the application"),
        ("serial port", _serial(board.serial)),
        ("PlatformIO", _platformio(board)),
    )
    titles = ("region", "kind", "address", "size", "DMA", "holds", "note")
    columns = tuple(Column(title, right=title == "size") for title in titles)
    rows = tuple(
        (
            region.name,
            region.kind,
            f"{region.address:#010x}",
            size(region.bytes),
            "yes" if region.dma else "no",
            _uses(board.placement, region.name),
            region.note,
        )
        for region in board.memory
    )
    sources = [Line(f"  {source}", "faint") for source in board.sources]
    title = Line(f"{board.name} ({board.id})", "title")
    return [title, Facts(facts), Line(""), Table(columns, rows), Line(""), Line("from:"), *sources]


def _flash_timing(board: Board) -> str:
    timing = board.flash_timing
    if timing is None:
        return "not timed, so that mcukit emulate --board can't estimate cycles"
    waits = (
        f"{timing.wait_states} wait states of {counted(timing.clock_divider, 'cycle')} for {timing.line_bytes} bytes"
    )
    caches = f"{timing.instruction_cache_bytes:,} bytes for code and {timing.data_cache_bytes:,} for constants"
    return f"{waits}, caches of {caches}"


def _serial(serial: Serial) -> str:
    pins = f", TX {serial.tx}, RX {serial.rx}" if serial.tx else ""
    return f"{serial.port} ({serial.connection}){pins}, {serial.baud:,} baud"


def _platformio(board: Board) -> str:
    if board.platformio is None:
        return "does not know this board"
    frameworks = ", ".join(board.platformio.frameworks)
    return f"{board.platformio.board} of {board.platformio.platform}, with {frameworks}"


def _budgets(regions: tuple[RegionBudget, ...]) -> str:
    """Regions with their usable bytes, fastest first."""
    return ", then ".join(f"{region.name} ({region.bytes:,} bytes)" for region in regions)


def _uses(placement: Placement, region: str) -> str:
    held = {"arena": placement.arena, "weights": placement.weights, "stack": (placement.stack,)}
    return ", ".join(use for use, names in held.items() if region in names)

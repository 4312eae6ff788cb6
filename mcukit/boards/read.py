# SPDX-License-Identifier: Apache-2.0
"""Board files: what stands in them, and everything that is wrong with it at once."""

from __future__ import annotations

__all__ = ["CONNECTIONS", "FRAMEWORKS", "ID", "read_board"]

import re
from pathlib import Path

from mcukit.boards.board import DEFAULT_RESERVE, Board, FlashTiming, MemoryRegion, Placement, PlatformIO, Serial
from mcukit.boards.check import ADDRESSES, check_core, check_memory
from mcukit.boards.cores import CORES, FPUS, CycleCounter
from mcukit.quantized.kernel_sets import KERNEL_SETS
from mcukit.toml_table import TomlTable, read_toml

CONNECTIONS = ("st-link", "usb-bridge", "usb", "pins")
MEMORY_KINDS = ("ram", "flash")
FRAMEWORKS = ("arduino", "cmsis", "espidf", "libopencm3", "mbed", "spl", "stm32cube", "zephyr")
"""PlatformIO's names."""

ID = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
_REGION = r"[a-z][a-z0-9_]{0,31}"
_PIN = r"[A-Za-z0-9_.]{1,16}"
_ID_HINT = "write letters, digits, - and _"
_REGION_HINT = "write small letters, digits and _"
_PIN_HINT = 'write a name such as "USART1" or "PA9"'


def read_board(path: Path) -> Board:
    """A board from its file.

    Raises McukitError "unreadable-file", or "invalid-file" with all that is wrong in it.
    """
    table = read_toml(path)
    board = Board(
        id=table.text("id", pattern=ID, hint=_ID_HINT),
        name=table.text("name"),
        vendor=table.text("vendor"),
        core=table.choice("core", CORES),
        dsp=table.boolean("dsp"),
        fpu=table.choice("fpu", FPUS),
        kernels=table.choice("kernels", KERNEL_SETS),
        clock_hz=table.integer("clock_hz", 1_000_000, 10_000_000_000),
        cycle_counter=_cycle_counter(table),
        memory=tuple(_region(item) for item in table.tables("memory")),
        placement=_placement(table.table("placement")),
        serial=_serial(table.table("serial")),
        platformio=_platformio(table.table("platformio")) if table.has("platformio") else None,
        sources=table.texts("sources"),
        flash_timing=_flash_timing(table.table("flash_timing")) if table.has("flash_timing") else None,
    )
    table.refuse_unknown()
    check_core(board, table)
    check_memory(board, table)
    table.raise_problems()
    return board


def _cycle_counter(table: TomlTable) -> CycleCounter:
    names = [counter.value for counter in CycleCounter]
    value = table.choice("cycle_counter", names)
    return CycleCounter(value) if value in names else CycleCounter.DWT


def _region(table: TomlTable) -> MemoryRegion:
    kind = table.choice("kind", MEMORY_KINDS)
    region = MemoryRegion(
        name=table.text("name", pattern=_REGION, hint=_REGION_HINT),
        address=table.integer("address", 0, ADDRESSES - 1),
        bytes=table.integer("bytes", 1, ADDRESSES),
        kind="ram" if kind == "ram" else "flash",
        dma=table.boolean("dma", default=True),
        note=table.text("note", ""),
    )
    table.refuse_unknown()
    return region


def _placement(table: TomlTable) -> Placement:
    placement = Placement(
        arena=_region_names(table, "arena"),
        weights=_region_names(table, "weights"),
        stack=table.text("stack", pattern=_REGION, hint="write the name of a region"),
        reserve=table.integer("reserve", 0, ADDRESSES) if table.has("reserve") else DEFAULT_RESERVE,
    )
    table.refuse_unknown()
    return placement


def _region_names(table: TomlTable, key: str) -> tuple[str, ...]:
    """One name or a list of names."""
    hint = 'write one such as "sram", or several such as ["dtcm", "sram"], the fastest first'
    value = table.value(key, hint)
    names = [value] if isinstance(value, str) else value
    if isinstance(names, list) and names and all(isinstance(n, str) and re.fullmatch(_REGION, n) for n in names):
        return tuple(names)
    if value is not None:
        table.problem(key, "is neither the name of a region nor a list of names", hint)
    return ()


def _flash_timing(table: TomlTable) -> FlashTiming:
    line_bytes = table.integer("line_bytes", 4, 256)
    instruction_cache = _cache(table, "instruction_cache", line_bytes)
    data_cache = _cache(table, "data_cache", line_bytes)
    timing = FlashTiming(
        table.integer("wait_states", 0, 100),
        table.integer("clock_divider", 1, 16),
        line_bytes,
        *instruction_cache,
        *data_cache,
    )
    table.refuse_unknown()
    return timing


def _cache(table: TomlTable, name: str, line_bytes: int) -> tuple[int, int]:
    """Bytes and ways of a cache, which is made of sets of equally many lines."""
    held, ways = table.integer(f"{name}_bytes", 0, 1 << 20), table.integer(f"{name}_ways", 1, 1 << 10)
    if held % (line_bytes * ways) and not table.has_problem("line_bytes", f"{name}_bytes", f"{name}_ways"):
        message = f"{held} bytes are not {ways} ways of lines of {line_bytes} bytes"
        table.problem(f"{name}_bytes", message, f"write a multiple of {line_bytes * ways}, or other ways or lines")
    return held, ways


def _serial(table: TomlTable) -> Serial:
    connection = table.choice("connection", CONNECTIONS)
    serial = Serial(
        port=table.text("port", pattern=_PIN, hint=_PIN_HINT),
        connection=connection,
        baud=table.integer("baud", 300, 12_000_000),
        tx=_pin(table, "tx", connection),
        rx=_pin(table, "rx", connection),
    )
    table.refuse_unknown()
    return serial


def _pin(table: TomlTable, key: str, connection: str) -> str:
    """A pin of a serial port, empty where it has none."""
    if connection != "usb":
        return table.text(key, pattern=_PIN, hint=_PIN_HINT)
    if table.has(key):
        table.problem(key, "the chip's own USB has no pins to choose", "leave it out")
    return ""


def _platformio(table: TomlTable) -> PlatformIO:
    platformio = PlatformIO(
        board=table.text("board", pattern=ID, hint="write PlatformIO's id of the board, as `pio boards` shows it"),
        platform=table.text("platform", pattern=ID, hint='write a platform of PlatformIO, such as "ststm32"'),
        frameworks=table.texts("frameworks"),
        linked=_region_names(table, "linked") if table.has("linked") else (),
    )
    for name in platformio.frameworks:
        if name not in FRAMEWORKS:
            table.problem("frameworks", f"{name[:60]!r} is not known", f"choose of {', '.join(FRAMEWORKS)}")
    table.refuse_unknown()
    return platformio

# SPDX-License-Identifier: Apache-2.0
"""The boards that mcukit knows: one TOML file each, in boards/ or wherever a user keeps one of their own."""

from __future__ import annotations

__all__ = ["Board", "CycleCounter", "MemoryRegion", "Placement", "Serial", "list_boards", "load_board"]

import difflib
import re
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from pathlib import Path
from typing import Literal

from mcukit.errors import McukitError
from mcukit.planning.region_budget import RegionBudget
from mcukit.resources import boards_dir
from mcukit.toml_table import TomlTable, read_toml

EMULATION_TARGETS = {"cortex-m4": "cortex-m4", "cortex-m7": "cortex-m7", "rv32imc": "riscv32"}
"""What each supported core is emulated by."""

KERNEL_SETS = ("portable",)
CONNECTIONS = ("st-link", "usb-bridge", "usb", "pins")
MEMORY_KINDS = ("ram", "flash")

_ID = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
_REGION = r"[a-z][a-z0-9_]{0,31}"
_PIN = r"[A-Za-z0-9_]{1,16}"
_ADDRESSES = 1 << 32

DEFAULT_RESERVE = 8192
"""Bytes of the stack's region that stay free for stack and application where a board file says nothing else."""


class CycleCounter(StrEnum):
    """How a core counts its cycles.

    DWT: the register DWT->CYCCNT. DWT_LOCKED: the same, after 0xC5ACCE55 was written to DWT->LAR.
    MPCCR: the control and status register 0x7E2 of Espressif's RISC-V cores, set up by 0x7E0 and 0x7E1.
    """

    DWT = "dwt"
    DWT_LOCKED = "dwt-locked"
    MPCCR = "mpccr"


@dataclass(frozen=True)
class MemoryRegion:
    """Memory in one piece.

    address: of its first byte, as the processor reads data. bytes: its size. dma: whether DMA that serves peripherals
    reaches it: the network's input, which a camera may write, is kept out of regions where it does not.
    """

    name: str
    address: int
    bytes: int
    kind: Literal["ram", "flash"]
    dma: bool = True
    note: str = ""

    @property
    def end(self) -> int:
        """The address after the last byte."""
        return self.address + self.bytes


@dataclass(frozen=True)
class Placement:
    """The names of the regions that may hold arenas and weights, fastest first, and of the one that holds the stack.

    weights: regions of RAM before those of flash get copies of weights that are read often.
    reserve: bytes of the stack's region that arenas and weights leave to stack and application.
    """

    arena: tuple[str, ...]
    weights: tuple[str, ...]
    stack: str
    reserve: int = DEFAULT_RESERVE


@dataclass(frozen=True)
class Serial:
    """The port that the firmware talks through.

    port: the peripheral. connection: what is between it and the computer: "st-link" and "usb-bridge" on the
    board, "usb" of the chip itself, or nothing but "pins". baud: bits per second. tx, rx: the chip's pins.
    """

    port: str
    connection: str
    baud: int
    tx: str
    rx: str


@dataclass(frozen=True)
class Board:
    """What mcukit must know of a board.

    id: what users call it. platformio: PlatformIO's name for it. core: the processor core. kernels: the set
    of kernels that is compiled for it. clock_hz: the highest processor clock. sources: the vendor's documents
    that all of this was taken from.
    """

    id: str
    platformio: str
    name: str
    vendor: str
    core: str
    kernels: str
    clock_hz: int
    cycle_counter: CycleCounter
    memory: tuple[MemoryRegion, ...]
    placement: Placement
    serial: Serial
    sources: tuple[str, ...]

    def region(self, name: str) -> MemoryRegion:
        """The memory region of that name. Raises KeyError if there is none."""
        for region in self.memory:
            if region.name == name:
                return region
        raise KeyError(name)

    @property
    def arena_regions(self) -> tuple[RegionBudget, ...]:
        """What may hold arenas, fastest first, with the bytes that the reserve leaves."""
        return tuple(self._budget(name) for name in self.placement.arena)

    @property
    def weight_regions(self) -> tuple[RegionBudget, ...]:
        """What may hold weights, fastest first. Of a region of RAM arenas take their part before."""
        return tuple(self._budget(name) for name in self.placement.weights)

    def _budget(self, name: str) -> RegionBudget:
        region = self.region(name)
        usable = region.bytes - (self.placement.reserve if name == self.placement.stack else 0)
        return RegionBudget(name, usable, region.kind, region.dma)

    @property
    def sram_bytes(self) -> int:
        """Usable bytes of the largest single region for an arena with the input: what needs no more fits for sure."""
        return max(region.bytes for region in self.arena_regions if region.dma)

    @property
    def flash_bytes(self) -> int:
        """Bytes of all flash that may hold weights."""
        return sum(region.bytes for region in self.weight_regions if region.kind == "flash")

    @property
    def emulation_target(self) -> str:
        """The name of the target in mcukit.emulation.targets that has this core."""
        return EMULATION_TARGETS[self.core]


def load_board(id_or_path: str | Path) -> Board:
    """A board by its id, or by the path of a TOML file: whatever ends in ".toml" or has a slash in it.

    Raises McukitError "unknown-board", "unreadable-file", or "invalid-file" with all that is wrong in it.
    """
    text = str(id_or_path)
    if isinstance(id_or_path, Path) or text.endswith(".toml") or "/" in text:
        return _read(Path(id_or_path))
    path = boards_dir() / f"{text}.toml"
    # The pattern keeps names such as ".." away from the file system.
    if re.fullmatch(_ID, text) is None or not path.is_file():
        raise _unknown(text)
    return _read(path)


def list_boards() -> tuple[Board, ...]:
    """All boards that come with mcukit, by id."""
    paths = sorted(boards_dir().glob("*.toml"), key=lambda path: path.name.lower())
    return tuple(_read(path) for path in paths)


def _unknown(text: str) -> McukitError:
    ids = sorted(path.stem for path in boards_dir().glob("*.toml"))
    by_lower_case = {board_id.lower(): board_id for board_id in ids}
    close = difflib.get_close_matches(text.lower()[:100], by_lower_case, n=1)
    guess = f"did you mean {by_lower_case[close[0]]}? " if close else ""
    return McukitError(
        "unknown-board",
        f"there is no board {text[:100]!r}",
        hint=f"{guess}known are {', '.join(ids)}; for another one give the path of a TOML file",
        exit_code=2,
    )


def _read(path: Path) -> Board:
    table = read_toml(path)
    board = Board(
        id=table.text("id", pattern=_ID, hint="letters, digits, - and _"),
        platformio=table.text("platformio", pattern=_ID, hint="letters, digits, - and _"),
        name=table.text("name"),
        vendor=table.text("vendor"),
        core=table.choice("core", EMULATION_TARGETS),
        kernels=table.choice("kernels", KERNEL_SETS),
        clock_hz=table.integer("clock_hz", 1_000_000, 10_000_000_000),
        cycle_counter=_cycle_counter(table),
        memory=tuple(_region(item) for item in table.tables("memory")),
        placement=_placement(table.table("placement")),
        serial=_serial(table.table("serial")),
        sources=table.texts("sources"),
    )
    table.refuse_unknown()
    # Values that are missing or of a wrong type would only make these checks repeat what is known.
    if not table.problems:
        _check_memory(board, table)
    table.raise_problems()
    return board


def _cycle_counter(table: TomlTable) -> CycleCounter:
    value = table.choice("cycle_counter", [counter.value for counter in CycleCounter])
    return CycleCounter(value) if value in {counter.value for counter in CycleCounter} else CycleCounter.DWT


def _region(table: TomlTable) -> MemoryRegion:
    kind = table.choice("kind", MEMORY_KINDS)
    region = MemoryRegion(
        name=table.text("name", pattern=_REGION, hint="small letters, digits and _"),
        address=table.integer("address", 0, _ADDRESSES - 1),
        bytes=table.integer("bytes", 1, _ADDRESSES),
        kind="ram" if kind == "ram" else "flash",
        dma=_flag(table, "dma", default=True),
        note=table.text("note", ""),
    )
    table.refuse_unknown()
    return region


def _flag(table: TomlTable, key: str, *, default: bool) -> bool:
    value = table.value(key) if table.has(key) else default
    if not isinstance(value, bool):
        table.problem(key, "is neither true nor false")
        return default
    return value


def _placement(table: TomlTable) -> Placement:
    placement = Placement(
        arena=_region_names(table, "arena"),
        weights=_region_names(table, "weights"),
        stack=table.text("stack", pattern=_REGION),
        reserve=table.integer("reserve", 0, _ADDRESSES) if table.has("reserve") else DEFAULT_RESERVE,
    )
    table.refuse_unknown()
    return placement


def _region_names(table: TomlTable, key: str) -> tuple[str, ...]:
    """One name or a list of names."""
    value = table.value(key)
    names = [value] if isinstance(value, str) else value
    if isinstance(names, list) and names and all(isinstance(n, str) and re.fullmatch(_REGION, n) for n in names):
        return tuple(names)
    if value is not None:
        table.problem(key, "is neither the name of a region nor a list of names", 'such as ["dtcm", "sram"]')
    return ()


def _serial(table: TomlTable) -> Serial:
    serial = Serial(
        port=table.text("port", pattern=_PIN),
        connection=table.choice("connection", CONNECTIONS),
        baud=table.integer("baud", 300, 12_000_000),
        tx=table.text("tx", pattern=_PIN),
        rx=table.text("rx", pattern=_PIN),
    )
    table.refuse_unknown()
    return serial


def _check_memory(board: Board, table: TomlTable) -> None:
    """Notes regions that can't be, and placements in regions that aren't there or can't hold them."""
    for region in board.memory:
        if region.end > _ADDRESSES:
            table.problem("memory", f"{region.name} goes beyond the 32 bits of an address")
    for first, second in combinations(board.memory, 2):
        if first.name == second.name:
            table.problem("memory", f"two regions are called {first.name}")
        if first.address < second.end and second.address < first.end:
            table.problem("memory", f"{first.name} and {second.name} overlap")
    if not table.problems:
        _check_placement(board, table)


def _check_placement(board: Board, table: TomlTable) -> None:
    kinds = {region.name: region.kind for region in board.memory}
    placement = board.placement
    uses = (
        ("arena", placement.arena, ("ram",)),
        ("weights", placement.weights, ("ram", "flash")),
        ("stack", (placement.stack,), ("ram",)),
    )
    for use, names, allowed in uses:
        for name in names:
            if name not in kinds:
                table.problem(f"placement.{use}", f"there is no region {name!r}", f"regions: {', '.join(kinds)}")
            elif kinds[name] not in allowed:
                table.problem(f"placement.{use}", f"{name} is {kinds[name]}, but the {use} must be in {allowed[0]}")
        if len(set(names)) < len(names):
            table.problem(f"placement.{use}", "a region is named twice")
    if not table.problems:
        _check_budgets(board, table)


def _check_budgets(board: Board, table: TomlTable) -> None:
    kinds = [region.kind for region in board.weight_regions]
    if "flash" not in kinds:
        hint = "add the flash that the program is in: weights in RAM are copies of those"
        table.problem("placement.weights", "weights must be in flash too", hint)
    elif "ram" in kinds[kinds.index("flash") :]:
        hint = "put RAM before flash: it gets copies of weights that are read often"
        table.problem("placement.weights", "RAM behind flash is never used", hint)
    stack = board.region(board.placement.stack)
    if board.placement.reserve >= stack.bytes:
        table.problem("placement.reserve", f"it takes all {stack.bytes} bytes of {stack.name}")
    if not any(region.dma for region in board.arena_regions):
        table.problem("placement.arena", "DMA reaches none of these regions", "name one that may hold the input")

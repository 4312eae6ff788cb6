# SPDX-License-Identifier: Apache-2.0
"""The boards that come with mcukit, and what is said of a board file that is wrong."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from mcukit.boards import Board, CycleCounter, list_boards, load_board
from mcukit.emulation.targets import TARGETS
from mcukit.errors import McukitError, Problem
from mcukit.planning.region_budget import RegionBudget
from mcukit.resources import boards_dir
from mcukit.toml_table import LARGEST_FILE

VALID = """
id = "mine"
platformio = "mine"
name = "My board"
vendor = "Me"
core = "cortex-m4"
kernels = "portable"
clock_hz = 80_000_000
cycle_counter = "dwt"
sources = ["schematics"]

[[memory]]
name = "sram"
address = 0x2000_0000
bytes = 65_536
kind = "ram"

[[memory]]
name = "flash"
address = 0x0800_0000
bytes = 262_144
kind = "flash"

[placement]
arena = "sram"
weights = "flash"
stack = "sram"

[serial]
port = "USART1"
connection = "pins"
baud = 115_200
tx = "PA9"
rx = "PA10"
"""

# From the vendors' documents: what is left of the largest region of RAM, flash, clock, target, cycle counter.
FACTS = {
    "nucleo_f446re": (120 << 10, 512 << 10, 180_000_000, "cortex-m4", CycleCounter.DWT),
    "nucleo_h743zi": (512 << 10, 2048 << 10, 480_000_000, "cortex-m7", CycleCounter.DWT_LOCKED),
    "genericSTM32F405RG": (128 << 10, 1024 << 10, 168_000_000, "cortex-m4", CycleCounter.DWT),
    "esp32-c3-devkitm-1": (312 << 10, 4096 << 10, 160_000_000, "riscv32", CycleCounter.MPCCR),
}


def problems_of(path: Path) -> tuple[Problem, ...]:
    with pytest.raises(McukitError) as caught:
        load_board(path)
    return caught.value.problems


@pytest.fixture
def board_file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(VALID)
    return path


@pytest.mark.parametrize("board_id", FACTS)
def test_facts(board_id: str) -> None:
    board = load_board(board_id)
    facts = (board.sram_bytes, board.flash_bytes, board.clock_hz, board.emulation_target, board.cycle_counter)
    assert facts == FACTS[board_id]


ARENAS: dict[str, tuple[RegionBudget, ...]] = {
    "nucleo_f446re": (RegionBudget("sram", 120 << 10),),
    "nucleo_h743zi": (
        RegionBudget("dtcm", 120 << 10, dma=False),
        RegionBudget("axi", 512 << 10),
        RegionBudget("d2", 288 << 10),
    ),
    "genericSTM32F405RG": (RegionBudget("sram", 128 << 10), RegionBudget("ccm", 56 << 10, dma=False)),
    "esp32-c3-devkitm-1": (RegionBudget("dram", 312 << 10),),
}


@pytest.mark.parametrize("board", list_boards(), ids=lambda board: board.id)
def test_arenas_have_what_the_reserve_leaves_fastest_first(board: Board) -> None:
    assert board.arena_regions == ARENAS[board.id]


def test_weights_may_be_copied_to_ram_before_flash() -> None:
    assert load_board("nucleo_h743zi").weight_regions == (
        RegionBudget("dtcm", 120 << 10, dma=False),
        RegionBudget("flash", 2048 << 10, "flash"),
    )
    assert load_board("nucleo_f446re").weight_regions == (RegionBudget("flash", 512 << 10, "flash"),)


PLACEMENTS = {
    "one name": ('arena = "sram"', 'arena = "sram"', (("sram",), 65536 - 8192, 262144)),
    "a list of one": ('arena = "sram"', 'arena = ["sram"]', (("sram",), 65536 - 8192, 262144)),
    "several": ('arena = "sram"', 'arena = ["fast", "sram"]', (("fast", "sram"), 65536 - 8192, 262144)),
    "a reserve": ('arena = "sram"', 'arena = "sram"\nreserve = 1024', (("sram",), 64512, 262144)),
    "no reserve": ('arena = "sram"', 'arena = "sram"\nreserve = 0', (("sram",), 65536, 262144)),
    "a stack elsewhere": ('stack = "sram"', 'stack = "fast"', (("sram",), 65536, 262144)),
    "more flash": ('weights = "flash"', 'weights = ["fast", "flash", "qspi"]', (("sram",), 57344, 262144 + 1048576)),
}
MORE_MEMORY = """
[[memory]]
name = "fast"
address = 0x1000_0000
bytes = 524_288
kind = "ram"
dma = false

[[memory]]
name = "qspi"
address = 0x9000_0000
bytes = 1_048_576
kind = "flash"
"""


@pytest.mark.parametrize(("old", "new", "expected"), PLACEMENTS.values(), ids=PLACEMENTS)
def test_placements(board_file: Path, old: str, new: str, expected: tuple[tuple[str, ...], int, int]) -> None:
    board_file.write_text(VALID.replace(old, new) + MORE_MEMORY)
    board = load_board(board_file)
    assert (board.placement.arena, board.sram_bytes, board.flash_bytes) == expected


def test_an_arena_out_of_reach_of_dma_is_not_promised(board_file: Path) -> None:
    board_file.write_text(VALID.replace('arena = "sram"', 'arena = ["fast", "sram"]') + MORE_MEMORY)
    board = load_board(board_file)
    assert [region.dma for region in board.arena_regions] == [False, True]
    assert board.sram_bytes == 65536 - 8192


def test_the_h7_has_all_its_memories() -> None:
    regions = {region.name: (region.address, region.bytes >> 10) for region in load_board("nucleo_h743zi").memory}
    assert regions == {
        "axi": (0x24000000, 512),
        "dtcm": (0x20000000, 128),
        "d2": (0x30000000, 288),
        "d3": (0x38000000, 64),
        "flash": (0x08000000, 2048),
    }


def test_every_board_is_listed_by_its_file_name_and_can_be_emulated() -> None:
    boards = list_boards()
    assert {board.id for board in boards} == {path.stem for path in boards_dir().glob("*.toml")} >= FACTS.keys()
    assert all(board.emulation_target in TARGETS for board in boards)
    assert all(load_board(board.id) == board for board in boards)


def test_boards_can_not_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        load_board("nucleo_f446re").clock_hz = 1  # type: ignore[misc]


def test_a_region_that_is_not_there_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="psram"):
        load_board("nucleo_f446re").region("psram")


def test_a_board_of_ones_own_is_read_from_its_path(board_file: Path) -> None:
    assert load_board(board_file) == load_board(str(board_file))
    assert load_board(board_file).name == "My board"


@pytest.mark.parametrize("name", ["", "..", "nothing", "a" * 10_000, "nucleo_f446re\0", "NUCLEO_F446RE"])
def test_unknown_boards(name: str) -> None:
    with pytest.raises(McukitError) as caught:
        load_board(name)
    (problem,) = caught.value.problems
    assert problem.code == "unknown-board"
    assert caught.value.exit_code == 2
    assert "nucleo_h743zi" in problem.hint


def test_a_misspelt_board_gets_a_suggestion() -> None:
    with pytest.raises(McukitError, match=r"did you mean nucleo_f446re\?"):
        load_board("Nucleo-F446RE")


@pytest.mark.parametrize(
    ("old", "new", "place", "message"),
    [
        ('id = "mine"', 'id = "../mine"', "id", "'../mine' is not allowed"),
        ('id = "mine"', "id = 5", "id", "5 is not a string"),
        ('id = "mine"\n', "", "id", "is missing"),
        ('name = "My board"', 'nmae = "My board"', "nmae", "is not known"),
        ('"cortex-m4"', '"z80"', "core", "'z80' is not known"),
        ("80_000_000", "0", "clock_hz", "0 is not in the range 1000000 to 10000000000"),
        ("80_000_000", "80e6", "clock_hz", "80000000.0 is not an integer"),
        ("80_000_000", "true", "clock_hz", "True is not an integer"),
        (
            "80_000_000",
            "0x" + "f" * 5000,
            "clock_hz",
            "this integer is not in the range 1000000 to 10000000000",
        ),
        ('cycle_counter = "dwt"', 'cycle_counter = "sundial"', "cycle_counter", "'sundial' is not known"),
        ('["schematics"]', "[]", "sources", "[] is not a list of strings"),
        ('["schematics"]', "[1]", "sources", "[1] is not a list of strings"),
        ('kind = "ram"', 'kind = "rom"', "memory[0].kind", "'rom' is not known"),
        ("bytes = 65_536", "bytes = -1", "memory[0].bytes", "-1 is not in the range 1 to 4294967296"),
        ("bytes = 65_536", "bytes = 0xF000_0000", "memory", "sram goes beyond the 32 bits of an address"),
        ("0x0800_0000", "0x2000_FFFF", "memory", "sram and flash overlap"),
        ('name = "flash"', 'name = "sram"', "memory", "two regions are called sram"),
        ('arena = "sram"', 'arena = "psram"', "placement.arena", "there is no region 'psram'"),
        (
            'stack = "sram"',
            'stack = "flash"',
            "placement.stack",
            "flash is flash, but the stack must be in ram",
        ),
        ('arena = "sram"', "arena = []", "placement.arena", "is neither the name of a region nor a list of names"),
        ('arena = "sram"', 'arena = ["sram", 1]', "placement.arena", "is neither the name of a region nor a list"),
        ('arena = "sram"', 'arena = ["../sram"]', "placement.arena", "is neither the name of a region nor a list"),
        ('arena = "sram"', 'arena = ["sram", "psram"]', "placement.arena", "there is no region 'psram'"),
        ('arena = "sram"', 'arena = ["sram", "flash"]', "placement.arena", "but the arena must be in ram"),
        ('arena = "sram"', 'arena = ["sram", "sram"]', "placement.arena", "a region is named twice"),
        ('arena = "sram"\n', "", "placement.arena", "is missing"),
        ('weights = "flash"', 'weights = ["sram"]', "placement.weights", "weights must be in flash too"),
        ('weights = "flash"', 'weights = ["flash", "sram"]', "placement.weights", "RAM behind flash is never used"),
        ('stack = "sram"', 'stack = ["sram"]', "placement.stack", "is not a string"),
        ('stack = "sram"', 'stack = "sram"\nreserve = -1', "placement.reserve", "-1 is not in the range"),
        ('stack = "sram"', 'stack = "sram"\nreserve = 65_536', "placement.reserve", "it takes all 65536 bytes of sram"),
        ("bytes = 65_536", "bytes = 65_536\ndma = 1", "memory[0].dma", "is neither true nor false"),
        ("bytes = 65_536", "bytes = 65_536\ndma = false", "placement.arena", "DMA reaches none of these regions"),
        ("[placement]", "[[placement]]", "placement", "is not a table"),
        ("[[memory]]", "[[memroy]]", "memory", "is missing"),
        ("baud = 115_200", "baud = 1", "serial.baud", "1 is not in the range 300 to 12000000"),
        ('tx = "PA9"', 'tx = "PA9; reset"', "serial.tx", "'PA9; reset' is not allowed"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(board_file: Path, old: str, new: str, place: str, message: str) -> None:
    assert old in VALID
    board_file.write_text(VALID.replace(old, new))
    found = [(problem.where, problem.message) for problem in problems_of(board_file)]
    assert any(where == f"{board_file}: {place}" and message in text for where, text in found), found


def test_all_that_is_wrong_is_said_at_once(board_file: Path) -> None:
    board_file.write_text(VALID.replace("portable", "fast").replace("bytes = 65_536", "").replace("PA10", ""))
    places = [problem.where.split(": ")[1] for problem in problems_of(board_file)]
    assert places == ["kernels", "memory[0].bytes", "serial.rx"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"id = ", "is not valid TOML"),
        (b"\xff\xfe\x00", "is not valid TOML"),
        (b"x = " + b"9" * 5000, "is not valid TOML"),
        (b"x = " + b"[" * 20_000, "is nested too deeply"),
        (b"#" * (LARGEST_FILE + 1), "has more than 65536 bytes"),
    ],
)
def test_hostile_files(board_file: Path, content: bytes, message: str) -> None:
    board_file.write_bytes(content)
    (problem,) = problems_of(board_file)
    assert (problem.code, problem.where) == ("invalid-file", str(board_file))
    assert message in problem.message


def test_files_that_can_not_be_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    for path, message in (
        (tmp_path / "absent.toml", "can't be read: No such file or directory"),
        (tmp_path, "this is not a file"),
        (tmp_path / "pipe.toml", "this is not a file"),
        (Path("a\0b.toml"), "can't be read"),
    ):
        (problem,) = problems_of(path)
        assert problem.code == "unreadable-file"
        assert message in problem.message

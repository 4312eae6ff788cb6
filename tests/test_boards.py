# SPDX-License-Identifier: Apache-2.0
"""The boards that come with mcukit, and what is said of a board file that is wrong."""

from __future__ import annotations

import dataclasses
import os
from itertools import pairwise
from pathlib import Path

import pytest

from mcukit.boards import CORES, Board, Core, PlatformIO, list_boards, load_board
from mcukit.boards.cores import FPUS
from mcukit.demo import demo_model_path
from mcukit.emulation.targets import TARGETS
from mcukit.errors import McukitError, Problem
from mcukit.importers.load import load_model
from mcukit.passes import run_passes
from mcukit.planning.costs import list_cost_targets
from mcukit.planning.region_budget import RegionBudget
from mcukit.quantized.integer import IntegerModel, with_kernels
from mcukit.quantized.kernel_sets import KernelSet
from mcukit.resources import boards_dir
from mcukit.toml_table import LARGEST_FILE
from mcukit.workflow.budget import Budget
from mcukit.workflow.kernels import chosen_kernels
from mcukit.workflow.options import QuantizeOptions
from mcukit.workflow.plan import make_plan
from mcukit.workflow.sketch import sketch
from tests.export.support_table import support_table

VALID = """
id = "mine"
name = "My board"
vendor = "Me"
core = "cortex-m4"
dsp = true
fpu = "single"
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

[platformio]
board = "mine"
platform = "ststm32"
frameworks = ["arduino"]
"""

TIMING = """[flash_timing]
wait_states = 5
clock_divider = 1
line_bytes = 16
instruction_cache_bytes = 1_024
instruction_cache_ways = 64
data_cache_bytes = 128
data_cache_ways = 8

[serial]"""

ONLY_FOR_OWN_BOARDS = {"cortex-m55", "cortex-m85"}


@dataclasses.dataclass(frozen=True)
class Facts:
    """What the vendors' documents say, beside each other for a reader who checks them.

    memory: addresses in hexadecimal and KiB. usable: bytes of the largest region for an arena with the input.
    """

    core: str
    mhz: int
    fpu: str
    counter: str
    memory: str
    usable: int
    serial: str
    platformio: str


F4_RAM = "20000000 128, 10000000 64 no DMA, 40024000 4 no DMA"
FACTS = {
    "bluepill_f103c8": Facts(
        "cortex-m3", 72, "none", "dwt", "20000000 20, 08000000 64", 14 << 10, "USART1 PA9 PA10 pins", "ststm32"
    ),
    "nucleo_f446re": Facts(
        "cortex-m4", 180, "single", "dwt", "20000000 128, 40024000 4 no DMA, 08000000 512", 120 << 10,
        "USART2 PA2 PA3 st-link", "ststm32",
    ),
    "black_f407ve": Facts(
        "cortex-m4", 168, "single", "dwt", F4_RAM + ", 08000000 512", 120 << 10, "USART1 PA9 PA10 pins", "ststm32"
    ),
    "disco_f407vg": Facts(
        "cortex-m4", 168, "single", "dwt", F4_RAM + ", 08000000 1024", 120 << 10, "USART2 PA2 PA3 pins", "ststm32"
    ),
    "genericSTM32F405RG": Facts(
        "cortex-m4", 168, "single", "dwt", F4_RAM + ", 08000000 1024", 120 << 10, "USART1 PA9 PA10 pins", "ststm32"
    ),
    "nucleo_f746zg": Facts(
        "cortex-m7", 216, "single", "dwt-locked",
        "20000000 64, 20010000 256, 00000000 16 no DMA, 40024000 4 no DMA, 08000000 1024", 248 << 10,
        "USART3 PD8 PD9 st-link", "ststm32",
    ),
    "nucleo_h743zi": Facts(
        "cortex-m7", 480, "double", "dwt-locked",
        "24000000 512, 20000000 128 no DMA, 30000000 288, 38000000 64, 00000000 64 no DMA, 38800000 4, 08000000 2048",
        504 << 10, "USART3 PD8 PD9 st-link", "ststm32",
    ),
    "nucleo_l4r5zi": Facts(
        "cortex-m4", 120, "single", "dwt", "20000000 640, 08000000 2048", 632 << 10, "LPUART1 PG7 PG8 st-link",
        "ststm32",
    ),
    "nucleo_u575zi_q": Facts(
        "cortex-m33", 160, "single", "dwt", "20000000 768, 28000000 16, 40036400 2 no DMA, 08000000 2048", 760 << 10,
        "USART1 PA9 PA10 st-link", "ststm32",
    ),
    "nano33ble": Facts(
        "cortex-m4", 64, "single", "dwt", "20000000 256, 00010200 959.5", 192 << 10, "USBD   usb", "nordicnrf52"
    ),
    "esp32dev": Facts(
        "xtensa-lx6", 240, "single", "ccount",
        "3ffbdb5c 121.6601562, 3ffb0000 54.83984375, 3ffe0000 128, 3ff80000 8 no DMA, 50000000 8 no DMA, 3f400000 4032",
        91_812,
        "UART0 GPIO1 GPIO3 usb-bridge", "espressif32",
    ),
    "esp32-s3-devkitc-1": Facts(
        "xtensa-lx7", 240, "single", "ccount",
        "3fc88000 333.75, 3fcf0000 64, 600fe000 8 no DMA, 50000000 8 no DMA, 3c000000 8128", 243_456,
        "UART0 GPIO43 GPIO44 usb-bridge", "espressif32",
    ),
    "esp32-c3-devkitm-1": Facts(
        "rv32imc", 160, "none", "mpccr", "3fc80000 320, 50000000 8 no DMA, 3c000000 4032", 224 << 10,
        "UART0 GPIO21 GPIO20 usb-bridge", "espressif32",
    ),
    "esp32-c6-devkitc-1": Facts(
        "rv32imac", 160, "none", "mpccr", "40800000 441.515625, 50000000 16 no DMA, 42000000 8128", 353_808,
        "UART0 GPIO16 GPIO17 usb-bridge", "espressif32",
    ),
}  # fmt: skip


def problems_of(path: Path) -> tuple[Problem, ...]:
    with pytest.raises(McukitError) as caught:
        load_board(path)
    return caught.value.problems


@pytest.fixture
def board_file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(VALID)
    return path


def memory_of(board: Board) -> str:
    regions = [(r.address, f"{r.bytes / 1024:.10g}", "" if r.dma else " no DMA") for r in board.memory]
    return ", ".join(f"{address:08x} {size}{dma}" for address, size, dma in regions)


@pytest.mark.parametrize("board_id", FACTS)
def test_facts(board_id: str) -> None:
    board = load_board(board_id)
    serial, platformio = board.serial, board.platformio
    assert platformio is not None
    assert (board.id, platformio.board) == (board_id, board_id)
    assert FACTS[board_id] == Facts(
        board.core,
        board.clock_hz // 1_000_000,
        board.fpu,
        board.cycle_counter.value,
        memory_of(board),
        board.sram_bytes,
        f"{serial.port} {serial.tx} {serial.rx} {serial.connection}",
        platformio.platform,
    )


# Wait states, divider, bytes of a line, bytes and ways of both caches.
FLASH = {
    "nucleo_f446re": (5, 1, 16, 1024, 64, 128, 8),
    "black_f407ve": (5, 1, 16, 1024, 64, 128, 8),
    "disco_f407vg": (5, 1, 16, 1024, 64, 128, 8),
    "genericSTM32F405RG": (5, 1, 16, 1024, 64, 128, 8),
    "nucleo_l4r5zi": (5, 1, 8, 1024, 128, 256, 32),
    "nucleo_f746zg": (7, 1, 32, 4096, 2, 4096, 4),
    "nucleo_h743zi": (4, 2, 32, 16384, 2, 16384, 4),
}


@pytest.mark.parametrize("board_id", FACTS)
def test_flash_timing(board_id: str) -> None:
    timing = load_board(board_id).flash_timing
    assert (None if timing is None else dataclasses.astuple(timing)) == FLASH.get(board_id)


FRAMEWORKS = {
    "nano33ble": ("arduino",),
    "esp32-c3-devkitm-1": ("arduino", "espidf"),
    "esp32-c6-devkitc-1": ("espidf",),
    "nucleo_l4r5zi": ("arduino", "mbed", "stm32cube"),
    "nucleo_u575zi_q": ("arduino", "mbed"),
}


@pytest.mark.parametrize("board_id", FRAMEWORKS)
def test_frameworks_that_not_every_board_has(board_id: str) -> None:
    platformio = load_board(board_id).platformio
    assert platformio is not None
    assert platformio.frameworks == FRAMEWORKS[board_id]


ARENAS: dict[str, tuple[RegionBudget, ...]] = {
    "nucleo_f446re": (RegionBudget("sram", 120 << 10),),
    "nucleo_h743zi": (
        RegionBudget("dtcm", 128 << 10, dma=False),
        RegionBudget("axi", 504 << 10),
        RegionBudget("d2", 288 << 10),
    ),
    "nucleo_f746zg": (RegionBudget("dtcm", 64 << 10), RegionBudget("sram", 248 << 10)),
    "genericSTM32F405RG": (RegionBudget("sram", 120 << 10), RegionBudget("ccm", 64 << 10, dma=False)),
    "esp32-c3-devkitm-1": (RegionBudget("dram", 224 << 10),),
    "nano33ble": (RegionBudget("sram", 192 << 10),),
}


@pytest.mark.parametrize("board_id", ARENAS)
def test_arenas_have_what_the_reserve_leaves_fastest_first(board_id: str) -> None:
    assert load_board(board_id).arena_regions == ARENAS[board_id]


def test_weights_may_be_copied_to_ram_before_flash() -> None:
    assert load_board("nucleo_h743zi").weight_regions == (
        RegionBudget("dtcm", 128 << 10, dma=False),
        RegionBudget("flash", 2048 << 10, "flash"),
    )
    assert load_board("nucleo_f446re").weight_regions == (RegionBudget("flash", 512 << 10, "flash"),)


STACK = VALID[VALID.index("stack = ") :]
PLACEMENTS = {
    "one name": ('arena = "sram"', 'arena = "sram"', (("sram",), 65536 - 8192, 262144)),
    "a list of one": ('arena = "sram"', 'arena = ["sram"]', (("sram",), 65536 - 8192, 262144)),
    "several": ('arena = "sram"', 'arena = ["fast", "sram"]', (("fast", "sram"), 65536 - 8192, 262144)),
    "a reserve": ('arena = "sram"', 'arena = "sram"\nreserve = 1024', (("sram",), 64512, 262144)),
    "no reserve": ('arena = "sram"', 'arena = "sram"\nreserve = 0', (("sram",), 65536, 262144)),
    "a stack elsewhere": (
        STACK,
        STACK.replace("sram", "fast").partition("[platformio]")[0],
        (("sram",), 65536, 262144),
    ),
    "a framework's stack": (STACK, STACK.replace("sram", "fast") + 'linked = ["fast"]', (("sram",), 65536, 262144)),
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


def test_every_board_is_listed_by_its_file_name_and_its_facts_are_checked() -> None:
    boards = list_boards()
    assert {board.id for board in boards} == {path.stem for path in boards_dir().glob("*.toml")} == FACTS.keys()
    assert all(load_board(board.id) == board for board in boards)


@pytest.mark.parametrize("board", list_boards(), ids=lambda board: board.id)
def test_what_holds_for_every_board(board: Board) -> None:
    regions = sorted(board.memory, key=lambda region: region.address)
    assert all(first.end <= second.address for first, second in pairwise(regions))
    assert {*board.placement.arena, *board.placement.weights, board.placement.stack} <= {r.name for r in regions}
    assert 0 < board.sram_bytes < board.ram_bytes <= sum(r.bytes for r in regions if r.kind == "ram")
    assert board.flash_bytes == sum(r.bytes for r in regions if r.kind == "flash")
    assert len(board.sources) >= 2
    assert not any(mark in source for source in board.sources for mark in ("://", "www."))


def test_every_core_has_a_board_but_those_for_boards_of_ones_own() -> None:
    assert CORES.keys() - {board.core for board in list_boards()} == ONLY_FOR_OWN_BOARDS


@pytest.mark.parametrize("core", CORES.values(), ids=CORES)
def test_cores_are_emulated_or_it_is_said_why_not(core: Core) -> None:
    assert core.cost_target in list_cost_targets()
    assert core.dsp
    assert core.cycle_counters
    assert set(core.fpus) <= set(FPUS)
    assert bool(core.not_emulated) == (core.emulation_target is None)
    if core.emulation_target is not None:
        assert TARGETS[core.emulation_target].emulated
        assert core.cost_target == core.emulation_target


@pytest.mark.parametrize(("board_id", "table"), [("esp32dev", "cortex-m4"), ("esp32-s3-devkitc-1", "cortex-m4")])
def test_costs_that_stand_in_are_known_as_such(board_id: str, table: str) -> None:
    board = load_board(board_id)
    assert (board.emulation_target, board.cost_target, board.costs_stand_in) == (None, table, True)
    assert "Xtensa" in board.not_emulated


@pytest.fixture(scope="module")
def demo() -> IntegerModel:
    return sketch(run_passes(load_model(demo_model_path())))


# One of each core that it fits.
DEMO_FITS = (
    "nucleo_f446re", "nucleo_h743zi", "nucleo_u575zi_q", "esp32dev", "esp32-s3-devkitc-1", "esp32-c3-devkitm-1",
    "esp32-c6-devkitc-1",
)  # fmt: skip


@pytest.mark.parametrize("board_id", DEMO_FITS)
def test_the_demo_network_is_planned_for_a_board_of_each_core(board_id: str, demo: IntegerModel) -> None:
    board = load_board(board_id)
    options = QuantizeOptions(board=board_id)
    planned = make_plan(demo, options, board, Budget.of(options, board))
    sizes = {region.name: region.bytes for region in board.arena_regions}
    assert planned.target == board.cost_target
    assert planned.found is not None
    assert planned.found.instructions > 1_000_000
    assert planned.plan.arenas.keys() <= sizes.keys()
    assert all(needed <= sizes[name] for name, needed in planned.plan.arenas.items())


@pytest.mark.parametrize("core", sorted(ONLY_FOR_OWN_BOARDS))
def test_the_demo_network_is_planned_for_a_board_of_ones_own(core: str, demo: IntegerModel, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(VALID.replace('"cortex-m4"', f'"{core}"').replace('"portable"', '"mve"'))
    board = load_board(str(file))
    options = QuantizeOptions(board=str(file))
    kernels = chosen_kernels(options, board)
    assert kernels is KernelSet.MVE
    planned = make_plan(with_kernels(demo, kernels), options, board, Budget.of(options, board))
    assert planned.target == board.cost_target == "cortex-m55"
    assert board.costs_stand_in == (core != "cortex-m55")
    assert planned.plan.arena_bytes < board.sram_bytes


def test_what_is_too_large_for_the_smallest_board_is_said(demo: IntegerModel) -> None:
    board = load_board("bluepill_f103c8")
    options = QuantizeOptions(board=board.id)
    budget = Budget.of(options, board)
    with pytest.raises(McukitError, match=r"of flash .* and the budget is 65,536"):
        budget.check_flash(demo.weight_bytes, None)
    with pytest.raises(McukitError, match="14,336"):
        make_plan(demo, options, board, budget)


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
        ("dsp = true", "dsp = false", "dsp", "no cortex-m4 has 'false'"),
        ("dsp = true", 'dsp = "yes"', "dsp", "'yes' is neither true nor false"),
        ("dsp = true\n", "", "dsp", "is missing"),
        ('fpu = "single"', 'fpu = "double"', "fpu", "no cortex-m4 has 'double'"),
        ('fpu = "single"', 'fpu = "soft"', "fpu", "'soft' is not known"),
        ('core = "cortex-m4"', 'core = "cortex-m3"', "dsp", "no cortex-m3 has 'true'"),
        ('core = "cortex-m4"', 'core = "cortex-m3"', "fpu", "no cortex-m3 has 'single'"),
        ('core = "cortex-m4"', 'core = "xtensa-lx6"', "cycle_counter", "no xtensa-lx6 has 'dwt'"),
        ('cycle_counter = "dwt"', 'cycle_counter = "mcycle"', "cycle_counter", "no cortex-m4 has 'mcycle'"),
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
        (
            '[placement]\narena = "sram"\nweights = "flash"\nstack = "sram"',
            (
                '[[memory]]\nname = "ccm"\naddress = 0x1000_0000\nbytes = 65_536\nkind = "ram"\ndma = false\n'
                '[placement]\narena = ["sram", "ccm"]\nweights = "flash"\nstack = "ccm"'
            ),
            "placement.stack",
            "ccm is not where frameworks have stack and data, which is sram",
        ),
        ('stack = "sram"', 'stack = "sram"\nreserve = -1', "placement.reserve", "-1 is not in the range"),
        ('stack = "sram"', 'stack = "sram"\nreserve = 65_536', "placement.reserve", "it takes all 65536 bytes of sram"),
        ("bytes = 65_536", "bytes = 65_536\ndma = 1", "memory[0].dma", "1 is neither true nor false"),
        ("bytes = 65_536", "bytes = 65_536\ndma = false", "placement.arena", "DMA reaches none of these regions"),
        ("[placement]", "[[placement]]", "placement", "is not a table"),
        ("[[memory]]", "[[memroy]]", "memory", "is missing"),
        ("baud = 115_200", "baud = 1", "serial.baud", "1 is not in the range 300 to 12000000"),
        ('tx = "PA9"', 'tx = "PA9; reset"', "serial.tx", "'PA9; reset' is not allowed"),
        ('tx = "PA9"\n', "", "serial.tx", "is missing"),
        ("[serial]", "[flash_timing]\nwait_states = 5\n\n[serial]", "flash_timing.line_bytes", "is missing"),
        ("[serial]", TIMING.replace("= 16", "= 0"), "flash_timing.line_bytes", "0 is not in the range 4 to 256"),
        ("[serial]", TIMING.replace("= 8", "= 0"), "flash_timing.data_cache_ways", "0 is not in the range 1 to 1024"),
        (
            "[serial]",
            TIMING.replace("1_024", "1_000"),
            "flash_timing.instruction_cache_bytes",
            "1000 bytes are not 64 ways of lines of 16 bytes",
        ),
        ("[serial]", TIMING.replace("wait_states", "waits"), "flash_timing.waits", "is not known"),
        ('"pins"', '"usb"', "serial.rx", "the chip's own USB has no pins to choose"),
        ('"pins"', '"wireless"', "serial.connection", "'wireless' is not known"),
        ('board = "mine"', 'board = "my board"', "platformio.board", "'my board' is not allowed"),
        ('platform = "ststm32"\n', "", "platformio.platform", "is missing"),
        ('["arduino"]', '["arduino", "freertos"]', "platformio.frameworks", "'freertos' is not known"),
        ('["arduino"]', "[]", "platformio.frameworks", "[] is not a list of strings"),
        ('["arduino"]', '["arduino"]\nlinked = ["ram"]', "platformio.linked", "there is no region 'ram'"),
        ('["arduino"]', '["arduino"]\nlinked = "flash"', "platformio.linked", "but the linked must be in ram"),
        ('["arduino"]', '["arduino"]\nlinked = 1', "platformio.linked", "is neither the name of a region nor"),
        ("[platformio]", "[[platformio]]", "platformio", "is not a table"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(board_file: Path, old: str, new: str, place: str, message: str) -> None:
    assert old in VALID
    board_file.write_text(VALID.replace(old, new))
    problems = problems_of(board_file)
    found = [(problem.where, problem.message) for problem in problems]
    assert any(where == f"{board_file}: {place}" and message in text for where, text in found), found
    assert all(problem.hint for problem in problems), "it is said what to do"


def test_all_that_is_wrong_is_said_at_once(board_file: Path) -> None:
    text = VALID.replace("portable", "fast").replace("bytes = 65_536", "").replace("PA10", "").replace("m4", "m3")
    board_file.write_text(text)
    places = [problem.where.split(": ")[1] for problem in problems_of(board_file)]
    assert places == ["dsp", "fpu", "kernels", "memory[0].bytes", "serial.rx"]


def test_regions_and_placement_are_checked_whatever_else_is_wrong(board_file: Path) -> None:
    board_file.write_text(VALID.replace("portable", "fast").replace("0x0800_0000", "0x2000_FFFF"))
    assert [problem.where.split(": ")[1] for problem in problems_of(board_file)] == ["kernels", "memory"]
    board_file.write_text(VALID.replace("bytes = 65_536", "bytes = 0").replace('stack = "sram"', 'stack = "ram"'))
    assert [problem.where.split(": ")[1] for problem in problems_of(board_file)] == [
        "memory[0].bytes",
        "placement.stack",
    ]


def test_what_a_board_need_not_have(board_file: Path) -> None:
    text = VALID[: VALID.index("[platformio]")].replace("pins", "usb").replace('tx = "PA9"\nrx = "PA10"', "")
    board_file.write_text(text)
    board = load_board(board_file)
    assert (board.platformio, board.serial.tx, board.serial.rx) == (None, "", "")
    board_file.write_text(VALID)
    assert load_board(board_file).platformio == PlatformIO("mine", "ststm32", ("arduino",))


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


def test_the_readme_says_what_has_been_tried_of_each_board() -> None:
    """Whatever changes there: python -m tests.export.support_table prints the table."""
    assert f"\n\n{support_table()}\n" in (boards_dir() / "README.md").read_text()

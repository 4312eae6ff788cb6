# SPDX-License-Identifier: Apache-2.0
"""What the emulator's plugin is told, so that it estimates cycles of a core with a flash."""

from __future__ import annotations

__all__ = ["CYCLE_CLASSES", "TIMED_CORES", "CycleModel", "cycle_arguments"]

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mcukit.boards.board import FlashTiming
from mcukit.emulation.cycles import cortex_m4, cortex_m7
from mcukit.emulation.cycles.thumb import Instruction, branch_targets, disassemble
from mcukit.emulation.elf import ElfFile

CYCLE_CLASSES = ("issue", "branches", "fetches", "loads")
"""What cycles are told apart: those that instructions take one after the other, and those in which the processor waits
for the targets of branches, for instructions in flash, and for constants in flash or across a boundary."""

_MOST_CYCLES = 255
_INSTRUCTION_BYTES = 4


class _Core(NamedTuple):
    cycles: Callable[[Sequence[Instruction], Collection[int]], list[int]]
    taken: int
    mispredicted: int
    unaligned: int
    line_transfer: int
    """Cycles of the flash's bus until a line is in the cache, after the wait states."""


_CORES = {
    # The flash's own accelerator hands a line over at once.
    "cortex-m4": _Core(cortex_m4.cycles, cortex_m4.TAKEN, cortex_m4.MISPREDICTED, cortex_m4.UNALIGNED, 0),
    # Address, bridge and the first of four transfers of 64 bits: an assumption, the manuals don't say.
    "cortex-m7": _Core(cortex_m7.cycles, cortex_m7.TAKEN, cortex_m7.MISPREDICTED, cortex_m7.UNALIGNED, 4),
}

TIMED_CORES = tuple(_CORES)
"""Names of mcukit.boards.CORES that have a table of timings."""


@dataclass(frozen=True)
class CycleModel:
    """core: one of TIMED_CORES. flash: of the board."""

    core: str
    flash: FlashTiming


def cycle_arguments(model: CycleModel, program: Path, elf: ElfFile, costs: Path) -> str:
    """The plugin's arguments for a program. Writes what its instructions take to the file `costs`.

    Only the file's name is named: the emulator has to run in its folder.
    """
    core, flash = _CORES[model.core], model.flash
    instructions = disassemble(program)
    start = instructions[0].address
    costs.write_bytes(_costs(instructions, core.cycles(instructions, branch_targets(instructions)), start))
    wait = (flash.wait_states + core.line_transfer) * flash.clock_divider
    # A line that is read ahead is there after the instructions of the one before it.
    ahead = max(0, wait + 1 - flash.line_bytes // _INSTRUCTION_BYTES)
    return ",".join(
        (
            f"costs={costs.name}:{start:#x}",
            f"branches={core.taken}:{core.mispredicted}",
            f"unaligned={core.unaligned}",
            *(f"flash={first:#x}:{end:#x}" for first, end in elf.constants),
            f"lines={flash.line_bytes}:{wait}:{ahead}",
            f"fetches={_geometry(flash.instruction_cache_bytes, flash.instruction_cache_ways, flash.line_bytes)}",
            f"loads={_geometry(flash.data_cache_bytes, flash.data_cache_ways, flash.line_bytes)}",
        )
    )


def _costs(instructions: Sequence[Instruction], cycles: Sequence[int], start: int) -> bytes:
    last = instructions[-1]
    table = bytearray((last.address + last.bytes - start) // 2)
    for instruction, taken in zip(instructions, cycles, strict=True):
        table[(instruction.address - start) // 2] = min(taken, _MOST_CYCLES)
    return bytes(table)


def _geometry(cache_bytes: int, ways: int, line_bytes: int) -> str:
    lines = cache_bytes // line_bytes
    return f"{lines // ways}:{ways}" if lines else "1:0"

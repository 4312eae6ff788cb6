# SPDX-License-Identifier: Apache-2.0
"""Cycles of a Cortex-M4 without waiting for memory.

From Arm's Cortex-M4 Technical Reference Manual (100166), "Processor instructions" and "Load/store timings":

- Instructions take one cycle, those of the DSP extension and multiplications too.
- A load takes two; one of them is hidden behind a load before it that does not compute its address. A store with a
  constant offset takes one, another one two. LDRD and STRD take three, LDM, STM, PUSH and POP one and one a register.
- An address made from a result of the instruction just before, which is not a load, takes one more.
- A division takes 2 to 12, by its operands: 7 stands for all.
- TAKEN cycles come on top where the program counter changes. Arm says "1 to 3, depending on the alignment and width of
  the target instruction, and whether the processor manages to speculate the address early".
"""

from __future__ import annotations

__all__ = ["MISPREDICTED", "TAKEN", "UNALIGNED", "cycles"]

from collections.abc import Collection, Sequence

from mcukit.emulation.cycles.thumb import Instruction, Kind, follows

TAKEN = 2
MISPREDICTED = 0
"""There is no prediction that could fail."""

UNALIGNED = 1
"""The access is split in two."""

_DIVISION = 7
_TABLE_BRANCH = 4
_BARRIER = 4
_SYSTEM = 2


def cycles(instructions: Sequence[Instruction], targets: Collection[int]) -> list[int]:
    """The cycles of each. targets: addresses that are reached from elsewhere, after an unknown instruction."""
    found = []
    before: Instruction | None = None
    for instruction in instructions:
        known = before if follows(before, instruction, targets) else None
        found.append(_alone(instruction) + _after(instruction, known))
        before = instruction
    return found


def _alone(instruction: Instruction) -> int:
    match instruction.kind:
        case Kind.LOAD:
            return 2
        case Kind.STORE:
            return 1 if instruction.immediate_offset else 2
        case Kind.LOAD_PAIR | Kind.STORE_PAIR | Kind.LOAD_MANY | Kind.STORE_MANY:
            return 1 + instruction.moved
        case Kind.DIVIDE:
            return _DIVISION
        case Kind.TABLE_BRANCH:
            return _TABLE_BRANCH
        case Kind.BARRIER:
            return _BARRIER
        case Kind.SYSTEM:
            return _SYSTEM
        case _:
            return 1


def _after(instruction: Instruction, before: Instruction | None) -> int:
    """How much longer, or less long, an instruction takes because of the one before."""
    if before is None or instruction.kind not in (
        Kind.LOAD, Kind.STORE, Kind.LOAD_PAIR, Kind.STORE_PAIR, Kind.LOAD_MANY, Kind.STORE_MANY
    ):  # fmt: skip
        return 0
    needs_result = not before.writes.isdisjoint(instruction.address_registers)
    if before.kind is Kind.LOAD:
        # Pairs and lists are pipelined in themselves alone.
        single = instruction.kind in (Kind.LOAD, Kind.STORE)
        return -1 if single and not needs_result and _alone(instruction) > 1 else 0
    return 1 if needs_result and before.kind in (Kind.ALU, Kind.MULTIPLY, Kind.PACKED, Kind.EXTEND) else 0

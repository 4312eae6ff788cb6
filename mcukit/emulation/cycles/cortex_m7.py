# SPDX-License-Identifier: Apache-2.0
"""Cycles of a Cortex-M7 without waiting for memory.

Arm publishes none. What is here follows what others measured and published (M. Owen, "Cortex-M7 instruction cycle
counts, timings, and dual-issue combinations", on an STM32H730), reduced to a few rules:

- Two instructions start in one cycle, in their order, if the second needs no result of the first and they don't both
  need what is there once: the port to memory, the multiplier, the divider, the shifter (shifted operands, extensions,
  fields of bits, constants of more than 8 bits), the branch unit. Multiplications and instructions on packed values
  are the first of two. Pairs and lists of loads or stores, divisions and system instructions start alone.
- What is loaded can be used two cycles later, a product two, but one as what the next product is added to. A result
  that goes through the shifter must be there one cycle earlier.
- LDRD and STRD take one cycle, a list one for two registers, a division 7 for all operands.
- A taken branch costs nothing more where it is predicted; MISPREDICTED cycles where it does not go where it went last.
"""

from __future__ import annotations

__all__ = ["MISPREDICTED", "TAKEN", "UNALIGNED", "cycles"]

from collections.abc import Collection, Sequence

from mcukit.emulation.cycles.thumb import Instruction, Kind, follows

TAKEN = 0
MISPREDICTED = 7
UNALIGNED = 1

_DIVISION = 7
_BARRIER = 8
_SYSTEM = 4
_MEMORY = (Kind.LOAD, Kind.STORE, Kind.LOAD_PAIR, Kind.STORE_PAIR, Kind.LOAD_MANY, Kind.STORE_MANY)
_ALONE = (
    Kind.LOAD_PAIR, Kind.STORE_PAIR, Kind.LOAD_MANY, Kind.STORE_MANY, Kind.DIVIDE, Kind.BARRIER, Kind.SYSTEM,
    Kind.TABLE_BRANCH,
)  # fmt: skip
_FIRST_ONLY = (Kind.MULTIPLY, Kind.PACKED)


def cycles(instructions: Sequence[Instruction], targets: Collection[int]) -> list[int]:
    """By how many cycles each lets those after it wait: 0 for one that starts with the one before.

    targets: addresses that are reached from elsewhere: no instruction there starts with the one above it.
    """
    schedule = _Schedule()
    found = []
    before: Instruction | None = None
    for instruction in instructions:
        if not follows(before, instruction, targets):
            schedule = _Schedule()
        found.append(schedule.issue(instruction))
        before = instruction
    return found


class _Schedule:
    """What has started, in instructions that run one after the other. Cycles are counted from the first."""

    def __init__(self) -> None:
        self._now = -1
        self._first: Instruction | None = None
        self._ready: dict[str, int] = {}
        self._sums: dict[str, int] = {}

    def issue(self, instruction: Instruction) -> int:
        """The cycles by which this goes on."""
        earliest = self._earliest(instruction)
        if self._first is not None and _can_pair(self._first, instruction) and earliest <= self._now:
            start, self._first = self._now, None
        else:
            start = max(self._now + 1, earliest)
            self._first = None if instruction.kind in _ALONE else instruction
        passed = start - self._now
        self._now = start + _duration(instruction) - 1
        for register in instruction.writes:
            self._ready[register] = self._now + _latency(instruction)
            self._sums[register] = self._now + 1 if instruction.accumulator else self._ready[register]
        return passed + _duration(instruction) - 1

    def _earliest(self, instruction: Instruction) -> int:
        needed = [0]
        for register in instruction.reads & self._ready.keys():
            if register == instruction.accumulator:
                needed.append(self._sums[register])
            else:
                needed.append(self._ready[register] + instruction.shifted)
        return max(needed)


def _can_pair(first: Instruction, second: Instruction) -> bool:
    kinds = (first.kind, second.kind)
    once = (
        all(kind in _MEMORY for kind in kinds)
        or kinds.count(Kind.MULTIPLY) == 2
        or kinds.count(Kind.BRANCH) == 2
        or (first.shifted and second.shifted)
    )
    independent = first.writes.isdisjoint(second.reads | second.writes)
    return independent and not once and not first.jump and second.kind not in (*_ALONE, *_FIRST_ONLY)


def _duration(instruction: Instruction) -> int:
    match instruction.kind:
        case Kind.LOAD_MANY | Kind.STORE_MANY:
            return (instruction.moved + 1) // 2
        case Kind.DIVIDE:
            return _DIVISION
        case Kind.BARRIER:
            return _BARRIER
        case Kind.SYSTEM:
            return _SYSTEM
        case _:
            return 1


def _latency(instruction: Instruction) -> int:
    """After how many cycles a result can be used."""
    loads = (Kind.LOAD, Kind.LOAD_PAIR, Kind.LOAD_MANY)
    return 2 if instruction.kind in loads or instruction.kind is Kind.MULTIPLY else 1

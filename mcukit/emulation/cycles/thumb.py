# SPDX-License-Identifier: Apache-2.0
"""Instructions of a program for a Cortex-M, as far as it takes to tell how long they need."""

from __future__ import annotations

__all__ = ["Instruction", "Kind", "branch_targets", "disassemble", "follows", "parse_listing"]

import re
import subprocess
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from mcukit.emulation.toolchain import find_tool
from mcukit.errors import McukitError

_LINE = re.compile(r"\s*([0-9a-f]+):\t([0-9a-f ]+)\t(\S+)(?:\s+([^;@]*))?")
_TARGET = re.compile(r"\b([0-9a-f]+) <")
_REGISTER = re.compile(r"\b(r1[0-5]|r[0-9]|sl|fp|ip|sp|lr|pc|s[0-9]+|d[0-9]+)\b")
_RANGE = re.compile(r"\b(r[0-9]+|sl|fp|ip)-(r[0-9]+|sl|fp|ip|lr)\b")
_CONDITION = r"(?:eq|ne|cs|cc|hs|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)?"
_ORDER = ("r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "sl", "fp", "ip", "sp", "lr", "pc")


class Kind(StrEnum):
    """What instructions are told apart for their time. MULTIPLY: with or without accumulation. PAIR: of words."""

    LOAD = "load"
    STORE = "store"
    LOAD_PAIR = "load pair"
    STORE_PAIR = "store pair"
    LOAD_MANY = "load many"
    STORE_MANY = "store many"
    MULTIPLY = "multiply"
    DIVIDE = "divide"
    PACKED = "packed"
    EXTEND = "extend"
    BRANCH = "branch"
    TABLE_BRANCH = "table branch"
    BARRIER = "barrier"
    SYSTEM = "system"
    ALU = "alu"


# The first pattern that a mnemonic matches, without its condition, says its kind.
_KINDS = tuple(
    (re.compile(rf"(?:{pattern}){_CONDITION}(?:\.[nw])?$"), kind)
    for pattern, kind in (
        (r"ldrd", Kind.LOAD_PAIR),
        (r"strd", Kind.STORE_PAIR),
        (r"ldm\w*?|pop|vldm\w*?|vpop", Kind.LOAD_MANY),
        (r"stm\w*?|push|vstm\w*?|vpush", Kind.STORE_MANY),
        (r"ldr(?:b|h|sb|sh|ex|exb|exh)?|vldr", Kind.LOAD),
        (r"str(?:b|h|ex|exb|exh)?|vstr", Kind.STORE),
        (r"[su]div", Kind.DIVIDE),
        (r"(?:mul|mla|mls)s?|[su]mull|[su]mlal|umaal|sm[lum]\w+?|usad\w*?", Kind.MULTIPLY),
        (r"[su]xt\w+?", Kind.EXTEND),
        (r"(?:s|u|q|sh|uh|uq)(?:add|sub)(?:8|16)|(?:s|u|q|sh|uh|uq)(?:asx|sax)|sel|pkh\w+?|[su]sat(?:16)?|q\w+?|rev\w*?",
         Kind.PACKED),
        (r"tb[bh]", Kind.TABLE_BRANCH),
        (r"b|bl|bx|blx|cbz|cbnz", Kind.BRANCH),
        (r"dmb|dsb|isb", Kind.BARRIER),
        (r"mrs|msr|cps\w+?|svc|udf|bkpt|wf[ei]|vmrs|vmsr", Kind.SYSTEM),
    )
)  # fmt: skip

_STORES = {Kind.STORE, Kind.STORE_PAIR, Kind.STORE_MANY}
_NOTHING_WRITTEN = re.compile(r"(cmp|cmn|tst|teq|it\w*|nop|b|bl|bx|blx|cbn?z|tb[bh]|push|cps\w*|[id][sm]b|udf|svc)")
_TWO_WRITTEN = re.compile(r"(smull|umull|smlal\w*|umlal|umaal|smlsld\w*)")
_READS_DESTINATION = re.compile(r"(movt|bfi|bfc|smlal\w*|umlal|umaal|smlsld\w*)")
_ACCUMULATES = re.compile(r"(mla|mls|smla\w*|smls\w*|smmla\w*|umlal|smlal\w*|usada8)")


@dataclass(frozen=True)
class Instruction:
    """address, bytes: where it is and how long. moved: words that a load or store moves. reads, writes: registers.

    accumulator: the register that a multiply-accumulate adds to, "" for others. address_registers: those that a
    load or store computes its address from. immediate_offset: whether such an address needs no second register.
    shifted: whether an operand is shifted, extended or a field of bits, or a constant needs more than 8 bits.
    jump: whether it writes the program counter.
    """

    address: int
    bytes: int
    mnemonic: str
    operands: str
    kind: Kind
    moved: int
    reads: frozenset[str]
    writes: frozenset[str]
    accumulator: str
    address_registers: frozenset[str]
    immediate_offset: bool
    shifted: bool
    jump: bool


def disassemble(program: Path) -> list[Instruction]:
    """All instructions of a linked program, by address.

    Raises McukitError "missing-tool" or "bad-elf".
    """
    command = [str(find_tool("arm-none-eabi-objdump")), "-d", "-w", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=300)
    if done.returncode != 0:
        raise McukitError("bad-elf", f"arm-none-eabi-objdump: {done.stderr.strip()[:500]}", where=program.name)
    return parse_listing(done.stdout.splitlines())


def parse_listing(lines: Iterable[str]) -> list[Instruction]:
    """The instructions of a listing as objdump prints it; constants between them are left out."""
    found = (_LINE.match(line) for line in lines)
    return [_instruction(match) for match in found if match and not match[3].startswith(".")]


def branch_targets(instructions: Sequence[Instruction]) -> frozenset[int]:
    """The addresses that a branch names: there other instructions may have come before than those above."""
    matches = (_TARGET.search(each.operands) for each in instructions if each.jump)
    return frozenset(int(match[1], 16) for match in matches if match)


def follows(before: Instruction | None, instruction: Instruction, targets: Collection[int]) -> bool:
    """Whether `before` is all that can have come before. targets: addresses that are reached from elsewhere."""
    adjacent = before is not None and before.address + before.bytes == instruction.address and not before.jump
    return adjacent and instruction.address not in targets


def _instruction(match: re.Match[str]) -> Instruction:
    mnemonic, operands = match[3], (match[4] or "").strip()
    kind = _kind(mnemonic)
    memory = re.search(r"\[(.*?)\]", operands)
    registers = _expand(operands)
    writes, reads = _writes_and_reads(mnemonic, kind, registers, operands)
    return Instruction(
        address=int(match[1], 16),
        bytes=len(match[2].replace(" ", "")) // 2,
        mnemonic=mnemonic,
        operands=operands,
        kind=kind,
        moved=_moved(kind, registers, operands),
        reads=frozenset(reads),
        writes=frozenset(writes),
        accumulator=registers[-1] if _ACCUMULATES.match(mnemonic) and registers else "",
        address_registers=frozenset(_REGISTER.findall(memory[1])) if memory else frozenset(),
        immediate_offset=memory is None or len(_REGISTER.findall(memory[1])) < 2,
        shifted=_is_shifted(mnemonic, kind, operands),
        jump=kind in (Kind.BRANCH, Kind.TABLE_BRANCH) or "pc" in writes,
    )


def _kind(mnemonic: str) -> Kind:
    for pattern, kind in _KINDS:
        if pattern.match(mnemonic):
            return kind
    return Kind.ALU


def _expand(operands: str) -> list[str]:
    """The registers in their order, those of a list such as {r4-r7} one by one."""

    def spelled(match: re.Match[str]) -> str:
        first, last = (_ORDER.index(name) for name in match.groups())
        return ", ".join(_ORDER[first : last + 1])

    return _REGISTER.findall(_RANGE.sub(spelled, operands))


def _moved(kind: Kind, registers: Sequence[str], operands: str) -> int:
    if kind in (Kind.LOAD_MANY, Kind.STORE_MANY):
        return max(len(registers) - (not operands.startswith("{")), 1)
    return 2 if kind in (Kind.LOAD_PAIR, Kind.STORE_PAIR) else 1


def _writes_and_reads(mnemonic: str, kind: Kind, registers: list[str], operands: str) -> tuple[set[str], set[str]]:
    if not registers:
        return set(), set()
    if kind in (Kind.LOAD_MANY, Kind.STORE_MANY):
        return _many(kind, registers, operands)
    if kind in _STORES:
        return _base(registers, operands), set(registers)
    if kind is Kind.BRANCH or _NOTHING_WRITTEN.match(mnemonic):
        return set(), set(registers)
    count = 2 if kind is Kind.LOAD_PAIR or _TWO_WRITTEN.match(mnemonic) else 1
    writes, reads = set(registers[:count]), set(registers[count:])
    is_move = mnemonic.startswith(("mov", "mvn", "ldr", "sxt", "uxt", "rev", "clz", "rbit", "adr"))
    if _READS_DESTINATION.match(mnemonic) or (len(registers) <= 2 and not is_move and kind is not Kind.LOAD):
        # add r0, r1 adds to r0.
        reads |= writes
    if kind in (Kind.LOAD, Kind.LOAD_PAIR):
        writes |= _base(registers, operands)
    return writes, reads


def _many(kind: Kind, registers: list[str], operands: str) -> tuple[set[str], set[str]]:
    """Of ldm and stm the base is named before the list, of pop and push it is the stack pointer."""
    base, listed = ("sp", registers) if operands.startswith("{") else (registers[0], registers[1:])
    changed = {base} if operands.startswith("{") or "!" in operands else set()
    return (changed | set(listed), {base}) if kind is Kind.LOAD_MANY else (changed, {base, *listed})


def _base(registers: Sequence[str], operands: str) -> set[str]:
    """The register that [r0], #4 and [r0, #4]! change."""
    match = re.search(r"\[(\w+)[^\]]*\](!|, )", operands)
    return {match[1]} if match and match[1] in registers else set()


def _is_shifted(mnemonic: str, kind: Kind, operands: str) -> bool:
    if kind is Kind.EXTEND or mnemonic.startswith(("bfi", "bfc", "sbfx", "ubfx")):
        return True
    constant = re.search(r"#(-?\d+)", operands)
    wide = kind is Kind.ALU and constant is not None and not 0 <= int(constant[1]) < 256
    is_move = mnemonic.startswith(("movw", "movt"))
    return (wide and not is_move) or re.search(r"\b(lsl|lsr|asr|ror|rrx)\b", operands) is not None

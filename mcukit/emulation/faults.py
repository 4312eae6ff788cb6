# SPDX-License-Identifier: Apache-2.0
"""Says in words why a processor stopped a program."""

from __future__ import annotations

__all__ = ["describe_fault"]

import struct

from mcukit.emulation.elf import ElfFile

_RECORD = struct.Struct("<5I")
_CORTEX_M = 1
_BFAR_VALID = 1 << 15
_GUARD_BYTES = 1024 * 1024

# Bits of the Configurable Fault Status Register, the most telling first.
_CORTEX_M_CAUSES = {
    25: "division by zero",
    24: "unaligned access",
    19: "use of an absent coprocessor",
    18: "bad return address",
    17: "branch to an address without the Thumb bit",
    16: "undefined instruction",
    9: "access to an address where nothing is",
    12: "stack pointer outside of memory",
    8: "jump to an address where nothing is",
    1: "forbidden access",
    0: "jump to a forbidden address",
}

_RISCV_CAUSES = {
    0: "jump to an odd address",
    1: "jump to an address where nothing is",
    2: "undefined instruction",
    4: "unaligned load",
    5: "load from an address where nothing is",
    6: "unaligned store",
    7: "store to an address where nothing is",
}


def describe_fault(record: bytes, elf: ElfFile) -> str:
    """One line from the record that firmware/ports/port.h describes."""
    kind, program_counter, status, address, stack_pointer = _RECORD.unpack(record)
    limit = elf.symbols["mk_stack_limit"].address
    if kind == _CORTEX_M:
        causes = [text for bit, text in _CORTEX_M_CAUSES.items() if status >> bit & 1]
        cause = causes[0] if causes else f"status {status:#x}"
        has_address = bool(status & _BFAR_VALID)
    else:
        cause = _RISCV_CAUSES.get(status, f"cause {status}")
        has_address = status in (4, 5, 6, 7)
    if stack_pointer < limit or (has_address and limit - _GUARD_BYTES <= address < limit):
        cause = f"stack overflow ({cause})"
    function = elf.function_at(program_counter)
    place = f"in {function}" if function else "at an unknown place"
    at_address = f", address {address:#010x}" if has_address else ""
    return f"hard fault: {cause} {place} (pc {program_counter:#010x}{at_address})"

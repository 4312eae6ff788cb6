# SPDX-License-Identifier: Apache-2.0
"""Reads section sizes and symbols of 32-bit little-endian ELF files."""

from __future__ import annotations

__all__ = ["ElfFile", "Symbol", "read_elf"]

import struct
from dataclasses import dataclass
from pathlib import Path

from mcukit.errors import McukitError

_HEADER = struct.Struct("<16sHHIIIIIHHHHHH")
_SECTION = struct.Struct("<IIIIIIIIII")
_SYMBOL = struct.Struct("<IIIBBH")
_SYMBOL_TABLE = 2
_NO_BITS = 8
_FUNCTION = 2
_WRITABLE, _ALLOCATED = 1, 2


@dataclass(frozen=True)
class Symbol:
    """A name for `size` bytes at `address` (for a Thumb function too the address is the even one)."""

    name: str
    address: int
    size: int
    is_function: bool


@dataclass(frozen=True)
class ElfFile:
    """section_sizes: bytes by name, of the sections that take memory. symbols: by name.

    constants: from which address to which one code and constants are, by section.
    """

    section_sizes: dict[str, int]
    symbols: dict[str, Symbol]
    constants: tuple[tuple[int, int], ...]

    def function_at(self, address: int) -> str:
        """The name of the function that holds the address, or "" if none does."""
        for symbol in self.symbols.values():
            if symbol.is_function and symbol.address <= address < symbol.address + symbol.size:
                return symbol.name
        return ""


def read_elf(path: Path) -> ElfFile:
    """Reads the file. Raises McukitError "bad-elf" if it is none, or damaged."""
    data = path.read_bytes()
    try:
        return _parse(data)
    except (struct.error, IndexError, ValueError) as error:
        raise McukitError("bad-elf", f"not a usable 32-bit ELF file: {error}", where=str(path)) from error


def _parse(data: bytes) -> ElfFile:
    header = _HEADER.unpack_from(data)
    if header[0][:6] != b"\x7fELF\x01\x01":
        raise ValueError("it doesn't begin like one")
    offset, entry_size, count, names_index = header[6], header[11], header[12], header[13]
    sections = [_SECTION.unpack_from(data, offset + i * entry_size) for i in range(count)]
    names_offset = sections[names_index][4]
    allocated = [section for section in sections if section[2] & _ALLOCATED]
    sizes = {_string(data, names_offset + section[0]): section[5] for section in allocated}
    constants = tuple((s[3], s[3] + s[5]) for s in allocated if s[5] and not s[2] & _WRITABLE and s[1] != _NO_BITS)
    symbols: dict[str, Symbol] = {}
    for section in sections:
        if section[1] == _SYMBOL_TABLE:
            names = sections[section[6]][4]
            symbols.update(_symbols(data, section[4], section[5] // _SYMBOL.size, names))
    return ElfFile(sizes, symbols, constants)


def _symbols(data: bytes, offset: int, count: int, names_offset: int) -> dict[str, Symbol]:
    symbols = {}
    for i in range(count):
        name_offset, value, size, info, _, _ = _SYMBOL.unpack_from(data, offset + i * _SYMBOL.size)
        name = _string(data, names_offset + name_offset)
        is_function = info & 15 == _FUNCTION
        if name:
            symbols[name] = Symbol(name, value & ~1 if is_function else value, size, is_function)
    return symbols


def _string(data: bytes, offset: int) -> str:
    return data[offset : data.index(b"\0", offset)].decode()

# SPDX-License-Identifier: Apache-2.0
"""Exact instruction counts from the emulator: builds its plugin, tells it what to count, reads the counts."""

from __future__ import annotations

__all__ = ["INSTRUCTION_CLASSES", "InstructionCounts", "plugin_arguments", "plugin_library", "read_counts"]

import hashlib
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mcukit.emulation.cycles import CYCLE_CLASSES
from mcukit.emulation.elf import ElfFile
from mcukit.emulation.toolchain import find_tool, publish
from mcukit.errors import McukitError
from mcukit.resources import cache_dir

_FOLDER = Path(__file__).resolve().parent / "plugin"
_FLAGS = ("-std=c11", "-O2", "-shared", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror")

INSTRUCTION_CLASSES = ("load", "store", "multiply", "divide", "alu", "branch", "other")
"""What instructions are told apart. multiply includes every multiply-accumulate; branch also loads into the
program counter, such as a pop that returns; an instruction that moves several registers counts once."""


@dataclass(frozen=True)
class InstructionCounts:
    """totals: instructions of each inference. regions: of the last inference, {class: count} by region.

    cycles: the same of estimated cycles, where they were asked for.
    """

    totals: tuple[int, ...]
    regions: tuple[dict[str, int], ...]
    cycles: tuple[dict[str, int], ...] | None = None


def plugin_library() -> Path:
    """The plugin, compiled when first needed. Raises McukitError "missing-tool" or "compile-failed"."""
    compiler = find_tool("cc")
    sources = [file.read_bytes() for file in sorted(_FOLDER.glob("*.[ch]"))]
    key = hashlib.sha256(b"\0".join((*sources, *(flag.encode() for flag in _FLAGS)))).hexdigest()[:16]
    final = cache_dir() / f"count-{key}.so"
    if not final.exists():
        with tempfile.TemporaryDirectory(dir=final.parent) as scratch:
            fresh = Path(scratch) / final.name
            command = [str(compiler), *_FLAGS, *map(str, sorted(_FOLDER.glob("*.c"))), "-o", str(fresh)]
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=60, check=False)
            if done.returncode != 0:
                raise McukitError("compile-failed", f"cc failed:\n{done.stderr[:2000]}", where="plugin")
            publish(fresh, final)
    return final


def plugin_arguments(elf: ElfFile, output: str, cycles: str = "") -> tuple[str, str]:
    """The emulator's arguments that make the plugin count this program and write to the file `output`.

    cycles: the plugin's arguments for an estimate of cycles, see cycle_arguments.
    """
    markers = elf.symbols["mk_regions"]
    start, end = (elf.symbols[f"mk_uncounted_{edge}"].address for edge in ("start", "end"))
    # The emulator splits at commas; a doubled one stands for itself.
    library = str(plugin_library()).replace(",", ",,")
    regions = f"regions={markers.address:#x}:{markers.size}"
    counted = f"file={library},output={output},{regions},uncounted={start:#x}:{end:#x}"
    return "-plugin", f"{counted},{cycles}" if cycles else counted


def read_counts(path: Path) -> InstructionCounts:
    """Reads what the plugin wrote."""
    totals: list[int] = []
    regions: list[dict[str, int]] = []
    cycles: list[dict[str, int]] = []
    for line in path.read_text(encoding="ascii").splitlines():
        kind, *values = line.split()
        if kind == "inference":
            totals.append(int(values[0]))
        elif kind == "region":
            regions.append(dict(zip(INSTRUCTION_CLASSES, map(int, values[1:]), strict=True)))
        elif kind == "cycles":
            cycles.append(dict(zip(CYCLE_CLASSES, map(int, values[1:]), strict=True)))
    return InstructionCounts(tuple(totals), tuple(regions), tuple(cycles) if cycles else None)

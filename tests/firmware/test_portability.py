# SPDX-License-Identifier: Apache-2.0
"""The C runtime compiles without a warning for every supported core and needs only memcpy and its like."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from mcukit.emulation.targets import Target
from mcukit.emulation.toolchain import compile_objects, find_tool
from mcukit.resources import firmware_dir

SOURCES = tuple(sorted((firmware_dir() / "mcukit_nn" / "src").glob("*.c")))
HEADERS = tuple(sorted((firmware_dir() / "mcukit_nn" / "src").glob("*.h")))

CORTEX_M = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33")

# Vector instructions need the registers of floating point numbers.
HELIUM = Target("cortex-m55", "arm-none-eabi-gcc", ("-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard"), ())
TARGETS = (
    Target("x86-64", "cc", (), ()),
    *(Target(core, "arm-none-eabi-gcc", (f"-mcpu={core}", "-mthumb"), ()) for core in CORTEX_M),
    HELIUM,
    Target(
        "rv32imc",
        "riscv64-unknown-elf-gcc",
        ("-march=rv32imc", "-mabi=ilp32", "--specs=picolibc.specs"),
        (),
    ),
)

# The runtime's own functions, and those that compilers call by themselves for copies, shifts, products and
# divisions of 32 and 64 bit integers: no floating point helper, no allocation, no input or output.
ALLOWED = re.compile(
    r"mk_\w+|memcpy|memset|memmove|memcmp"
    r"|__aeabi_(mem(cpy|set|clr|move)[48]?|u?idiv(mod)?|u?ldivmod|lmul|llsl|llsr|lasr)"
    r"|__(mul|div|udiv|mod|umod|ashl|ashr|lshr|clz)[ds]i[23]"
    r"|__gnu_thumb1_case_\w+|_GLOBAL_OFFSET_TABLE_"
)


def nm(target: Target) -> str:
    return target.compiler.removesuffix("gcc").removesuffix("cc") + "nm"


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_compiles_without_warnings_and_needs_no_library(target: Target) -> None:
    objects = compile_objects(SOURCES, target)
    assert len(objects) == len(SOURCES) > 0
    listing = subprocess.run(
        [find_tool(nm(target)), "--undefined-only", "--format=posix", *objects],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    undefined = set(re.findall(r"^(\S+) U", listing, re.MULTILINE))
    assert not {symbol for symbol in undefined if not ALLOWED.fullmatch(symbol)}


def test_assembly_has_its_registers_in_a_build_for_a_debugger() -> None:
    """Without optimization one is the frame pointer, and compilers move no operand out of the way."""
    in_assembly = [path for path in SOURCES if path.stem.endswith(("_dsp", "_mve"))]
    assert len(compile_objects(in_assembly, HELIUM, extra_flags=["-O0"])) == len(in_assembly) >= 8


@pytest.mark.parametrize("header", HEADERS, ids=lambda header: header.name)
def test_a_header_needs_no_other_before_it(header: Path, tmp_path: Path) -> None:
    source = tmp_path / "alone.c"
    source.write_text(f'#include "{header.name}"\n#include "{header.name}"\nextern int not_empty;\n')
    assert compile_objects([source], TARGETS[0], includes=[header.parent])


def test_a_function_of_the_standard_library_would_be_noticed() -> None:
    for symbol in ("malloc", "printf", "__aeabi_fmul", "__aeabi_dadd", "__addsf3", "sqrtf", "memchr"):
        assert not ALLOWED.fullmatch(symbol)

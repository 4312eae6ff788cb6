# SPDX-License-Identifier: Apache-2.0
"""The C runtime compiles without a warning for every supported core and needs only memcpy and its like."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from mcukit.emulation.targets import TARGETS as EMULATED
from mcukit.emulation.targets import Target
from mcukit.emulation.toolchain import compile_objects, find_tool
from mcukit.resources import firmware_dir

SOURCES = tuple(sorted((firmware_dir() / "mcukit_nn" / "src").glob("*.c")))
HEADERS = tuple(sorted((firmware_dir() / "mcukit_nn" / "src").glob("*.h")))

M0PLUS = Target("cortex-m0plus", "arm-none-eabi-gcc", ("-mcpu=cortex-m0plus", "-mthumb", "-mfloat-abi=soft"), ())
TARGETS = {"x86-64": EMULATED["host"], "cortex-m0plus": M0PLUS} | {
    name: target for name, target in EMULATED.items() if target.emulated
}
"""Those that programs are built for, with the same flags, and the smallest core."""

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


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
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
    assert len(compile_objects(in_assembly, TARGETS["cortex-m55"], extra_flags=["-O0"])) == len(in_assembly) >= 8


@pytest.mark.parametrize("header", HEADERS, ids=lambda header: header.name)
def test_a_header_needs_no_other_before_it(header: Path, tmp_path: Path) -> None:
    source = tmp_path / "alone.c"
    source.write_text(f'#include "{header.name}"\n#include "{header.name}"\nextern int not_empty;\n')
    assert compile_objects([source], TARGETS["x86-64"], includes=[header.parent])


def test_a_function_of_the_standard_library_would_be_noticed() -> None:
    for symbol in ("malloc", "printf", "__aeabi_fmul", "__aeabi_dadd", "__addsf3", "sqrtf", "memchr"):
        assert not ALLOWED.fullmatch(symbol)

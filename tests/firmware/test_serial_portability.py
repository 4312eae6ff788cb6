# SPDX-License-Identifier: Apache-2.0
"""The serial application compiles without a warning for every core, in every form, and needs next to no library."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from mcukit.bench.firmware import SerialOptions, serial_defines, serial_sources
from mcukit.emulation.targets import TARGETS as EMULATED
from mcukit.emulation.targets import Target
from mcukit.emulation.toolchain import compile_objects, find_tool
from mcukit.resources import firmware_dir
from tests.bench.networks import write_network
from tests.firmware.test_portability import ALLOWED, TARGETS, nm

APP = firmware_dir() / "app" / "serial"
INCLUDES = [APP, APP.parent, firmware_dir() / "ports", firmware_dir() / "mcukit_nn" / "src"]

# Besides what compilers call by themselves, the string functions of the C library, the port and the network.
OWN = re.compile(
    r"(frame|session|text|network|trace_link|banner|clock|port|serial|net)_\w+|main|str(len|cmp|chr)"
    r"|__udivmoddi4|__popcount[ds]i2"
)

FORMS = {
    "kept": ("layers", SerialOptions()),
    "in-place": ("layers", SerialOptions(keeps_input=False, hooks=False, energy_mode=True)),
    "pushed": ("pushed", SerialOptions(hooks=False)),
    "rows-on-arrival": ("pushed", SerialOptions(keeps_input=False)),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_compiles_without_warnings_and_needs_no_library(target: Target, form: str, tmp_path: Path) -> None:
    plan, options = FORMS[form]
    sources = write_network(tmp_path, plan)
    defines = serial_defines(sources, options, target.machine_flags)
    objects = compile_objects(serial_sources(), target, includes=[tmp_path, *INCLUDES], defines=defines)
    listing = subprocess.run(
        [find_tool(nm(target)), "--undefined-only", "--format=posix", *objects],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    undefined = set(re.findall(r"^(\S+) U", listing, re.MULTILINE))
    assert "port_serial_write" in undefined
    assert not {symbol for symbol in undefined if not ALLOWED.fullmatch(symbol) and not OWN.fullmatch(symbol)}


@pytest.mark.parametrize("energy", [False, True])
@pytest.mark.parametrize("name", [*EMULATED, "stm32f405"])
def test_each_port_compiles_without_warnings(name: str, energy: bool) -> None:
    target = EMULATED["cortex-m4" if name == "stm32f405" else name]
    folder = name if name == "stm32f405" else target.port_folders[-1]
    (port,) = (firmware_dir() / "ports" / folder / "serial").glob("*.c")
    assert compile_objects([port], target, includes=INCLUDES, defines=["MCUKIT_ENERGY_MODE"] * energy)


@pytest.mark.parametrize("header", sorted(APP.glob("*.h")), ids=lambda header: header.name)
def test_a_header_needs_no_other_before_it(header: Path, tmp_path: Path) -> None:
    sources = write_network(tmp_path, "layers")
    source = tmp_path / "alone.c"
    source.write_text(f'#include "{header.name}"\n#include "{header.name}"\nextern int not_empty;\n')
    defines = serial_defines(sources, SerialOptions(), ())
    assert compile_objects([source], TARGETS["x86-64"], includes=[tmp_path, *INCLUDES], defines=defines)


def test_a_function_of_the_standard_library_would_be_noticed() -> None:
    for symbol in ("malloc", "printf", "snprintf", "atoi", "strtok", "__aeabi_fmul", "exit", "text", "memchr"):
        assert not OWN.fullmatch(symbol)
        assert not ALLOWED.fullmatch(symbol)

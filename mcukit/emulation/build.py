# SPDX-License-Identifier: Apache-2.0
"""Builds a generated model into programs: one that runs it on files, one that shows its footprint."""

from __future__ import annotations

__all__ = [
    "DSP_EMULATED",
    "SANITIZE_FLAGS",
    "CSources",
    "Footprint",
    "Program",
    "build_runner",
    "link_flags",
    "measure_footprint",
    "model_defines",
    "model_objects",
]

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mcukit.emulation.elf import ElfFile, read_elf
from mcukit.emulation.targets import Target
from mcukit.emulation.toolchain import compile_objects, link
from mcukit.errors import McukitError
from mcukit.resources import firmware_dir

# Checks at every access take several times as long to optimize as they take to run: -Og after the usual -O2. Variables
# in sections of their own are watched only if their sections are named.
SANITIZE_FLAGS = (
    "-Og",
    "-fsanitize=address,undefined",
    "-fsanitize-sections=.bss.mcukit_arena*,.rodata.mcukit_weights*",
    "-fno-sanitize-recover=all",
    "-fno-omit-frame-pointer",
    "-g1",
)

DSP_EMULATED = "MK_DSP_EMULATED"
"""Where it is defined, DSP kernels run on machines without these instructions, and not the portable ones instead."""

# Sections of the footprint program by what they cost.
_CODE_SECTIONS = (".text", ".rodata", ".ARM.exidx", ".data")
_RAM_SECTIONS = (".data", ".bss")
_KNOWN_SECTIONS = {*_CODE_SECTIONS, *_RAM_SECTIONS, ".mcukit_weights", ".mcukit_arena", ".stack"}


@dataclass(frozen=True)
class CSources:
    """A generated model.

    name: the C identifier its files and functions begin with.
    model_dir: the folder with NAME.h, NAME.c and NAME_weights.c.
    layers, input_bytes, output_bytes: as in NAME.h.
    """

    name: str
    model_dir: Path
    layers: int
    input_bytes: int
    output_bytes: int

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z_][a-z0-9_]*", self.name):
            raise ValueError(f"{self.name!r} is not a lower-case C identifier")

    def files(self) -> list[Path]:
        """The C files. Raises McukitError "missing-file"."""
        expected = [self.model_dir / f"{self.name}{ending}" for ending in (".h", ".c")]
        for file in expected:
            if not file.is_file():
                raise McukitError("missing-file", "the model's C code is incomplete", where=str(file))
        return [expected[1], *sorted(self.model_dir.glob(f"{self.name}_*.c"))]


@dataclass(frozen=True)
class Program:
    """A program that runs the model on files. elf: its sections and symbols, None on the host."""

    path: Path
    target: Target
    sources: CSources
    elf: ElfFile | None


@dataclass(frozen=True)
class Footprint:
    """What the model with its kernels takes of a device, without startup code and application.

    code_bytes: flash for code and constants (the kernels', the C library's, initial values) but the weights.
    weight_bytes: flash for weights. arena_bytes: RAM of the arena. static_ram_bytes: all other static RAM.
    """

    code_bytes: int
    weight_bytes: int
    arena_bytes: int
    static_ram_bytes: int


def build_runner(
    sources: CSources, target: Target, folder: Path, *, trace: bool, profile: bool, sanitize: bool
) -> Program:
    """Builds firmware/app/runner.c around the model. See compile_objects and link for the errors."""
    hooks = ["MK_PROFILE"] * (profile or trace) + ["MCUKIT_TRACE"] * trace
    flags = SANITIZE_FLAGS if sanitize else ()
    ports = [file for port in target.port_folders for file in sorted((_ports() / port).glob("*.c"))]
    # What is to be proved on the host are the DSP kernels themselves, over their instructions in C. Where only outputs
    # count, the portable ones give them many times faster.
    hooks += [DSP_EMULATED] * (not target.emulated and (trace or sanitize))
    application = firmware_dir() / "app" / "runner.c"
    objects = _objects(sources, target, application, ports, hooks=hooks, flags=flags)
    path = link(objects, folder / f"runner-{target.name}", target, extra_flags=[*flags, *link_flags(target)])
    elf = read_elf(path) if target.emulated else None
    if elf is not None and elf.symbols["mk_regions"].size != sources.layers + 3:
        raise McukitError(
            "layers-differ",
            f"{sources.name}.h does not define {sources.name.upper()}_LAYERS as {sources.layers}",
            where=str(sources.model_dir),
        )
    return Program(path, target, sources, elf)


def measure_footprint(sources: CSources, target: Target, folder: Path) -> Footprint:
    """Links only what the model needs for an emulated target and reads the sizes from the section headers.

    Raises what compile_objects and link raise, and McukitError "unknown-section" for data that would not be counted.
    """
    objects = _objects(sources, target, firmware_dir() / "app" / "footprint.c")
    flags = [*link_flags(target), "-Wl,--entry=main"]
    path = link(objects, folder / f"footprint-{target.name}", target, extra_flags=flags)
    sizes = read_elf(path).section_sizes
    unknown = sorted(name for name, size in sizes.items() if size and name not in _KNOWN_SECTIONS)
    if unknown:
        raise McukitError(
            "unknown-section",
            f"the model has data in section {unknown[0]}, which is neither code, weights nor arena",
            where=str(sources.model_dir),
        )
    return Footprint(
        code_bytes=sum(sizes.get(name, 0) for name in _CODE_SECTIONS),
        weight_bytes=sizes.get(".mcukit_weights", 0),
        arena_bytes=sizes.get(".mcukit_arena", 0),
        static_ram_bytes=sum(sizes.get(name, 0) for name in _RAM_SECTIONS),
    )


def _objects(
    sources: CSources,
    target: Target,
    application: Path,
    ports: Sequence[Path] = (),
    *,
    hooks: Sequence[str] = (),
    flags: Sequence[str] = (),
) -> list[Path]:
    """Objects of the application, the ports, the model and the runtime, in this order.

    Only what is written around a model sees its header, so that the rest is not compiled again for the next model.
    """
    runtime = firmware_dir() / "mcukit_nn" / "src"
    port_folders = [_ports(), *(_ports() / port for port in target.port_folders)]
    defines = [*model_defines(sources), *hooks]
    includes = [sources.model_dir, runtime, *port_folders]
    return [
        *compile_objects([application], target, includes=includes, defines=defines, extra_flags=flags),
        *compile_objects(ports, target, includes=port_folders, defines=hooks, extra_flags=flags),
        *model_objects(sources, target, hooks=hooks, flags=flags),
    ]


def model_objects(
    sources: CSources, target: Target, *, hooks: Sequence[str] = (), flags: Sequence[str] = ()
) -> list[Path]:
    """Objects of the model and the runtime. See compile_objects for the errors."""
    runtime = firmware_dir() / "mcukit_nn" / "src"
    parts = ((sources.files(), [sources.model_dir, runtime]), (sorted(runtime.rglob("*.c")), [runtime]))
    return [
        compiled
        for files, includes in parts
        for compiled in compile_objects(files, target, includes=includes, defines=hooks, extra_flags=flags)
    ]


def model_defines(sources: CSources) -> list[str]:
    """What firmware/app/mcukit_model.h wants to know of the model."""
    return [
        f'MCUKIT_MODEL_HEADER="{sources.name}.h"',
        f"MCUKIT_MODEL={sources.name}",
        f"MCUKIT_MODEL_MACROS={sources.name.upper()}",
    ]


def link_flags(target: Target) -> list[str]:
    """The linker script of an emulated target."""
    if not target.linker_script:
        return []
    return ["-nostartfiles", f"-L{_ports() / 'common'}", f"-T{_ports() / target.linker_script}"]


def _ports() -> Path:
    return firmware_dir() / "ports"

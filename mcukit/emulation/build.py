# SPDX-License-Identifier: Apache-2.0
"""Builds a generated model into programs: one that runs it on files, one that shows its footprint."""

from __future__ import annotations

__all__ = [
    "SANITIZE_FLAGS",
    "CSources",
    "Footprint",
    "Program",
    "build_runner",
    "include_folders",
    "link_arguments",
    "measure_footprint",
    "model_and_runtime",
    "model_defines",
]

import re
from dataclasses import dataclass
from pathlib import Path

from mcukit.emulation.elf import ElfFile, read_elf
from mcukit.emulation.targets import Target
from mcukit.emulation.toolchain import compile_c
from mcukit.errors import McukitError
from mcukit.resources import firmware_dir

# Variables in sections of their own are watched only if their sections are named.
SANITIZE_FLAGS = (
    "-fsanitize=address,undefined",
    "-fsanitize-sections=.bss.mcukit_arena*,.rodata.mcukit_weights*",
    "-fno-sanitize-recover=all",
    "-fno-omit-frame-pointer",
    "-g1",
)

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
    """Builds firmware/app/runner.c around the model. See compile_c for the errors."""
    firmware = firmware_dir()
    ports = [file for port in target.port_folders for file in sorted((firmware / "ports" / port).glob("*.c"))]
    hooks = ["MK_PROFILE"] * (profile or trace) + ["MCUKIT_TRACE"] * trace
    path = compile_c(
        [firmware / "app" / "runner.c", *ports, *model_and_runtime(sources, firmware)],
        folder / f"runner-{target.name}",
        target,
        includes=include_folders(sources, target, firmware),
        defines=[*model_defines(sources), *hooks],
        extra_flags=SANITIZE_FLAGS if sanitize else (),
        link_flags=link_arguments(target, firmware),
    )
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

    Raises what compile_c raises, and McukitError "unknown-section" for data that would not be counted.
    """
    firmware = firmware_dir()
    path = compile_c(
        [firmware / "app" / "footprint.c", *model_and_runtime(sources, firmware)],
        folder / f"footprint-{target.name}",
        target,
        includes=include_folders(sources, target, firmware),
        defines=model_defines(sources),
        link_flags=[*link_arguments(target, firmware), "-Wl,--entry=main"],
    )
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


def model_and_runtime(sources: CSources, firmware: Path) -> list[Path]:
    """The C files of the model and of all kernels."""
    return [*sources.files(), *sorted((firmware / "mcukit_nn" / "src").rglob("*.c"))]


def include_folders(sources: CSources, target: Target, firmware: Path) -> list[Path]:
    """Where the headers of the model, the runtime, the ports and the applications lie."""
    ports = [firmware / "ports", *(firmware / "ports" / port for port in target.port_folders)]
    return [sources.model_dir, firmware / "mcukit_nn" / "src", *ports, firmware / "app"]


def model_defines(sources: CSources) -> list[str]:
    """What firmware/app/mcukit_model.h wants to know of the model."""
    return [
        f'MCUKIT_MODEL_HEADER="{sources.name}.h"',
        f"MCUKIT_MODEL={sources.name}",
        f"MCUKIT_MODEL_MACROS={sources.name.upper()}",
    ]


def link_arguments(target: Target, firmware: Path) -> list[str]:
    """The linker script of an emulated target."""
    if not target.linker_script:
        return []
    ports = firmware / "ports"
    return [
        "-nostartfiles",
        f"-L{ports / 'common'}",
        f"-T{ports / target.linker_script}",
    ]

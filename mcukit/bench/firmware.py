# SPDX-License-Identifier: Apache-2.0
"""The serial application: what it is compiled of, how it is told what it is, and programs of it for this computer."""

from __future__ import annotations

__all__ = [
    "INSTRUCTION_NANOSECONDS",
    "SerialOptions",
    "application_objects",
    "build_serial_program",
    "emulator_command",
    "firmware_flags",
    "model_hash",
    "serial_defines",
    "serial_sources",
]

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mcukit.emulation.build import SANITIZE_FLAGS, CSources, link_flags, model_defines, model_objects
from mcukit.emulation.targets import Target
from mcukit.emulation.toolchain import CODE_FLAGS, compile_objects, find_tool, link
from mcukit.export.project_model import code_hash
from mcukit.resources import firmware_dir

INSTRUCTION_NANOSECONDS = 1
"""What an instruction takes of an emulated machine's time. So its timers count instructions, and no real time."""


@dataclass(frozen=True)
class SerialOptions:
    """How the application is built.

    board, kernels: for the banner. text_model: the network's name for text commands, such as vww01; by default its
    name in C. text_input_offset: subtracted from each byte that a text command loads: 128 where a public data set
    holds unsigned pixels. keeps_input: hold the input apart, for as many inferences as one likes; without, it lies
    where the network overwrites it. hooks: measure layers and show their bytes. energy_mode: the public benchmark's
    energy measurement: 9,600 baud, and a pin instead of times.
    """

    board: str = "host"
    kernels: str = "portable"
    text_model: str = ""
    text_input_offset: int = 0
    keeps_input: bool = True
    hooks: bool = True
    energy_mode: bool = False

    def without_kept_input(self) -> SerialOptions:
        """The same for a machine without room for a copy of the input."""
        return replace(self, keeps_input=False)

    def __post_init__(self) -> None:
        for name in ("board", "kernels", "text_model"):
            if not re.fullmatch(r"[\w .+-]*", getattr(self, name), re.ASCII):
                raise ValueError(f"{name} {getattr(self, name)!r} has characters that text answers can't hold")


def serial_sources() -> list[Path]:
    """The C files of the application, without the port's and the network's."""
    return sorted((firmware_dir() / "app" / "serial").glob("*.c"))


def model_hash(sources: CSources) -> str:
    """SHA-256 over the names and contents of the generated C, in hexadecimal digits.

    Raises McukitError "missing-file".
    """
    files = {*sources.files(), *sources.model_dir.glob(f"{sources.name}*.h")}
    return code_hash({file.name: file.read_bytes() for file in files})


def firmware_flags(target: Target) -> tuple[str, ...]:
    """The compiler's flags that decide about the code, as the banner shows them."""
    return (*target.machine_flags, *CODE_FLAGS)


def serial_defines(sources: CSources, options: SerialOptions, compiler_flags: Sequence[str]) -> list[str]:
    """What the application's files are compiled with, as NAME or NAME=VALUE. See model_hash for the errors."""
    strings = {
        "MCUKIT_BOARD": options.board,
        "MCUKIT_MODEL_HASH": model_hash(sources),
        "MCUKIT_KERNELS": options.kernels,
        "MCUKIT_COMPILER_FLAGS": " ".join(compiler_flags),
        "MCUKIT_TEXT_MODEL": options.text_model or sources.name,
    }
    numbers = {
        "MCUKIT_TEXT_INPUT_OFFSET": options.text_input_offset,
        "MCUKIT_KEEPS_INPUT": int(options.keeps_input),
    }
    header = (sources.model_dir / f"{sources.name}.h").read_text(encoding="utf-8")
    kernels = f"{sources.name.upper()}_LAYER_KERNELS"
    return [
        *model_defines(sources),
        # Networks of earlier versions don't say which kernels their layers have.
        *([] if f"#define {kernels} " in header else [f'{kernels}="unknown"']),
        *(f'{name}="{text}"' for name, text in strings.items()),
        *(f"{name}={number}" for name, number in numbers.items()),
        *["MK_PROFILE"] * options.hooks,
        *["MCUKIT_ENERGY_MODE"] * options.energy_mode,
    ]


def application_objects(
    sources: CSources,
    target: Target,
    files: Sequence[Path],
    defines: Sequence[str],
    options: SerialOptions,
    flags: Sequence[str] = (),
) -> list[Path]:
    """Objects of the network and of files that see the application's headers. See compile_objects for the errors."""
    firmware = firmware_dir()
    ports = [firmware / "ports", *(firmware / "ports" / name for name in target.port_folders)]
    headers = [firmware / "app" / "serial", firmware / "app", *ports, firmware / "mcukit_nn" / "src"]
    return [
        *compile_objects(files, target, includes=[sources.model_dir, *headers], defines=defines, extra_flags=flags),
        *model_objects(sources, target, hooks=["MK_PROFILE"] * options.hooks, flags=flags),
    ]


def build_serial_program(
    sources: CSources,
    target: Target,
    folder: Path,
    options: SerialOptions,
    *,
    port: Sequence[Path] = (),
    sanitize: bool = False,
) -> Path:
    """The application around the network, for the host or an emulated machine; it speaks on its standard streams.

    port: C files to take instead of the target's own serial port. sanitize: on the host, stop at the first undefined
    behaviour. See compile_objects and link for the errors.
    """
    ports = firmware_dir() / "ports"
    own_port = sorted((ports / target.port_folders[-1] / "serial").glob("*.c"))
    startup = [file for name in target.port_folders for file in sorted((ports / name).glob("*.c"))]
    files = [*serial_sources(), *(port or own_port), *(startup if target.emulated else ())]
    defines = serial_defines(sources, options, firmware_flags(target))
    flags = SANITIZE_FLAGS if sanitize else ()
    return link(
        application_objects(sources, target, files, defines, options, flags),
        folder / f"serial-{target.name}",
        target,
        extra_flags=[*flags, *link_flags(target)],
    )


def emulator_command(target: Target, program: Path) -> list[str]:
    """Runs a program with its serial line on the standard streams. Raises McukitError "missing-tool".

    An emulated machine's time goes on by INSTRUCTION_NANOSECONDS with each instruction, whatever the computer does.
    """
    if not target.emulated:
        return [str(program)]
    return [
        str(find_tool(target.emulator)),
        *target.emulator_machine,
        *("-icount", "shift=0,sleep=off"),
        *("-display", "none", "-monitor", "none", "-serial", "stdio"),
        *("-semihosting-config", "enable=on,target=native"),
        *("-kernel", str(program)),
    ]

# SPDX-License-Identifier: Apache-2.0
"""Emulated boards in a firmware project: environments, and a PlatformIO platform of their own that downloads nothing.

The platform is a folder of the project, so that a build can be moved. PlatformIO knows such a folder by its name alone
and takes one for another of the same name: the name says what is in it.
"""

from __future__ import annotations

__all__ = ["EmulatedBoard", "chip_machine", "emulated_boards", "platform_files", "platform_folder"]

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcukit.boards import Board
from mcukit.emulation.targets import EMULATED_BOARDS, Target
from mcukit.emulation.toolchain import CODE_FLAGS, install_command
from mcukit.export.project_boards import LeftOut
from mcukit.export.project_model import ProjectModel, folder_files
from mcukit.quantities import counted
from mcukit.quantized.kernel_sets import KernelSet
from mcukit.resources import firmware_dir

_TITLES = {
    "cortex-m3": "Cortex-M3",
    "cortex-m4": "Cortex-M4",
    "cortex-m7": "Cortex-M7",
    "cortex-m33": "Cortex-M33",
    "cortex-m55": "Cortex-M55",
    "riscv32": "RV32IMC",
    "stm32f405": "STM32F405",
}

_REGION = re.compile(r"^ *(\w+) *\(\w+\) *: *ORIGIN = (?:\w+), LENGTH = (\d+)([KM]?)$", re.MULTILINE)
_STACK = re.compile(r"\.stack.*?\. \+= (\d+)K;", re.DOTALL)
_APPLICATION_BYTES = 8192
"""Data of the serial application, generously."""
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20}


@dataclass(frozen=True)
class EmulatedBoard:
    """A machine of QEMU with the serial application's port for it.

    environment: its name in platformio.ini. keeps_input, kernels: as of Environment.
    """

    target: Target
    environment: str
    keeps_input: bool
    kernels: KernelSet

    @property
    def id(self) -> str:
        """What the platform, and the port emulated:ID, call it."""
        return self.target.name

    @property
    def title(self) -> str:
        """For comments."""
        return f"{_TITLES[self.id]} on QEMU's {self.target.emulator_machine[1]}"

    @property
    def macro(self) -> str:
        """What is defined in its environment."""
        return f"MCUKIT_EMULATED_{re.sub('[^A-Z0-9]', '_', self.id.upper())}"

    @property
    def compiler_flags(self) -> str:
        """For the banner."""
        return " ".join((*self.target.machine_flags, *CODE_FLAGS))


def chip_machine(board: Board) -> str | None:
    """The machine of QEMU that has not just a board's core but its chip; None if there is none."""
    return EMULATED_BOARDS["stm32f405"].emulator_machine[1] if board.id == "genericSTM32F405RG" else None


def emulated_boards(
    model: ProjectModel, taken: Collection[str]
) -> tuple[tuple[EmulatedBoard, ...], tuple[LeftOut, ...]]:
    """Every machine that the network fits, and those that it does not. taken: names of environments that there are."""
    found: list[EmulatedBoard] = []
    left_out: list[LeftOut] = []
    for name in _TITLES:
        target = EMULATED_BOARDS[name]
        free = _free_ram(model, target)
        missing = max(-free, model.weight_bytes - _flash_bytes(target))
        if missing > 0:
            left_out.append(LeftOut(f"emulated-{name}", f"it has {counted(missing, 'byte')} of memory too few"))
            continue
        environment = f"emulated-{name}"
        while environment in taken:
            environment += "-qemu"
        kernels = target.kernels_that_run(model.kernels)
        found.append(EmulatedBoard(target, environment, free >= model.input_bytes, kernels))
    return tuple(found), tuple(left_out)


def platform_files(boards: Sequence[EmulatedBoard]) -> dict[str, bytes]:
    """The platform, by path in its folder: what builds and runs, a description of each board, and its port."""
    platform = firmware_dir() / "platformio" / "mcukitqemu"
    files = folder_files(platform)
    files |= {f"builder/{name}": content for name, content in folder_files(platform / "builder").items()}
    for board in boards:
        description = json.dumps(_description(board), indent=4) + "\n"
        files[f"boards/{board.id}.json"] = description.encode()
    folders = {folder for board in boards for folder in (*board.target.port_folders, board.target.port_folders[-1])}
    files |= {f"ports/{name}": content for name, content in folder_files(firmware_dir() / "ports").items()}
    for folder in sorted(folders):
        port = firmware_dir() / "ports" / folder
        files |= {f"ports/{folder}/{name}": content for name, content in folder_files(port).items()}
        if (port / "serial").is_dir():
            files |= {f"ports/{folder}/serial/{name}": data for name, data in folder_files(port / "serial").items()}
    return files


def platform_folder(files: Mapping[str, bytes]) -> str:
    """The name of the folder that holds a platform of these files."""
    digest = hashlib.sha256()
    for path, content in sorted(files.items()):
        digest.update(path.encode() + b"\0" + hashlib.sha256(content).digest())
    return f"mcukitqemu-{digest.hexdigest()[:16]}"


def _description(board: EmulatedBoard) -> dict[str, Any]:
    """PlatformIO's description of a board."""
    target = board.target
    machine = target.emulator_machine[1]
    architecture = target.emulator.removeprefix("qemu-system-")
    return {
        "name": board.title,
        "vendor": "QEMU",
        "url": f"https://www.qemu.org/docs/master/system/target-{architecture.removesuffix('32')}.html",
        "build": {
            "mcu": machine,
            "compiler": target.compiler,
            "flags": list(target.machine_flags),
            "ports": list(target.port_folders),
            "ldscript": target.linker_script,
            "tools": {tool: install_command(tool) for tool in (target.compiler, target.emulator)},
        },
        "emulator": {"command": target.emulator, "machine": list(target.emulator_machine)},
        "upload": {
            "protocol": "emulator",
            "protocols": ["emulator"],
            "maximum_size": _flash_bytes(target),
            "maximum_ram_size": sum(_ram(target).values()),
        },
    }


def _regions(target: Target) -> dict[str, int]:
    """Bytes by region, as its linker script has them."""
    text = (firmware_dir() / "ports" / target.linker_script).read_text()
    return {name: int(size) * _UNITS[unit] for name, size, unit in _REGION.findall(text)}


def _ram(target: Target) -> dict[str, int]:
    return {name: size for name, size in _regions(target).items() if name in {"RAM", "CCM"}}


def _flash_bytes(target: Target) -> int:
    """What may hold code and weights."""
    return sum(_regions(target).values()) - sum(_ram(target).values())


def _free_ram(model: ProjectModel, target: Target) -> int:
    """Bytes that arenas, stack and application leave; negative where they don't fit."""
    ports = firmware_dir() / "ports"
    script = (ports / target.linker_script).read_text()
    stack = _STACK.search(script) or _STACK.search((ports / "common" / "sections.ld").read_text())
    elsewhere = {"ccm"} if "CCM" in _ram(target) else set()
    arenas = sum(size for region, size in model.arenas.items() if region not in elsewhere)
    return _ram(target)["RAM"] - (int(stack[1]) << 10 if stack else 0) - _APPLICATION_BYTES - arenas

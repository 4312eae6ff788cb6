# SPDX-License-Identifier: Apache-2.0
"""What firmware projects and packages are made of: the generated C, the runtime, the application, and its ports."""

from __future__ import annotations

__all__ = [
    "PORTS",
    "KnownAnswer",
    "ProjectModel",
    "application_files",
    "code_hash",
    "folder_files",
    "port_files",
    "render",
    "runtime_files",
]

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mcukit
from mcukit.export.rendering import templates
from mcukit.quantized.kernel_sets import KernelSet
from mcukit.resources import firmware_dir

PORTS = ("arduino", "espidf")
"""Frameworks that there is a port for, the preferred one first."""


@dataclass(frozen=True)
class KnownAnswer:
    """seed: of the input, see export/known_input.py. outputs: the bytes of each output of the network."""

    seed: int
    outputs: tuple[bytes, ...]


@dataclass(frozen=True)
class ProjectModel:
    """A network as projects take it.

    name: a lower-case C identifier, as files and functions begin. c_files: the generated C by file name.
    arenas: bytes by region. weight_bytes, input_bytes: as in NAME.h. answers: what a test on a board compares with.
    kernels: the set that its code calls.
    """

    name: str
    c_files: Mapping[str, bytes]
    arenas: Mapping[str, int]
    weight_bytes: int
    input_bytes: int
    answers: tuple[KnownAnswer, ...]
    kernels: KernelSet = KernelSet.PORTABLE


def code_hash(c_files: Mapping[str, bytes]) -> str:
    """SHA-256 over the names and contents of the generated C, in hexadecimal digits."""
    digest = hashlib.sha256()
    for name, content in sorted(c_files.items()):
        digest.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
    return digest.hexdigest()


def render(template: str, **context: Any) -> bytes:
    """A template of templates/project, filled in. `version` is this mcukit's."""
    text = templates("project").get_template(f"{template}.j2").render(context, version=mcukit.__version__)
    return text.encode()


def runtime_files() -> dict[str, bytes]:
    """The kernels and their headers, by file name."""
    return folder_files(firmware_dir() / "mcukit_nn" / "src")


def application_files() -> dict[str, bytes]:
    """The serial application over a port, by path: without main.c, which is the port's matter."""
    app = firmware_dir() / "app"
    serial = {f"serial/{name}": content for name, content in folder_files(app / "serial").items() if name != "main.c"}
    shared = {name: (app / name).read_bytes() for name in ("mcukit_model.h", "trace_rows.h")}
    return serial | shared | {"port_serial.h": (firmware_dir() / "ports" / "port_serial.h").read_bytes()}


def port_files(framework: str) -> dict[str, bytes]:
    """The port for a framework of PORTS, or for "emulated" boards, with its main program, by path."""
    folder = firmware_dir() / "ports" / framework / "serial"
    return {f"{framework}/{name}": content for name, content in folder_files(folder).items()}


def folder_files(folder: Path) -> dict[str, bytes]:
    """The files of a folder, without those of folders in it, by name."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}

# SPDX-License-Identifier: Apache-2.0
"""What packages for other build systems are made of: generated C, runtime, and an example that checks itself."""

from __future__ import annotations

__all__ = ["Output", "PackageModel", "Section", "package_name", "render_package", "source_files", "under"]

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import mcukit
from mcukit.export.known_input import KnownInput
from mcukit.export.project_model import runtime_files
from mcukit.export.rendering import templates


@dataclass(frozen=True)
class Output:
    """An output of the network. suffix: what its functions and macros end with. scale: as C writes a float."""

    suffix: str
    bytes: int
    scale: str
    zero_point: int


@dataclass(frozen=True)
class Section:
    """A linker section that belongs into a memory region of the board, and its bytes."""

    name: str
    region: str
    bytes: int


@dataclass(frozen=True)
class PackageModel:
    """A network as packages take it.

    name: a lower-case C identifier, as files and functions begin. c_files: the generated C by file name.
    input_bytes, input_scale, input_zero_point: as in NAME.h. formula: how stored values become the real input.
    arena_bytes, weight_bytes: of all regions. pushed: whether the application hands over the input row by row.
    calibrated: whether ranges come from the user's data.
    sections: those that a linker script must place, because there are several regions; empty with one.
    known: what the example expects.
    """

    name: str
    c_files: Mapping[str, bytes]
    input_bytes: int
    input_scale: str
    input_zero_point: int
    formula: str
    outputs: tuple[Output, ...]
    arena_bytes: int
    weight_bytes: int
    pushed: bool
    calibrated: bool
    sections: tuple[Section, ...]
    known: KnownInput


def package_name(name: str) -> str:
    """What a network's library, component or target is called, and what its header is named after.

    Names of networks may be those of other libraries, or of headers of the framework.
    """
    return f"mcukit_{name}"


def source_files(model: PackageModel) -> dict[str, bytes]:
    """The C of the network and of the runtime, by file name: no network's file has a name of the runtime's."""
    return {**runtime_files(), **model.c_files}


def render_package(template: str, model: PackageModel, **more: Any) -> bytes:
    """A template of templates/package, filled in."""
    context = {
        "version": mcukit.__version__,
        "net": model,
        "name": model.name,
        "macro": model.name.upper(),
        "package": package_name(model.name),
        "known": model.known,
        **more,
    }
    return templates("package").get_template(f"{template}.j2").render(context).encode()


def under(folder: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files in a folder."""
    return {f"{folder}/{path}": content for path, content in files.items()}

# SPDX-License-Identifier: Apache-2.0
"""An Arduino library around a network: what the IDE installs from a zip, with a sketch that checks itself."""

from __future__ import annotations

__all__ = ["arduino_files"]

from mcukit.export.package_model import PackageModel, package_name, render_package, source_files, under
from mcukit.resources import licence_text

_SOURCES = "network"
"""Below src/: headers beside the library's own would be offered to sketches, and could be taken for those of others."""


def arduino_files(model: PackageModel) -> dict[str, bytes]:
    """File contents by path in the library (format 1.5, revision 2.2)."""
    example = "examples/Inference"
    return {
        "library.properties": render_package("arduino/library.properties", model),
        "keywords.txt": render_package("arduino/keywords.txt", model),
        "LICENSE": licence_text().encode(),
        "README.md": render_package("arduino/README.md", model),
        f"src/{package_name(model.name)}.h": render_package("public.h", model, sources=_SOURCES),
        **under(f"src/{_SOURCES}", source_files(model)),
        f"{example}/Inference.ino": render_package("arduino/Inference.ino", model),
        f"{example}/known_input.h": render_package("known_input.h", model),
    }

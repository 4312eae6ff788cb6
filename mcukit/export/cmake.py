# SPDX-License-Identifier: Apache-2.0
"""A CMake project around a network: a static library for add_subdirectory and FetchContent, and an example."""

from __future__ import annotations

__all__ = ["cmake_files"]

from mcukit.export.package_model import PackageModel, package_name, render_package, source_files, under
from mcukit.export.project_model import code_hash, runtime_files
from mcukit.resources import licence_text


def cmake_files(model: PackageModel) -> dict[str, bytes]:
    """File contents by path in the project.

    The runtime is a target of its own, which several networks share, if it is the same for all of them.
    """
    runtime = runtime_files()
    kernels = sorted(name for name in runtime if name.endswith(".c"))
    network = sorted(name for name in model.c_files if name.endswith(".c"))
    return {
        "CMakeLists.txt": render_package(
            "cmake/CMakeLists.txt", model, kernels=kernels, network=network, runtime_hash=code_hash(runtime)
        ),
        "LICENSE": licence_text().encode(),
        "README.md": render_package("cmake/README.md", model),
        f"include/{package_name(model.name)}.h": render_package("public.h", model, sources="../src"),
        **under("src", source_files(model)),
        "example/CMakeLists.txt": render_package("cmake/example.txt", model),
        "example/main.c": render_package("cmake/main.c", model),
        "example/known_input.h": render_package("known_input.h", model),
    }

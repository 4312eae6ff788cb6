# SPDX-License-Identifier: Apache-2.0
"""A PlatformIO project around a network: the serial application, the kernels, and an environment for each board."""

from __future__ import annotations

__all__ = ["platformio_files"]

from collections.abc import Iterable, Mapping, Sequence

from mcukit.boards import Board
from mcukit.export.project_boards import Environment, environments_for
from mcukit.export.project_model import (
    PORTS,
    ProjectModel,
    application_files,
    code_hash,
    port_files,
    render,
    runtime_files,
)


def platformio_files(model: ProjectModel, boards: Sequence[Board], *, only_fitting: bool = False) -> dict[str, bytes]:
    """File contents by path in the project. Without a board that can have an environment it is a README that says why.

    only_fitting: leave out boards whose memory is too small; otherwise the linker has the last word.
    """
    environments, left_out = environments_for(model, boards, only_fitting=only_fitting)
    own_regions = any(env.own_regions for env in environments)
    readme = render("README.md", name=model.name, environments=environments, left_out=left_out, own_regions=own_regions)
    if not environments:
        return {"README.md": readme}
    several = len({env.board.id for env in environments}) > 1
    ports = [port for port in PORTS if any(env.framework == port for env in environments)]
    files = {
        "README.md": readme,
        "platformio.ini": render(
            "platformio.ini", name=model.name, environments=environments, several=several, ports=ports
        ),
    }
    files |= _under("src", _source_files(model, [env for env in environments if env.is_default], several, ports))
    files |= _libraries(model)
    for env in environments:
        files |= _board_files(env)
    if "espidf" in ports:
        files |= _espidf_files(model, files)
    return files


def _source_files(
    model: ProjectModel, boards: Sequence[Environment], several: bool, ports: Iterable[str]
) -> dict[str, bytes]:
    files = application_files() | {
        "mcukit_board.h": render("mcukit_board.h", environments=boards, several=several),
        "mcukit_project.h": render("mcukit_project.h", name=model.name, hash=code_hash(model.c_files)),
    }
    for port in ports:
        files |= port_files(port)
    return files


def _libraries(model: ProjectModel) -> dict[str, bytes]:
    network = f"{model.name}_model"
    description = f"The network {model.name}, written by mcukit."
    return {
        **_under("lib/mcukit_nn/src", runtime_files()),
        "lib/mcukit_nn/library.json": render(
            "library.json", name="mcukit_nn", description="Kernels of networks in portable C."
        ),
        **_under(f"lib/{network}/src", model.c_files),
        f"lib/{network}/library.json": render("library.json", name=network, description=description),
    }


def _board_files(env: Environment) -> dict[str, bytes]:
    """What a board's framework reads besides code."""
    files = {}
    if env.own_regions:
        files[f"linker/{env.board.id}.ld"] = render("regions.ld", regions=env.own_regions)
    if env.is_espressif:
        files[f"partitions/{env.board.id}.csv"] = render("partitions.csv", env=env)
    if env.framework == "espidf":
        files[f"sdkconfig/{env.board.id}.defaults"] = render("sdkconfig.defaults", env=env)
    return files


def _espidf_files(model: ProjectModel, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """ESP-IDF is built by CMake, and reads nothing of build_src_filter."""
    sources = sorted(
        path.removeprefix("src/")
        for path in files
        if path.startswith(("src/serial/", "src/espidf/")) and path[-2:] == ".c"
    )
    return {
        "CMakeLists.txt": render("cmake_project.txt", name=model.name),
        "src/CMakeLists.txt": render("cmake_src.txt", sources=sources),
        "src/idf_component.yml": render("idf_component.yml"),
    }


def _under(folder: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {f"{folder}/{path}": content for path, content in files.items()}

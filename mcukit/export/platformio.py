# SPDX-License-Identifier: Apache-2.0
"""A PlatformIO project around a network: the serial application, the kernels, and environments for boards.

Boards are real ones, and those that an emulator stands for.
"""

from __future__ import annotations

__all__ = ["platformio_files"]

from collections.abc import Mapping, Sequence

from mcukit.boards import Board
from mcukit.export.known_input import KnownInput
from mcukit.export.project_boards import Environment, environments_for
from mcukit.export.project_emulators import EmulatedBoard, emulated_boards, platform_files, platform_folder
from mcukit.export.project_model import (
    PORTS,
    ProjectModel,
    application_files,
    code_hash,
    folder_files,
    port_files,
    render,
    runtime_files,
)
from mcukit.resources import firmware_dir

_VALUES_IN_LINE = 20


def platformio_files(model: ProjectModel, boards: Sequence[Board], *, only_fitting: bool = False) -> dict[str, bytes]:
    """File contents by path in the project.

    only_fitting: leave out boards whose memory is too small; otherwise the linker has the last word.
    """
    environments, left_out = environments_for(model, boards, only_fitting=only_fitting)
    emulated, not_emulated = emulated_boards(model, {env.name for env in environments})
    platform = platform_files(emulated)
    folder = f"platform/{platform_folder(platform)}"
    ports = [port for port in PORTS if any(env.framework == port for env in environments)]
    cores = [env.board.emulation_target for env in environments]
    context = {
        "name": model.name,
        "example": next((board.environment for board in emulated if board.id in cores), "emulated-cortex-m4"),
        "environments": environments,
        "emulated": emulated,
        "left_out": (*left_out, *not_emulated),
        "own_regions": any(env.own_regions for env in environments),
        "platform": folder,
        "ports": ports,
    }
    files = {"README.md": render("README.md", **context)}
    if not environments and not emulated:
        return files
    files["platformio.ini"] = render("platformio.ini", **context)
    files |= _under("src", _source_files(model, environments, emulated, ports))
    files |= _libraries(model)
    files |= _test_files(model)
    files |= _under(folder, platform) if emulated else {}
    for env in environments:
        files |= _board_files(env)
    if "espidf" in ports:
        files |= _espidf_files(model, files)
    return files


def _source_files(
    model: ProjectModel, environments: Sequence[Environment], emulated: Sequence[EmulatedBoard], ports: Sequence[str]
) -> dict[str, bytes]:
    boards = [env for env in environments if env.is_default]
    files = application_files() | {
        "mcukit_board.h": render("mcukit_board.h", environments=boards, emulated=emulated),
        "mcukit_project.h": render("mcukit_project.h", name=model.name, hash=code_hash(model.c_files)),
    }
    for port in (*ports, *(["emulated"] if emulated else [])):
        files |= port_files(port)
    return files


def _test_files(model: ProjectModel) -> dict[str, bytes]:
    """What `pio test` runs."""
    folder = "test/test_known_answer"
    return {
        "test/test_custom_runner.py": (firmware_dir() / "platformio" / "test_custom_runner.py").read_bytes(),
        **_under(folder, folder_files(firmware_dir() / "app" / "known_answer")),
        f"{folder}/known_answer.h": _known_answers(model),
    }


def _known_answers(model: ProjectModel) -> bytes:
    outputs = [
        {"function": f"{model.name}_output{f'_{index}' if index else ''}", "bytes": len(output)}
        for index, output in enumerate(model.answers[0].outputs)
    ]
    answers = [
        {"seed": answer.seed, "lines": [line for output in answer.outputs for line in _lines_of(output)]}
        for answer in model.answers
    ]
    return render("known_answer.h", name=model.name, generator=KnownInput, outputs=outputs, answers=answers)


def _lines_of(output: bytes) -> list[str]:
    """int8 values as C has them."""
    values = [str(value) for value in memoryview(output).cast("b")]
    return [", ".join(values[start : start + _VALUES_IN_LINE]) for start in range(0, len(values), _VALUES_IN_LINE)]


def _libraries(model: ProjectModel) -> dict[str, bytes]:
    network = f"{model.name}_model"
    description = f"The network {model.name}, written by mcukit."
    return {
        **_under("lib/mcukit_nn/src", runtime_files()),
        "lib/mcukit_nn/library.json": render(
            "library.json", name="mcukit_nn", description="Kernels of networks in portable C."
        ),
        # In a folder of its own, by which it is included: NAME.h itself is found in no one else's place.
        **_under(f"lib/{network}/src/{network}", model.c_files),
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

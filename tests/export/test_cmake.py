# SPDX-License-Identifier: Apache-2.0
"""Exported CMake projects, by CMake itself: in an application's project, for a board, and what is refused."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from mcukit.emulation.elf import read_elf
from mcukit.emulation.targets import TARGETS
from mcukit.emulation.toolchain import compile_objects, find_tool
from mcukit.export.archive import zip_bytes
from mcukit.export.cmake import cmake_files
from mcukit.export.package_model import under
from tests.bench.networks import INPUTS, expected_outputs
from tests.export.packages import build_with_cmake, package_model
from tests.export.projects import written

# As users write it: one network from a zip, another one from a folder, one library of kernels for both.
CONSUMER = """
cmake_minimum_required(VERSION 3.13)
project(consumer LANGUAGES C)
include(FetchContent)
FetchContent_Declare(mcukit_first URL ${CMAKE_CURRENT_SOURCE_DIR}/mcukit_first.zip DOWNLOAD_EXTRACT_TIMESTAMP ON)
FetchContent_MakeAvailable(mcukit_first)
add_subdirectory(mcukit_second)
add_executable(consumer main.c)
target_link_libraries(consumer PRIVATE mcukit::first mcukit::second)
"""
MAIN = """
#include <stdio.h>

#include "mcukit_first.h"
#include "mcukit_second.h"

int main(void)
{
    first_init();
    second_init();
    while (fread(first_input(), 1, FIRST_INPUT_BYTES, stdin) == FIRST_INPUT_BYTES) {
        /* Rows go to the second network before the first one uses up its input. */
        for (int row = 0; row < FIRST_INPUT_HEIGHT; row++) {
            second_push_row(first_input() + row * FIRST_INPUT_ROW_BYTES);
        }
        first_invoke();
        fwrite(first_output(), 1, FIRST_OUTPUT_BYTES, stdout);
        fwrite(second_output(), 1, SECOND_OUTPUT_BYTES, stdout);
    }
    return 0;
}
"""


def test_an_application_with_two_networks_computes_the_references_bytes(tmp_path: Path) -> None:
    first, second = package_model("first"), package_model("second", "pushed")
    project = tmp_path / "project"
    written(under("mcukit_second", cmake_files(second)), project)
    (project / "mcukit_first.zip").write_bytes(zip_bytes(under("mcukit_first", cmake_files(first))))
    (project / "CMakeLists.txt").write_text(CONSUMER)
    (project / "main.c").write_text(MAIN)
    build_with_cmake(project, tmp_path / "build", "-DCMAKE_C_FLAGS=-Wall -Wextra -Werror -pedantic")
    kernels = list((tmp_path / "build").rglob("libmk_runtime.a"))
    assert len(kernels) == 1
    done = subprocess.run([tmp_path / "build/consumer"], input=INPUTS.tobytes(), capture_output=True, check=True)
    found = np.frombuffer(done.stdout, np.int8).reshape(len(INPUTS), 2, -1)
    for network in range(2):
        np.testing.assert_array_equal(found[:, network], expected_outputs())


def test_it_is_built_for_a_board_with_a_toolchain_file(tmp_path: Path) -> None:
    folder = written(cmake_files(package_model()), tmp_path / "mcukit_net")
    compiler = find_tool("arm-none-eabi-gcc")
    toolchain = tmp_path / "board.cmake"
    toolchain.write_text(f"""
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR arm)
set(CMAKE_C_COMPILER "{compiler}")
set(CMAKE_C_FLAGS_INIT "-mcpu=cortex-m4 -mthumb")
set(CMAKE_EXE_LINKER_FLAGS_INIT "--specs=nosys.specs --specs=nano.specs -Wl,--gc-sections")
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
""")
    options = (f"-DCMAKE_TOOLCHAIN_FILE={toolchain}", "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON")
    build_with_cmake(folder / "example", tmp_path / "build", *options)
    # The example is linked as an application would be; what it does not call is left out.
    symbols = read_elf(tmp_path / "build/net_example").symbols
    assert {"net_invoke", "mk_conv2d_s8", "mk_max_pool_s8"} <= symbols.keys()
    assert "mk_softmax_s8" not in symbols
    commands = json.loads((tmp_path / "build/compile_commands.json").read_bytes())
    plain = [Path(entry["file"]).name for entry in commands if "-O2" not in entry["command"].split()]
    assert plain == ["main.c"], "kernels and network are optimized in a debug build, the application is not"
    assert len(commands) > 30


def test_networks_of_two_versions_of_the_kernels_do_not_go_together(tmp_path: Path) -> None:
    files = under("first", cmake_files(package_model("first"))) | under("second", cmake_files(package_model("second")))
    before = files["second/CMakeLists.txt"]
    files["second/CMakeLists.txt"] = before.replace(b'MCUKIT_RUNTIME_HASH "', b'MCUKIT_RUNTIME_HASH "0')
    assert files["second/CMakeLists.txt"] != before
    project = written(files, tmp_path / "project")
    (project / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.13)\nproject(both C)\nadd_subdirectory(first)\nadd_subdirectory(second)\n"
    )
    with pytest.raises(AssertionError, match="exported by different versions"):
        build_with_cmake(project, tmp_path / "build")


def test_the_build_type_decides_alone_if_it_should(tmp_path: Path) -> None:
    folder = written(cmake_files(package_model()), tmp_path / "mcukit_net")
    options = ("-DMCUKIT_OPTIMIZATION=", "-DCMAKE_BUILD_TYPE=MinSizeRel", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON")
    build_with_cmake(folder, tmp_path / "build", *options, targets=["help"])
    commands = (tmp_path / "build/compile_commands.json").read_text()
    assert "-Os" in commands
    assert "-O2" not in commands


HOOKS = """
#include "mcukit_net.h"

static uint16_t layers;

#ifdef __cplusplus
extern "C" {
#endif
void mk_layer_begin(uint16_t layer)
{
    layers = layer;
}

void mk_layer_end(uint16_t layer, const mk_map *output, uint16_t first_row, uint16_t last_row)
{
    layers = (uint16_t)(layer + output->height + first_row + last_row);
}
#ifdef __cplusplus
}
#endif

int main(void)
{
    net_init();
    net_invoke();
    return layers == 0;
}
"""


@pytest.mark.parametrize(("compiler", "file"), [("cc", "main.c"), ("g++", "main.cpp")])
def test_applications_in_c_and_in_cpp_can_hook_into_layers(compiler: str, file: str, tmp_path: Path) -> None:
    folder = written(cmake_files(package_model()), tmp_path / "mcukit_net")
    hooks = tmp_path / file
    hooks.write_text(HOOKS)
    source = folder / "src"
    objects = compile_objects(sorted(source.glob("*.c")), TARGETS["host"], includes=[source], defines=["MK_PROFILE"])
    language = "-std=c99" if file.endswith(".c") else "-std=c++11"
    flags = [language, "-Wall", "-Wextra", "-Werror", "-pedantic", "-DMK_PROFILE", f"-I{folder / 'include'}"]
    program = tmp_path / "program"
    subprocess.run([find_tool(compiler), *flags, hooks, *objects, "-o", program], check=True)
    assert subprocess.run([program], check=False).returncode == 0

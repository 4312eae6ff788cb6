# SPDX-License-Identifier: Apache-2.0
"""Builds a project for an emulated board, puts the image where the board looks for it, and runs it.

An emulated board keeps its program in .emulated/BOARD.elf in the project, as a real one keeps it in its flash.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from SCons.Script import COMMAND_LINE_TARGETS, AlwaysBuild, Default, DefaultEnvironment

START_SECONDS = 60
GREETING_ENDS = "m-init-done"

env = DefaultEnvironment()
platform = env.PioPlatform()
board = env.BoardConfig()
project = Path(env.subst("$PROJECT_DIR"))


def fail(*messages: str) -> None:
    """Ends the build."""
    sys.stderr.write("".join("Error: {}\n".format(message) for message in messages))
    env.Exit(1)


def relative(path: Path) -> str:
    """The path from the project, where the compiler runs: what lies above may be called anything."""
    return os.path.relpath(str(path), str(project))


def upload(target: list[Any], source: list[Any], env: Any) -> None:
    """Keeps the image as the board's program, and watches it start."""
    kept = project / ".emulated" / "{}.elf".format(board.id)
    kept.parent.mkdir(exist_ok=True)
    # In one step, so that no one who powers the board on ever sees half of it.
    new = kept.with_suffix(".new")
    shutil.copyfile(source[0].get_abspath(), str(new))
    new.replace(kept)
    with platform.serial_lines(board, str(kept), START_SECONDS) as lines:
        for line in lines:
            sys.stdout.write(line + "\n")
            if line == GREETING_ENDS:
                return
    fail("the image is in {}, but the board does not greet".format(kept))


def emulate(target: list[Any], source: list[Any], env: Any) -> int:
    """Runs the program with its serial line on this terminal, until it is interrupted."""
    return env.Execute([platform.emulator_command(board, source[0].get_abspath())])


def let_the_test_run(target: list[Any], source: list[Any], env: Any) -> None:
    """Tests run from the build folder, and leave the board's program alone."""


missing = platform.missing_tools(board)
if missing:
    fail(*missing)

compiler = board.get("build.compiler")
prefix = compiler[: -len("gcc")]
flags = board.get("build.flags")
ports = Path(platform.get_dir()) / "ports"
port_folders = [ports / folder for folder in board.get("build.ports")]

env.Replace(
    AR=prefix + "ar",
    AS=prefix + "gcc",
    CC=compiler,
    CXX=prefix + "g++",
    RANLIB=prefix + "ranlib",
    SIZETOOL=prefix + "size",
    ARFLAGS=["rc"],
    PROGNAME="firmware",
    PROGSUFFIX=".elf",
    SIZECHECKCMD="$SIZETOOL -A -d $SOURCES",
    SIZEPROGREGEXP=r"^(?:\.text|\.rodata|\.mcukit_weights|\.ARM\.exidx|\.data)\s+(\d+).*",
    SIZEDATAREGEXP=r"^(?:\.data|\.bss|\.mcukit_arena|\.arena\w*|\.stack)\s+(\d+).*",
    UPLOAD_PROTOCOL="emulator",
)
env.Append(
    ASFLAGS=flags,
    CFLAGS=["-std=c99"],
    CCFLAGS=[*flags, "-ffunction-sections", "-fdata-sections", "-fno-common"],
    CXXFLAGS=["-fno-exceptions", "-fno-rtti"],
    CPPPATH=[str(folder) for folder in (ports, *port_folders)],
    LINKFLAGS=[*flags, "-nostartfiles", "-Wl,--gc-sections", "-L" + relative(ports / "common")],
    LIBS=["gcc"],
)
env.Replace(LDSCRIPT_PATH=relative(ports / board.get("build.ldscript")))
for folder in port_folders:
    env.BuildSources("$BUILD_DIR/port/" + folder.name, str(folder))

program = env.BuildProgram()
env.AddPlatformTarget(
    "emulate",
    program,
    env.VerboseAction(emulate, "Running $SOURCE"),
    "Emulate",
    "Run the program with its serial line on this terminal",
)
is_test = "__test" in COMMAND_LINE_TARGETS
AlwaysBuild(
    env.Alias(
        "upload",
        program,
        let_the_test_run if is_test else env.VerboseAction(upload, "Starting $SOURCE"),
    )
)
Default([program])

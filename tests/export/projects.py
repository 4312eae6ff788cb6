# SPDX-License-Identifier: Apache-2.0
"""A small network for projects and packages, folders of their files, and compilers for their boards."""

from __future__ import annotations

__all__ = ["RISCV", "compile_each", "compiler_for", "project_model", "written"]

import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from mcukit.boards import Board
from mcukit.emulation.targets import TARGETS, Target
from mcukit.emulation.toolchain import compile_objects
from mcukit.export.c_code import generate_c
from mcukit.export.known_answers import known_answers
from mcukit.export.names import file_stem
from mcukit.export.project_model import ProjectModel
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import Halo, Stage
from mcukit.planning.planner import plan_of
from mcukit.planning.region_budget import RegionBudget
from tests.bench.networks import network

STRICT = ("-O2", "-Wall", "-Wextra", "-Werror", "-pedantic", "-ffunction-sections", "-fdata-sections")
RISCV = ("riscv64-unknown-elf-gcc", "-mabi=ilp32", "--specs=picolibc.specs")


@cache
def project_model(name: str = "net", regions: tuple[tuple[str, int], ...] = ()) -> ProjectModel:
    """The network under any name, in one region or in as many bytes of several ones as are given."""
    model = network()
    model = replace(model, graph=replace(model.graph, name=name))
    flow = Dataflow(model)
    stage = Stage(tuple(layer.name for layer in flow.layers), 1, 1, Halo.RECOMPUTED)
    budgets = tuple(RegionBudget(region, size) for region, size in regions)
    plan = plan_of(flow, (stage,), regions=budgets) if budgets else plan_of(flow, (stage,))
    files = {file: text.encode() for file, text in generate_c(model, plan).items()}
    answers = known_answers(model)
    return ProjectModel(file_stem(name), files, plan.arenas, model.weight_bytes, model.input.elements, answers)


def written(files: Mapping[str, bytes], folder: Path) -> Path:
    """The folder, with these files in it."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def compiler_for(board: Board) -> tuple[str, ...]:
    """The system's C compiler for a board's core; skips the test where there is none.

    Nothing here knows Xtensa cores: their C is compiled for a RISC-V one, which is as far from this computer's.
    """
    if board.core.startswith("cortex"):
        flags = TARGETS[board.core].machine_flags if board.core in TARGETS else (f"-mcpu={board.core}", "-mthumb")
        command = ("arm-none-eabi-gcc", *flags)
    else:
        core = "rv32imac" if board.core == "rv32imac" else "rv32imc"
        command = (*RISCV, f"-march={core}_zicsr")
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    return command


def compile_each(command: Iterable[str], sources: Iterable[Path], folder: Path) -> list[Path]:
    """Objects of C and C++ files, under strict warnings. C that tests have in common is compiled once."""
    driver, *flags = command
    files = list(sources)
    machine = Target(driver, driver, tuple(flag for flag in flags if not flag.startswith(("-I", "-D"))), ())
    objects = list(
        compile_objects(
            [file for file in files if file.suffix == ".c"],
            machine,
            includes=[Path(flag.removeprefix("-I")) for flag in flags if flag.startswith("-I")],
            defines=[flag.removeprefix("-D") for flag in flags if flag.startswith("-D")],
        )
    )
    for number, file in enumerate(file for file in files if file.suffix != ".c"):
        language = ("-std=c++11", "-fno-exceptions", "-fno-rtti")
        compiled = folder / f"{number}_{file.stem}.o"
        command = [driver.replace("gcc", "g++"), *flags, *language, *STRICT, "-c", str(file), "-o", str(compiled)]
        subprocess.run(command, check=True)
        objects.append(compiled)
    return objects

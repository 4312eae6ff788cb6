# SPDX-License-Identifier: Apache-2.0
"""A small network as a package model, under any name and plan, and what its example must expect."""

from __future__ import annotations

__all__ = ["STUBS", "build_with_cmake", "package_model", "tflm_sources"]

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from mcukit.emulation.reference import run_reference
from mcukit.emulation.toolchain import find_tool
from mcukit.export.c_code import generate_c
from mcukit.export.known_input import KnownInput, checksum_of, known_bytes
from mcukit.export.names import file_stem
from mcukit.export.package_model import Output, PackageModel
from mcukit.export.tflite import build_tflite
from mcukit.export.tflm_files import tflm_files
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import Stage
from mcukit.planning.planner import plan_of
from mcukit.tflite.writer import write_tflite
from tests.bench.networks import PLANS, network

STUBS = Path(__file__).parent.parent / "firmware" / "stubs"


@cache
def package_model(name: str = "net", plan: str = "layers") -> PackageModel:
    """The network of tests/bench under any name, and under one of PLANS."""
    model = replace(network(), graph=replace(network().graph, name=name))
    flow = Dataflow(model)
    halo, tiles, pushed = PLANS[plan]
    stage = Stage(tuple(layer.name for layer in flow.layers), tiles, tiles, halo)
    planned = plan_of(flow, (stage,), pushed=pushed)
    fed = np.frombuffer(known_bytes(model.input.elements), np.int8).reshape(1, -1)
    outputs = run_reference(model, fed).outputs
    return PackageModel(
        name=file_stem(name),
        c_files={file: text.encode() for file, text in generate_c(model, planned).items()},
        input_bytes=model.input.elements,
        input_scale="0.0625f",
        input_zero_point=0,
        formula="(x * 1 - 0) / 1",
        outputs=(Output("", model.outputs[0].elements, "1.0f", 0),),
        arena_bytes=planned.arena_bytes,
        weight_bytes=model.weight_bytes,
        pushed=pushed,
        calibrated=True,
        sections=(),
        known=KnownInput(checksum_of(output.tobytes() for output in outputs)),
    )


def tflm_sources(name: str = "net") -> dict[str, bytes]:
    """What a build holds for TensorFlow Lite Micro."""
    model = build_tflite(network().graph)
    files = tflm_files(file_stem(name), model, write_tflite(model), 4096)
    return {file: text.encode() for file, text in files.items()}


def build_with_cmake(source: Path, build: Path, *options: str, targets: Sequence[str] = ()) -> str:
    """Configures and builds a project; what CMake said."""
    cmake = str(find_tool("cmake"))
    configure = [cmake, "-S", source, "-B", build, "-Wdev", "-Werror=dev", *options]
    commands = [configure, [cmake, "--build", build, "-j2", *(["--target", *targets] if targets else [])]]
    said = ""
    for command in commands:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, stdin=subprocess.DEVNULL
        )
        said += done.stdout
        assert done.returncode == 0, said
    return said

# SPDX-License-Identifier: Apache-2.0
"""What the generated code costs on an emulated core, measured before the build is written."""

from __future__ import annotations

__all__ = ["Measurement", "measure"]

import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcukit.emulation.build import CSources
from mcukit.emulation.cycles import CycleModel
from mcukit.emulation.runner import run_on_target
from mcukit.emulation.targets import target_named
from mcukit.emulation.toolchain import find_tool
from mcukit.quantized.integer import IntegerModel


@dataclass(frozen=True)
class Measurement:
    """compiler: the first line of its --version. layers: instructions by node name, from a run with hooks.

    instructions, stack_bytes, cycles: of the code as it ships, for one inference on an input of zero points.
    """

    target: str
    compiler: str
    instructions: int
    stack_bytes: int
    code_bytes: int
    weight_bytes: int
    static_ram_bytes: int
    layers: Mapping[str, int]
    cycles: Mapping[str, int] | None = None


def measure(
    model: IntegerModel, name: str, c_files: Mapping[str, str], target: str, cycles: CycleModel | None = None
) -> Measurement:
    """Compiles `c_files` (content by name) for an emulated target and runs one inference, plain and with hooks.

    name: the C identifier that the model's files and functions begin with. cycles: estimate those too.

    Raises McukitError "missing-tool" where compiler or emulator are not installed.
    """
    computed = model.steps
    quantization = model.input.quantization
    if quantization is None:
        raise ValueError("the input is not quantized")
    inputs = np.full((1, model.input.elements), quantization.zero_point, np.int8)
    with tempfile.TemporaryDirectory(prefix="mcukit-measure-") as scratch:
        folder = Path(scratch)
        for file, text in c_files.items():
            (folder / file).write_text(text)
        sources = CSources(name, folder, len(computed), model.input.elements, model.outputs[0].elements)
        plain = run_on_target(sources, target, inputs, cycles=cycles)
        profiled = run_on_target(sources, target, inputs, profile=True)
    counts = [sum(classes.values()) for classes in profiled.layer_instructions or ()]
    return Measurement(
        target,
        _version(target_named(target).compiler),
        _known(plain.instructions),
        _known(plain.stack_bytes),
        _known(plain.code_bytes),
        _known(plain.weight_bytes),
        _known(plain.static_ram_bytes),
        {layer.name: count for layer, count in zip(computed, counts, strict=True)},
        plain.cycles,
    )


def _known(value: int | None) -> int:
    if value is None:
        raise ValueError("only emulated targets measure all of this")
    return value


def _version(compiler: str) -> str:
    """What the compiler calls itself: counts belong to it."""
    output = subprocess.run(
        [str(find_tool(compiler)), "--version"], capture_output=True, text=True, check=False, timeout=30
    )
    return output.stdout.partition("\n")[0].strip()

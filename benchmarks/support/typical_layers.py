# SPDX-License-Identifier: Apache-2.0
"""results/kernels.md: what typical layers take on each instruction set, and of which kinds of instructions."""

from __future__ import annotations

__all__ = ["MULTIPLY_BOUNDS", "SETS", "render_section", "render_typical_layers"]

from benchmarks.support.kernel_counts import Sample, count_shapes
from benchmarks.support.markdown import ABSENT, table
from benchmarks.support.measure import versions
from benchmarks.support.typical_shapes import TYPICAL_SHAPES
from mcukit.emulation.counting import INSTRUCTION_CLASSES
from mcukit.quantized.kernel_sets import KernelSet

MULTIPLY_BOUNDS = {KernelSet.PORTABLE: 1.0, KernelSet.DSP: 1 / 2, KernelSet.MVE: 1 / 16}
"""Instructions per multiply-accumulate of 8 bits, if there were nothing but multiplications: one product each, two by
SMLAD, sixteen by VMLADAVA.S8."""

SETS = (
    (KernelSet.DSP, "cortex-m4"),
    (KernelSet.PORTABLE, "cortex-m4"),
    (KernelSet.MVE, "cortex-m55"),
    (KernelSet.PORTABLE, "riscv32"),
)
"""Sets of kernels, each with a core that it is made for."""


def render_typical_layers() -> str:
    """The whole page. Raises what run_on_target raises."""
    sections = "\n\n".join(render_section(kernels, target) for kernels, target in SETS)
    return f"""# Kernels on typical layers

Instructions for each multiply-accumulate (layers without weights: for each value that they compute), counted in the
emulator by `python benchmarks/kernels.py`, whole layers with their calls. Beside it what they are, and the bound: what
the multiplications alone would take, with the most products that one instruction of the set computes. multiply includes
multiply-accumulate; an instruction that moves several registers counts once.

{sections}
"""


def render_section(kernels: KernelSet, target: str) -> str:
    """What one set of kernels takes on one core."""
    samples = count_shapes(tuple(TYPICAL_SHAPES.values()), kernels, target)
    rows = [_row(name, sample, kernels) for name, sample in zip(TYPICAL_SHAPES, samples, strict=True)]
    version = versions(target)
    heads = ("layer", "kernel", "instructions", "each", "bound", *INSTRUCTION_CLASSES)
    return (
        f"## {kernels} kernels on {target}\n\nMade with {version['compiler']} and {version['emulator']}.\n\n"
        f"{table(heads, rows, texts=2)}"
    )


def _row(name: str, sample: Sample, kernels: KernelSet) -> tuple[str, ...]:
    has_weights = sample.shaped.operator.has_weights
    bound = f"{MULTIPLY_BOUNDS[kernels]:.2f}" if has_weights else ABSENT
    classes = [f"{sample.classes[name] / sample.work:.2f}" for name in INSTRUCTION_CLASSES]
    each = f"{sample.instructions / sample.work:.2f}"
    return (name, sample.function, f"{sample.instructions:,}", each, bound, *classes)

# SPDX-License-Identifier: Apache-2.0
"""Accuracy of an integer network against its float network, paired on the same images."""

from __future__ import annotations

__all__ = ["Paired", "compare_paired", "outputs_of"]

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mcukit.emulation.build import CSources
from mcukit.emulation.runner import run_on_target
from mcukit.export.c_code import generate_c
from mcukit.export.names import file_stem
from mcukit.planning.plan import Plan
from mcukit.quantized.integer import IntegerModel

FloatArray = npt.NDArray[np.float32]

_NORMAL_95 = 1.96
_SMALLEST = 1 / 512
"""Half a step of a softmax of 8 bits: what its 0 may stand for."""


@dataclass(frozen=True)
class Paired:
    """Percentages. difference: top-1 minus float's, interval: half of its 95 % interval over images.

    agreement: how often both name the same class. divergence: KL of the class probabilities from float's, in nats, the
    mean over images.
    """

    images: int
    top1: float
    float_top1: float
    difference: float
    interval: float
    agreement: float
    divergence: float


def outputs_of(model: IntegerModel, plan: Plan, inputs: npt.NDArray[np.int8], *, jobs: int = 2) -> FloatArray:
    """The network's outputs in real units, (N, classes), as the generated C computes them on this computer."""
    target = model.outputs[0].quantization
    if target is None:
        raise ValueError("the output is not quantized")
    with tempfile.TemporaryDirectory(prefix="mcukit-benchmark-") as scratch:
        folder = Path(scratch)
        for file, text in generate_c(model, plan).items():
            (folder / file).write_text(text)
        sizes = model.input.elements, model.outputs[0].elements
        sources = CSources(file_stem(model.name), folder, len(model.steps), *sizes)
        run = run_on_target(sources, "host", inputs.reshape(len(inputs), -1), jobs=jobs)
    return target.dequantize(run.outputs)


def compare_paired(found: FloatArray, expected: FloatArray, labels: npt.NDArray[np.int64], *, logits: bool) -> Paired:
    """found, expected: outputs (N, classes) of the integer and the float network. logits: if no softmax is last."""
    ours, theirs = found.argmax(axis=1) == labels, expected.argmax(axis=1) == labels
    differences = ours.astype(np.float64) - theirs
    spread = float(differences.std(ddof=1)) / len(labels) ** 0.5
    p, q = (_probabilities(values, logits=logits) for values in (expected, found))
    divergence = float((p * (np.log(p) - np.log(q))).sum(axis=1).mean())
    return Paired(
        len(labels),
        100.0 * float(ours.mean()),
        100.0 * float(theirs.mean()),
        100.0 * float(differences.mean()),
        100.0 * _NORMAL_95 * spread,
        100.0 * float((found.argmax(axis=1) == expected.argmax(axis=1)).mean()),
        divergence,
    )


def _probabilities(values: FloatArray, *, logits: bool) -> npt.NDArray[np.float64]:
    real = values.astype(np.float64)
    positive = np.exp(real - real.max(axis=1, keepdims=True)) if logits else np.maximum(real, _SMALLEST)
    probabilities: npt.NDArray[np.float64] = positive / positive.sum(axis=1, keepdims=True)
    return np.maximum(probabilities, 1e-12)

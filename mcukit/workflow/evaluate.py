# SPDX-License-Identifier: Apache-2.0
"""Accuracy of a build on labelled data, beside the float network's on the same data."""

from __future__ import annotations

__all__ = ["Evaluation", "evaluate"]

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcukit.calibration.data import Dataset
from mcukit.calibration.float_model import FloatModel
from mcukit.errors import McukitError
from mcukit.quantities import counted
from mcukit.report.metrics import ErrorMetrics, compare
from mcukit.workflow.build import Build
from mcukit.workflow.execute import check_executor, execute
from mcukit.workflow.progress import Progress, no_progress

CHUNK = 16
"""Images per step: bounds the memory of preprocessed inputs."""


@dataclass(frozen=True)
class Evaluation:
    """Percentages from 0 to 100. top5 is None for fewer than six classes.

    float_top1, float_top5, agreement and error are None where the build came from an int8 model. agreement: how often
    integer and float network name the same class. error: of the outputs against float.
    """

    n: int
    target: str
    top1: float
    top5: float | None
    float_top1: float | None
    float_top5: float | None
    agreement: float | None
    error: ErrorMetrics | None


def evaluate(
    build: Build, dataset: Dataset, on: str = "host", *, jobs: int = 2, progress: Progress | None = None
) -> Evaluation:
    """Runs all of `dataset` (raw values and labels) on an executor."""
    if dataset.labels is None:
        raise McukitError(
            "missing-labels", "the data have no labels", hint="give an .npz with x and y, or --labels CSV with --images"
        )
    check_executor(on)
    report = progress or no_progress
    labels = np.asarray(dataset.labels)
    if not len(labels) or len(labels) != len(dataset.values):
        raise McukitError(
            "wrong-labels",
            f"{counted(len(labels), 'label')} given for {counted(len(dataset.values), 'image')}",
            hint="give at least one image, and one label for each",
        )
    scores, real = _scores(build, dataset, on, jobs, report)
    top1, top5 = _accuracy(scores, labels)
    if real is None:
        return Evaluation(len(labels), on, top1, top5, None, None, None, None)
    float_top1, float_top5 = _accuracy(real, labels)
    agreement = 100.0 * float(np.mean(scores.argmax(axis=1) == real.argmax(axis=1)))
    return Evaluation(len(labels), on, top1, top5, float_top1, float_top5, agreement, compare(real, scores))


def _scores(
    build: Build, dataset: Dataset, on: str, jobs: int, report: Progress
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
    """Real-valued outputs (N, classes) of the executor and of the float network."""
    graph = build.float_graph()
    float_model = None if graph is None else FloatModel(graph)
    source, target = build.model.input.quantization, build.model.outputs[0].quantization
    if source is None or target is None:
        raise ValueError("input and output of a build are quantized")
    count = len(dataset.values)
    quantized = np.empty((count, build.model.input.elements), np.int8)
    real = []
    for start in range(0, count, CHUNK):
        values = dataset.values[start : start + CHUNK]
        inputs = build.real_inputs(values)
        quantized[start : start + len(values)] = source.quantize(inputs).reshape(len(values), -1)
        if float_model is not None:
            real_outputs = float_model.outputs(inputs)[0]
            real.append(real_outputs.reshape(len(values), -1))
        report("float", start + len(values), count)
    report(on, 0, count)
    outputs = execute(build, on, quantized, jobs=jobs).outputs
    if outputs is None:
        raise McukitError(
            "unsuitable-target", f"'{on}' is not bound to compute this network's outputs", where="--on", exit_code=2
        )
    report(on, count, count)
    return target.dequantize(outputs), np.concatenate(real) if real else None


def _accuracy(scores: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> tuple[float, float | None]:
    """top-1 and top-5 in percent; the first of equal scores counts, as argmax has it."""
    if scores.shape[1] == 1:
        raise McukitError(
            "unsuitable-network",
            "the first output has one value for each image, which names no class",
            hint="hold the build's outputs against your own measure: mcukit.emulate gives them for any inputs",
        )
    if labels.min() < 0 or labels.max() >= scores.shape[1]:
        raise McukitError(
            "wrong-labels",
            f"labels go from {labels.min()} to {labels.max()}, the network has {scores.shape[1]} classes",
            hint="labels count from 0",
        )
    ranked = np.argsort(-scores, axis=1, kind="stable")
    top1 = 100.0 * float(np.mean(ranked[:, 0] == labels))
    top5 = 100.0 * float(np.mean((ranked[:, :5] == labels[:, None]).any(axis=1))) if scores.shape[1] > 5 else None
    return top1, top5

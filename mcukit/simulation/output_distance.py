# SPDX-License-Identifier: Apache-2.0
"""How far outputs are from those of the float network, as one number."""

from __future__ import annotations

__all__ = ["OutputDistance", "default_distance", "normalized_error", "softmax_divergence"]

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from mcukit.graph.graph import Graph
from mcukit.simulation.output_error import before_softmax

FloatArray = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]

OutputDistance = Callable[[Sequence[FloatArray], Sequence[FloatArray]], float]
"""From the float network's outputs and others, each (images, ...), in front of a softmax: 0.0 where they are equal."""


def softmax_divergence(expected: Sequence[FloatArray], found: Sequence[FloatArray]) -> float:
    """Kullback-Leibler divergence, in nats, of the classes' probabilities; the mean over images and outputs."""
    divergences = []
    for real, other in zip(expected, found, strict=True):
        wanted, given = _log_softmax(real), _log_softmax(other)
        divergences.append(float((np.exp(wanted) * (wanted - given)).sum(axis=-1).mean()))
    return max(float(np.mean(divergences)), 0.0)


def normalized_error(expected: Sequence[FloatArray], found: Sequence[FloatArray]) -> float:
    """Mean squared error relative to the outputs' variance; the mean over outputs."""
    errors = []
    for real, other in zip(expected, found, strict=True):
        values = real.astype(np.float64)
        variance = float(values.var()) or 1.0
        errors.append(float(np.square(other - values).mean()) / variance)
    return float(np.mean(errors))


def default_distance(graph: Graph) -> OutputDistance:
    """The divergence where every output is a softmax, else the error: other outputs need not be classes."""
    ends = [before_softmax(graph, name) != name for name in graph.outputs]
    return softmax_divergence if all(ends) else normalized_error


def _log_softmax(values: FloatArray) -> Float64Array:
    shifted = values.astype(np.float64) - values.max(axis=-1, keepdims=True)
    result: Float64Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result

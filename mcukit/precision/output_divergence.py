# SPDX-License-Identifier: Apache-2.0
"""How far outputs are from those of the float network, image by image."""

from __future__ import annotations

__all__ = ["divergence_per_image"]

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mcukit.graph.graph import Graph
from mcukit.precision.output_error import before_softmax

Float64Array = npt.NDArray[np.float64]
FloatArray = npt.NDArray[np.float32]


def divergence_per_image(graph: Graph, real: Sequence[FloatArray], found: Sequence[FloatArray]) -> Float64Array:
    """(N,), the mean over all outputs.

    real, found: what Simulation.run gives for the float network and for another. Of an output in front of a softmax it
    is the Kullback-Leibler divergence in nats, of any other the mean squared error relative to the output's variance.
    """
    softened = {before_softmax(graph, name) for name in graph.outputs} - set(graph.outputs)
    names = dict.fromkeys(before_softmax(graph, name) for name in graph.outputs)
    parts = [
        (_kullback_leibler if name in softened else _relative_error)(expected.astype(np.float64), other)
        for name, expected, other in zip(names, real, found, strict=True)
    ]
    mean: Float64Array = np.mean(parts, axis=0)
    return mean


def _kullback_leibler(real: Float64Array, found: FloatArray) -> Float64Array:
    """The mean over all pixels."""
    expected, other = _log_softmax(real), _log_softmax(found.astype(np.float64))
    divergence: Float64Array = (np.exp(expected) * (expected - other)).sum(axis=-1)
    mean: Float64Array = divergence.reshape(len(real), -1).mean(axis=1)
    return mean


def _log_softmax(values: Float64Array) -> Float64Array:
    shifted = values - values.max(axis=-1, keepdims=True)
    logarithms: Float64Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return logarithms


def _relative_error(real: Float64Array, found: FloatArray) -> Float64Array:
    variance = float(real.reshape(len(real), -1).var(axis=1).mean())
    error: Float64Array = np.square(found - real).reshape(len(real), -1).mean(axis=1)
    return error / (variance or 1.0)

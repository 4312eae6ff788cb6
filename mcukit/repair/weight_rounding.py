# SPDX-License-Identifier: Apache-2.0
"""Weights of few bits, rounded so that a layer's output changes least rather than each weight.

After Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers" (2022). Inputs
of a layer vary together, so that the error of one weight can be made up for by those that are rounded after it: what
counts is e' C e for an output channel's errors e and the covariance C of its inputs. The mean of the inputs has no part
in it, because the bias takes back what it causes.

Added to that: every channel's scale is chosen among several, and weights and scale are improved in turns afterwards.
"""

from __future__ import annotations

__all__ = ["round_weights"]

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mcukit.calibration.float_model import FloatModel
from mcukit.graph.graph import Graph, Node, Quantization, Tensor
from mcukit.ops.filters import BIAS_LIMIT
from mcukit.repair.filter_matrix import FilterMatrix
from mcukit.repair.input_moments import InputMoments, collect_input_moments

Float64Array = npt.NDArray[np.float64]

SCALES = tuple(np.linspace(0.3, 1.0, 11))
"""Scales that are tried for each channel, relative to the one at which its largest weight is not clipped."""

SWEEPS = 3
"""How often scales are fitted to the integers, and integers to the scales, after the best scale was chosen."""

SMALLEST_SHRINKAGE = 0.01

_NOISE = 1e-6
"""Of a squared mean: smaller variances are none, since sums of float32 lose so many digits."""

BLOCK = 32
"""Columns that are updated one by one; what they do to all others is one product of matrices."""


def round_weights(
    model: FloatModel,
    quantized: Graph,
    inputs: npt.NDArray[np.float32],
    progress: Callable[[int, int], None] | None = None,
) -> Graph:
    """`quantized` with other weights of fewer than 8 bits, other scales for them and biases to match.

    quantized: what quantize_graph made of `model.graph`. inputs: calibration images (N, height, width, channels).
    Layers that multiply more than MOST_INPUTS values for one output stay as they are. progress: called with (images
    done, images in all).
    """
    narrow = {node.name: node for node in quantized.nodes if _bits(quantized, node) < 8}
    originals = {node.name: node for node in model.graph.nodes}
    tensors = dict(quantized.tensors)
    for name, moments in collect_input_moments(model, inputs, narrow, progress):
        weights, bias = _rounded(model.graph, originals[name], quantized, narrow[name], moments)
        tensors[weights.name], tensors[bias.name] = weights, bias
    return quantized.replace(tensors=tensors)


def _bits(graph: Graph, node: Node) -> int:
    return _quantization(graph.tensors[node.inputs[1]]).bits if node.operator.has_weights else 8


def _quantization(tensor: Tensor) -> Quantization:
    if tensor.quantization is None:
        raise ValueError(f"'{tensor.name}' is not quantized")
    return tensor.quantization


def _rounded(
    graph: Graph, original: Node, quantized: Graph, node: Node, moments: InputMoments
) -> tuple[Tensor, Tensor]:
    """Weights and bias of one layer."""
    matrix = FilterMatrix.of(graph, original)
    if matrix is None:
        raise ValueError(f"'{node.name}' has no weights")
    source, old_weights, old_bias = (quantized.tensors[name] for name in node.inputs)
    input_scale = _quantization(source).tensor_scale
    real = matrix.matrices(np.asarray(graph.tensors[original.inputs[1]].data))
    biases = np.asarray(graph.tensors[original.inputs[2]].data, np.float64)
    # A channel with tiny weights beside its bias keeps a scale at which the bias fits.
    smallest = np.abs(biases).reshape(matrix.groups, matrix.outputs) / (input_scale * BIAS_LIMIT)
    limit = _quantization(old_weights).maximum
    integers, scale = _solve(real, _shrunken(moments), limit, smallest)
    rounded = integers * scale[:, np.newaxis, :]
    shift = np.einsum("gio,gi->go", real - rounded, moments.mean).reshape(-1)
    bias_scale = np.float32(input_scale) * scale.reshape(-1).astype(np.float32)
    bias_integers = np.clip(np.rint((biases + shift) / bias_scale.astype(np.float64)), -BIAS_LIMIT, BIAS_LIMIT)
    old = _quantization(old_weights)
    return (
        replace(
            old_weights,
            data=matrix.weights(integers).astype(np.int8),
            quantization=replace(old, scale=scale.reshape(-1).astype(np.float32)),
        ),
        replace(
            old_bias,
            data=bias_integers.astype(np.int32),
            quantization=replace(_quantization(old_bias), scale=bias_scale),
        ),
    )


def _shrunken(moments: InputMoments) -> Float64Array:
    """The covariance, nearer to its diagonal the fewer samples it is made of, and regular."""
    inputs = moments.covariance.shape[1]
    share = max(SMALLEST_SHRINKAGE, inputs / (inputs + moments.samples))
    # What never varies has a variance of rounding errors, of either sign.
    diagonal = np.einsum("gii->gi", moments.covariance)
    varies = diagonal > _NOISE * np.square(moments.mean)
    diagonal = np.where(varies, diagonal, 0.0)
    together = varies[:, :, np.newaxis] & varies[:, np.newaxis, :]
    shrunken: Float64Array = np.where(together, (1.0 - share) * moments.covariance, 0.0)
    # An input that never changes is given a little, so that the inverse exists.
    floor = SMALLEST_SHRINKAGE * diagonal.mean(axis=1, keepdims=True) + np.finfo(np.float32).tiny
    places = np.arange(inputs)
    shrunken[:, places, places] = diagonal + floor
    return shrunken


def _solve(
    weights: Float64Array, covariance: Float64Array, limit: int, smallest: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """Integers (groups, inputs, outputs) and scales (groups, outputs), exact in float32.

    smallest: below which scales must not be.
    """
    # Inputs that vary most come first, while the errors that they cause can still be made up for.
    order = np.argsort(-np.einsum("gii->gi", covariance), axis=1, kind="stable")
    ordered = np.take_along_axis(weights, order[:, :, np.newaxis], axis=1)
    varying = np.take_along_axis(covariance, order[:, :, np.newaxis], axis=1)
    varying = np.take_along_axis(varying, order[:, np.newaxis, :], axis=2)
    feedback = _feedback(varying)
    widest = np.abs(weights).max(axis=1) / limit
    scale = _exact(widest, smallest)
    integers = _round_with_feedback(ordered, feedback, scale, limit)
    error = _errors(ordered, varying, integers, scale)
    for factor in SCALES[:-1]:
        other = _exact(widest * factor, smallest)
        candidate = _round_with_feedback(ordered, feedback, other, limit)
        candidate_error = _errors(ordered, varying, candidate, other)
        better = candidate_error < error
        scale, error = np.where(better, other, scale), np.where(better, candidate_error, error)
        integers = np.where(better[:, np.newaxis, :], candidate, integers)
    for _ in range(SWEEPS):
        scale = _exact(_fitted_scale(ordered, varying, integers, scale), smallest)
        integers = _descend(ordered, varying, integers, scale, limit)
    restored = np.empty_like(integers)
    np.put_along_axis(restored, order[:, :, np.newaxis], integers, axis=1)
    return restored, scale


def _feedback(covariance: Float64Array) -> Float64Array:
    """Cholesky factor of the inverse: row k says how the error of weight k is shared out among the later ones.

    By way of correlations, which can be inverted however unlike the sizes of the inputs are.
    """
    deviation = np.sqrt(np.einsum("gii->gi", covariance))
    correlation = covariance / (deviation[:, :, np.newaxis] * deviation[:, np.newaxis, :])
    factor: Float64Array = np.linalg.cholesky(np.linalg.inv(correlation)) / deviation[:, :, np.newaxis]
    return factor.transpose(0, 2, 1)


def _exact(scale: Float64Array, smallest: Float64Array) -> Float64Array:
    """Scales as float32 can hold them; 1 where all weights are zero."""
    chosen = np.maximum(scale, smallest)
    return np.where(chosen > np.finfo(np.float32).tiny, chosen, 1.0).astype(np.float32).astype(np.float64)


def _errors(
    weights: Float64Array, covariance: Float64Array, integers: Float64Array, scale: Float64Array
) -> Float64Array:
    """Variance of the error of each output, (groups, outputs)."""
    difference = integers * scale[:, np.newaxis, :] - weights
    errors: Float64Array = (difference * (covariance @ difference)).sum(axis=1)
    return errors


def _round_with_feedback(
    weights: Float64Array, feedback: Float64Array, scale: Float64Array, limit: int
) -> Float64Array:
    """Integers (groups, inputs, outputs), rounded one input after the other."""
    remaining, integers = weights.copy(), np.empty_like(weights)
    inputs = weights.shape[1]
    for start in range(0, inputs, BLOCK):
        stop = min(start + BLOCK, inputs)
        errors = np.empty((weights.shape[0], stop - start, weights.shape[2]))
        for k in range(start, stop):
            row = np.clip(np.rint(remaining[:, k] / scale), -limit, limit)
            integers[:, k] = row
            error = (remaining[:, k] - row * scale) / feedback[:, k, k, np.newaxis]
            errors[:, k - start] = error
            remaining[:, k + 1 : stop] -= feedback[:, k, k + 1 : stop, np.newaxis] * error[:, np.newaxis]
        remaining[:, stop:] -= feedback[:, start:stop, stop:].transpose(0, 2, 1) @ errors
    return integers


def _fitted_scale(
    weights: Float64Array, covariance: Float64Array, integers: Float64Array, scale: Float64Array
) -> Float64Array:
    """The scales at which these integers are nearest to the weights."""
    response = covariance @ integers
    size = (integers * response).sum(axis=1)
    match = (weights * response).sum(axis=1)
    possible = (size > 0.0) & (match > 0.0)
    return np.where(possible, match / np.where(possible, size, 1.0), scale)


def _descend(
    weights: Float64Array, covariance: Float64Array, integers: Float64Array, scale: Float64Array, limit: int
) -> Float64Array:
    """Each integer in turn moves to where the error is least while all others stay."""
    integers = integers.copy()
    difference = integers * scale[:, np.newaxis, :] - weights
    inputs = weights.shape[1]
    for start in range(0, inputs, BLOCK):
        stop = min(start + BLOCK, inputs)
        slope = covariance[:, start:stop] @ difference
        for k in range(start, stop):
            step = slope[:, k - start] / (covariance[:, k, k, np.newaxis] * scale)
            moved = np.clip(np.rint(integers[:, k] - step), -limit, limit)
            change = (moved - integers[:, k]) * scale
            integers[:, k] = moved
            difference[:, k] += change
            slope[:, k + 1 - start :] += covariance[:, k + 1 : stop, k, np.newaxis] * change[:, np.newaxis]
    return integers

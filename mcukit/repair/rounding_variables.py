# SPDX-License-Identifier: Apache-2.0
"""What of a layer can be learned: which way weights are rounded, the steps of its channels, its biases.

After Nagel et al., "Up or Down? Adaptive Rounding for Post-Training Quantization" (2020): a weight lies between two
neighbouring integers, and a rectified sigmoid of a variable says where; a penalty drives it to one of them. Here the
two are the integer that the weight has and its neighbour towards the weight as it was trained.
"""

from __future__ import annotations

__all__ = ["LayerVariables"]

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mcukit.graph.graph import Graph, Node, Tensor
from mcukit.ops.filters import BIAS_LIMIT

FloatArray = npt.NDArray[np.float32]

STRETCH = 1.2
"""The sigmoid reaches a tenth beyond both ends, and is cut there, so that 0 and 1 can be reached."""

NEAREST, FURTHEST = 0.01, 0.2
"""How far towards its neighbour a weight is at the beginning, as a share of the step."""


@dataclass(frozen=True, eq=False)
class LayerVariables:
    """Of one layer.

    step: of each channel, in the shape that broadcasts with weights; times exp(stretch). lower: the smaller integer
    of each weight. logits: where the weight lies above it; None for 8 bits, whose integers stay. bias: real values.
    """

    node: Node
    step: FloatArray
    lower: FloatArray
    logits: FloatArray | None
    stretch: FloatArray
    bias: FloatArray

    @classmethod
    def of(cls, graph: Graph, original: Tensor, node: Node) -> LayerVariables:
        """original: the weights of this layer as they were trained."""
        _, weights, bias = graph.node_inputs(node)
        if weights.quantization is None or bias.quantization is None:
            raise ValueError(f"'{node.name}' is not quantized")
        axis = weights.quantization.axis or 0
        integers = np.asarray(weights.data, np.float32)
        step = weights.quantization.scale.reshape([-1 if i == axis else 1 for i in range(integers.ndim)])
        real_bias = bias.quantization.dequantize(np.asarray(bias.data, np.int32))
        logits = None
        if weights.quantization.bits < 8:
            limit = weights.quantization.maximum
            distance = np.asarray(original.data, np.float32) / step - integers
            lower = np.clip(np.where(distance > 0.0, integers, integers - 1), -limit, limit - 1)
            start = integers + np.clip(distance, -FURTHEST, FURTHEST) - lower
            share = np.clip(start, NEAREST, 1.0 - NEAREST)
            logits = -np.log(STRETCH / (share + (STRETCH - 1.0) / 2) - 1.0).astype(np.float32)
            integers = lower.astype(np.float32)
        return cls(node, step, integers, logits, np.zeros_like(step), real_bias)

    def arrays(self) -> Iterator[FloatArray]:
        """All that is learned, in the order of `gradients`."""
        if self.logits is not None:
            yield self.logits
        yield self.stretch
        yield self.bias

    def integers(self) -> FloatArray:
        """Weights between two integers."""
        if self.logits is None:
            return self.lower
        beyond = np.float32((STRETCH - 1.0) / 2)
        between: FloatArray = self.lower + np.clip(self._sigmoid() * np.float32(STRETCH) - beyond, 0.0, 1.0)
        return between

    def weights(self) -> FloatArray:
        """What they stand for."""
        weights: FloatArray = self.integers() * self._steps()
        return weights

    def gradients(
        self, by_weights: FloatArray, by_bias: FloatArray, penalty: float, exponent: float
    ) -> Iterator[FloatArray]:
        """Of the loss and `penalty` x (1 - |2 share - 1| ^ exponent) for every weight, by the arrays."""
        steps, integers = self._steps(), self.integers()
        if self.logits is not None:
            share = integers - self.lower
            side = 2.0 * share - 1.0
            steepness = np.float32(-2.0 * exponent) * np.sign(side) * np.abs(side) ** np.float32(exponent - 1.0)
            sigmoid = self._sigmoid()
            slope = np.float32(STRETCH) * sigmoid * (1.0 - sigmoid) * ((share > 0.0) & (share < 1.0))
            yield (by_weights * steps + np.float32(penalty) * steepness) * slope
        along = tuple(axis for axis, size in enumerate(self.step.shape) if size == 1)
        yield (by_weights * integers * steps).sum(axis=along, keepdims=True)
        yield by_bias

    def quantized(self, graph: Graph) -> tuple[Tensor, Tensor]:
        """Weights, each at the nearer integer, and the bias, for the scale that the layer's input has in `graph`."""
        source, weights, bias = graph.node_inputs(self.node)
        if source.quantization is None or weights.quantization is None or bias.quantization is None:
            raise ValueError(f"'{self.node.name}' is not quantized")
        integers = self.lower if self.logits is None else self.lower + (self.logits > 0.0)
        scale = self._steps().reshape(-1)
        bias_scale = np.float32(source.quantization.tensor_scale) * scale
        steps = np.clip(np.rint(self.bias / bias_scale.astype(np.float64)), -BIAS_LIMIT, BIAS_LIMIT)
        return (
            replace(weights, data=integers.astype(np.int8), quantization=replace(weights.quantization, scale=scale)),
            replace(bias, data=steps.astype(np.int32), quantization=replace(bias.quantization, scale=bias_scale)),
        )

    def _sigmoid(self) -> FloatArray:
        if self.logits is None:
            raise ValueError("weights of 8 bits stay as they are")
        sigmoid: FloatArray = np.reciprocal(1.0 + np.exp(-self.logits))
        return sigmoid

    def _steps(self) -> FloatArray:
        steps: FloatArray = self.step * np.exp(self.stretch)
        return steps

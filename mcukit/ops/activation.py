# SPDX-License-Identifier: Apache-2.0
"""Clamps that ride on another operator: ReLU, ReLU6 and their kin."""

from __future__ import annotations

__all__ = ["RELU", "RELU6", "RELU_N1_TO_1", "UNBOUNDED", "Clamp"]

import math
from dataclasses import dataclass

import numpy as np

from mcukit.graph.graph import Quantization


@dataclass(frozen=True)
class Clamp:
    """Limits on real values; infinite where there is none."""

    minimum: float = -math.inf
    maximum: float = math.inf

    @property
    def is_unbounded(self) -> bool:
        return math.isinf(self.minimum) and math.isinf(self.maximum)

    @property
    def is_tflite(self) -> bool:
        """Whether TFLite can fuse it into another operator; any other clamp is an operator of its own."""
        return self in (UNBOUNDED, RELU, RELU6, RELU_N1_TO_1)

    def intersect(self, other: Clamp) -> Clamp:
        """The clamp that applying this one and then `other` amounts to."""
        low = min(max(self.minimum, other.minimum), other.maximum)
        high = max(min(self.maximum, other.maximum), other.minimum)
        return Clamp(low, high)

    def integer_limits(self, quantization: Quantization) -> tuple[int, int]:
        """Limits on stored integers, as TFLite's CalculateActivationRangeQuantized has them.

        The quotient is taken in float32 and rounded half away from zero, as there.
        """

        def limit(real: float) -> int:
            quotient = float(np.float32(real) / np.float32(quantization.tensor_scale))
            return quantization.zero_point + int(math.copysign(math.floor(abs(quotient) + 0.5), quotient))

        low, high = quantization.minimum, quantization.maximum
        if not math.isinf(self.minimum):
            low = min(max(low, limit(self.minimum)), high)
        if not math.isinf(self.maximum):
            high = max(min(high, limit(self.maximum)), low)
        return low, high


UNBOUNDED = Clamp()
RELU = Clamp(0.0)
RELU6 = Clamp(0.0, 6.0)
RELU_N1_TO_1 = Clamp(-1.0, 1.0)

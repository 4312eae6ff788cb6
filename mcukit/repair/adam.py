# SPDX-License-Identifier: Apache-2.0
"""Kingma and Ba, "Adam: A Method for Stochastic Optimization" (2015)."""

from __future__ import annotations

__all__ = ["Adam"]

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]

MEMORY = (0.9, 0.999)
SMALLEST = 1e-8


class Adam:
    """arrays: changed in place by `step`. rates: of each of them."""

    def __init__(self, arrays: Sequence[FloatArray], rates: Sequence[float]) -> None:
        if len(arrays) != len(rates):
            raise ValueError(f"{len(arrays)} arrays have {len(rates)} rates")
        self._arrays, self._rates = arrays, rates
        self._means = [np.zeros_like(array) for array in arrays]
        self._squares = [np.zeros_like(array) for array in arrays]
        self._steps = 0

    def step(self, gradients: Sequence[FloatArray]) -> None:
        """gradients: of the loss by every array, in their order."""
        self._steps += 1
        first, second = (np.float32(1.0 - memory**self._steps) for memory in MEMORY)
        groups = zip(self._arrays, self._rates, self._means, self._squares, gradients, strict=True)
        for array, rate, mean, square, gradient in groups:
            np.add(mean, np.float32(1.0 - MEMORY[0]) * (gradient - mean), out=mean)
            np.add(square, np.float32(1.0 - MEMORY[1]) * (np.square(gradient) - square), out=square)
            change = np.float32(rate) / first * mean / (np.sqrt(square / second) + np.float32(SMALLEST))
            np.subtract(array, change, out=array)

# SPDX-License-Identifier: Apache-2.0
"""Fixed-point requantization exactly as TensorFlow Lite Micro's reference kernels compute it.

A real factor is an int32 multiplier in [2^30, 2^31) and a power of two. A value is multiplied with rounding half up to
the upper 31 bits, then divided by the power of two with rounding half away from zero: two roundings, on purpose.
"""

from __future__ import annotations

__all__ = ["quantize_multiplier", "requantize", "rounding_divide", "rounding_doubling_high_multiply"]

import math

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]


def quantize_multiplier(factor: float) -> tuple[int, int]:
    """(multiplier, shift) with factor ~= multiplier * 2^(shift - 31); TFLite's QuantizeMultiplier.

    factor: finite and not negative. Factors below 2^-32 become (0, 0).
    """
    if factor == 0.0:
        return 0, 0
    fraction, shift = math.frexp(factor)
    multiplier = math.floor(fraction * (1 << 31) + 0.5)
    if multiplier == 1 << 31:
        multiplier //= 2
        shift += 1
    if shift < -31:
        return 0, 0
    return multiplier, shift


def rounding_doubling_high_multiply(values: Int64Array, multiplier: int | Int64Array) -> Int64Array:
    """round(values * multiplier / 2^31), ties up; |values| and multiplier below 2^31."""
    product = values * multiplier
    product += 1 << 30
    product >>= 31
    return product


def rounding_divide(values: Int64Array, exponent: int | Int64Array) -> Int64Array:
    """round(values / 2^exponent), ties away from zero; exponent >= 0, may be an array that broadcasts."""
    half = np.left_shift(np.int64(1), exponent) >> 1
    rounded: Int64Array = values + half
    rounded -= (values < 0) & (half > 0)
    rounded >>= exponent
    return rounded


def requantize(values: npt.NDArray[np.integer], multiplier: int | Int64Array, shift: int | Int64Array) -> Int64Array:
    """values * multiplier * 2^(shift - 31) in int64: TFLite's MultiplyByQuantizedMultiplier.

    values: any shape, |values << max(shift, 0)| below 2^31, which the overflow proof guarantees.
    multiplier, shift: scalars or int64 arrays that broadcast against values (per channel: the last axis).
    """
    left = np.maximum(shift, 0)
    right = np.maximum(np.negative(shift), 0)
    widened = values.astype(np.int64)
    if np.any(left):
        widened <<= left
    return rounding_divide(rounding_doubling_high_multiply(widened, multiplier), right)

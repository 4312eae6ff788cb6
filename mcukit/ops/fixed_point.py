# SPDX-License-Identifier: Apache-2.0
"""exp, sigmoid, tanh and reciprocal in int32 fixed point, bit for bit as TensorFlow Lite Micro computes them.

A number with i integer bits is an int32 `raw` that stands for raw * 2^(i - 31). Arrays are int64, so that
nothing wraps; where the original saturates, so do these functions.
"""

from __future__ import annotations

__all__ = ["ONE", "exp_of_negative", "logistic", "one_over_one_plus", "tanh"]

import numpy as np
import numpy.typing as npt

from mcukit.quantized.arithmetic import rounding_divide, rounding_doubling_high_multiply

Raw = npt.NDArray[np.int64]

ONE = (1 << 31) - 1
"""1.0 without integer bits: the nearest int32."""

_EXP_MINUS_EIGHTH = 1895147668
_THIRD = 715827883
_48_OVER_17 = 1515870810
_MINUS_32_OVER_17 = -1010580540
_ONE_WITH_TWO_INTEGER_BITS = 1 << 29

_EXP_MINUS_POWERS = (
    (-2, 1672461947),
    (-1, 1302514674),
    (0, 790015084),
    (1, 290630308),
    (2, 39332535),
    (3, 720401),
    (4, 242),
)
"""(k, exp(-2^k) without integer bits)."""


def exp_of_negative(values: Raw, integer_bits: int) -> Raw:
    """exp of values <= 0 with `integer_bits` (at most 5) integer bits; the result has none."""
    fraction_bits = 31 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    fraction = (values & (quarter - 1)) - quarter
    result = _exp_above_minus_quarter(fraction << integer_bits)
    remainder = fraction - values
    for power, factor in _EXP_MINUS_POWERS:
        if integer_bits > power:
            bit_is_set = (remainder >> (fraction_bits + power)) & 1 != 0
            result = np.where(bit_is_set, rounding_doubling_high_multiply(result, factor), result)
    return np.where(values == 0, ONE, result)


def logistic(values: Raw, integer_bits: int) -> Raw:
    """1 / (1 + exp(-x)) of values with `integer_bits` integer bits; the result has none."""
    positive = one_over_one_plus(exp_of_negative(-np.abs(values), integer_bits))
    return np.where(values == 0, 1 << 30, np.where(values > 0, positive, ONE - positive))


def tanh(values: Raw, integer_bits: int) -> Raw:
    """tanh of values with `integer_bits` (at most 4) integer bits; the result has none."""
    exponential = exp_of_negative(-np.abs(values), integer_bits + 1)
    positive = _shift_left(_two_over_one_plus(exponential) - _ONE_WITH_TWO_INTEGER_BITS, 2)
    return np.sign(values) * positive


def one_over_one_plus(values: Raw) -> Raw:
    """1 / (1 + x) for x in [0, 1] without integer bits; nor has the result any."""
    return _shift_left(_two_over_one_plus(values), 1)


def _exp_above_minus_quarter(values: Raw) -> Raw:
    """exp of values in [-1/4, 0): a Taylor polynomial of degree 4 around -1/8."""
    x = values + (1 << 28)
    x2 = rounding_doubling_high_multiply(x, x)
    x3 = rounding_doubling_high_multiply(x2, x)
    x4 = rounding_doubling_high_multiply(x2, x2)
    cubic = rounding_doubling_high_multiply(rounding_divide(x4, 2) + x3, _THIRD)
    polynomial = x + rounding_divide(cubic + x2, 1)
    return _EXP_MINUS_EIGHTH + rounding_doubling_high_multiply(polynomial, _EXP_MINUS_EIGHTH)


def _two_over_one_plus(values: Raw) -> Raw:
    """2 / (1 + x) with two integer bits for x in [0, 1] without: three Newton-Raphson steps."""
    half_denominator = (values + ONE + 1) >> 1
    x = _48_OVER_17 + rounding_doubling_high_multiply(half_denominator, _MINUS_32_OVER_17)
    for _ in range(3):
        error = _ONE_WITH_TWO_INTEGER_BITS - rounding_doubling_high_multiply(half_denominator, x)
        x = x + _shift_left(rounding_doubling_high_multiply(x, error), 2)
    return x


def _shift_left(values: Raw, bits: int) -> Raw:
    """values * 2^bits, saturated to int32."""
    shifted: Raw = np.clip(values << bits, -(1 << 31), ONE)
    return shifted

# SPDX-License-Identifier: Apache-2.0
"""Tiles whose values decide which of two forms they take, with operators that every TFLite interpreter has.

Both forms are computed, and one of them is kept: such a file costs the work of both, and proves their bytes. Outliers
are counted exactly:

- clamped to [high, high + 1], a value is high + 1 if it is above `high`, else high; and the same way below `low`;
- a fully connected layer adds these up. Its bias makes the sum odd, and positive from as many outliers on as make a
  tile wide; its scale makes the result 127 or -128, whatever the sum;
- MINIMUM with 127 keeps a tile as it is, with -128 it leaves -128 everywhere, and MAXIMUM of both forms, of which one
  was met by each, is the form that was kept.
"""

from __future__ import annotations

__all__ = ["TileChoice", "add_choice", "add_chosen"]

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcukit.export.tflite import TfliteBuilder
from mcukit.graph.graph import Quantization, Tensor
from mcukit.quantized.branches import OutlierTest
from mcukit.tflite.enums import BuiltinOperator
from mcukit.tflite.options import ConcatenationOptions, FullyConnectedOptions, MaximumMinimumOptions

_LOWEST, _HIGHEST = -128, 127
_STEEP = 128.0
"""What an odd sum is multiplied by: at least what takes 1 to 127 and -1 to -128."""

_MOST_VALUES = 1 << 22
"""Of a tile: twice their number, times _STEEP, has room in the 32 bits of an interpreter's accumulators."""


@dataclass(frozen=True)
class TileChoice:
    """Masks (1, 1) of int8, as tensor indices: 127 where the form is kept, else -128."""

    wide: int
    narrow: int


def add_choice(builder: TfliteBuilder, part: Tensor, test: OutlierTest, count: int) -> TileChoice | bool:
    """What decides about one tile; True or False if it is wide or narrow whatever its values are.

    part: what the tile reads of the map that enters the stage. count: outliers that make it wide.
    """
    quantization = part.quantization
    if quantization is None or part.elements > _MOST_VALUES:
        raise ValueError(f"'{part.name}' is not quantized, or too large")
    always = part.elements * (test.low > _HIGHEST) + part.elements * (test.high < _LOWEST)
    counted = []
    if _LOWEST < test.low <= _HIGHEST:
        counted.append((test.low - 1, -1))
    if _LOWEST <= test.high < _HIGHEST:
        counted.append((test.high, 1))
    if not counted:
        return always >= count
    clamped = [_clamped(builder, part, low) for low, _ in counted]
    joined = builder.temporary(f"{part.name}/outliers", (*part.shape[:-1], len(counted) * part.shape[-1]), quantization)
    options = ConcatenationOptions(axis=len(part.shape) - 1)
    builder.operator(BuiltinOperator.CONCATENATION, options, clamped, [joined])
    signs = np.repeat([2 * sign for _, sign in counted], part.shape[-1]).astype(np.int8)
    weights = np.tile(signs, part.elements // part.shape[-1])
    # What the sum is without outliers, zero point included: of what is clamped below, `low` itself.
    ordinary = sum(2 * sign * part.elements * (low + (sign < 0) - quantization.zero_point) for low, sign in counted)
    wide = _vector(builder, part, joined, weights, 2 * (always - count) + 1 - ordinary, _STEEP)
    # -1 - 127 is -128, and -1 + 128 is 127.
    narrow = _vector(builder, part, wide, np.array([-1], np.int8), -1, 1.0)
    return TileChoice(wide, narrow)


def add_chosen(builder: TfliteBuilder, choice: TileChoice, wide: Tensor, narrow: Tensor, output: Tensor) -> None:
    """`output` is one of two forms of the same shape and quantization."""
    kept = []
    for form, mask in ((wide, choice.wide), (narrow, choice.narrow)):
        kept.append(builder.temporary(f"{form.name}/kept", form.shape, form.quantization))
        builder.operator(BuiltinOperator.MINIMUM, MaximumMinimumOptions(), [builder.tensor(form), mask], [kept[-1]])
    builder.operator(BuiltinOperator.MAXIMUM, MaximumMinimumOptions(), kept, [builder.tensor(output)])


def _clamped(builder: TfliteBuilder, part: Tensor, low: int) -> int:
    """`part` with values of low and low + 1 only."""
    quantization = part.quantization
    if quantization is None:
        raise ValueError(f"'{part.name}' is not quantized")
    source = builder.tensor(part)
    for builtin, limit in ((BuiltinOperator.MAXIMUM, low), (BuiltinOperator.MINIMUM, low + 1)):
        constant = builder.constant_int8(np.array([limit], np.int8), (1,), quantization)
        target = builder.temporary(f"{part.name}/clamped", part.shape, quantization)
        builder.operator(builtin, MaximumMinimumOptions(), [source, constant], [target])
        source = target
    return source


def _vector(
    builder: TfliteBuilder, part: Tensor, source: int, weights: npt.NDArray[np.int8], bias: int, multiplier: float
) -> int:
    """A fully connected layer with one output: the multiplier times the sum of (stored - zero point) x weight + bias.

    All scales but that of the weights are `part`'s; the zero point of the result is 0.
    """
    quantization = part.quantization
    if quantization is None:
        raise ValueError(f"'{part.name}' is not quantized")
    of_weights = Quantization.per_tensor(multiplier, 0)
    scale = np.float32(quantization.tensor_scale) * np.float32(multiplier)
    operands = [
        source,
        builder.constant_int8(weights, (1, len(weights)), of_weights),
        builder.constant_bias(bias, Quantization.per_tensor(float(scale), 0, 32)),
    ]
    result = Quantization.per_tensor(quantization.tensor_scale, 0)
    target = builder.temporary(f"{part.name}/choice", (1, 1), result)
    builder.operator(BuiltinOperator.FULLY_CONNECTED, FullyConnectedOptions(), operands, [target])
    return target

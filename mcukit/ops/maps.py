# SPDX-License-Identifier: Apache-2.0
"""What operators that move or compare bytes share: checks of quantization and of sizes."""

from __future__ import annotations

__all__ = ["checked_shape", "quantization_of", "require_same_quantization"]

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from mcukit.errors import McukitError
from mcukit.graph.graph import Quantization, Shape, Tensor
from mcukit.graph.validate import MAX_ELEMENTS

if TYPE_CHECKING:
    from mcukit.importers.tflite import TfliteContext

LARGEST_DIMENSION = (1 << 16) - 1
"""Kernels count rows, columns and channels in 16 bits."""


def checked_shape(operator: str, shape: Shape) -> Shape:
    """`shape` if a map can have it. Raises McukitError "invalid-model" otherwise."""
    if min(shape) < 1 or max(shape) > LARGEST_DIMENSION or math.prod(shape) > MAX_ELEMENTS:
        raise McukitError(
            "invalid-model",
            f"{operator} would make a map of shape {shape}",
            hint=f"dimensions go from 1 to {LARGEST_DIMENSION}, with {MAX_ELEMENTS} elements in all",
        )
    return shape


def quantization_of(tensor: Tensor) -> Quantization:
    """The quantization of a tensor in a quantized graph. Raises ValueError if it has none."""
    if tensor.quantization is None:
        raise ValueError(f"'{tensor.name}' is not quantized")
    return tensor.quantization


def require_same_quantization(context: TfliteContext, sources: Iterable[Tensor], output: Tensor) -> None:
    """Refuses an operator of an int8 file that moves bytes between tensors of unequal quantization.

    TFLite Micro either refuses such a file too or copies the bytes although they mean other values.
    """
    for source in sources:
        if source.quantization is None or output.quantization is None:
            continue
        if not source.quantization.same_as(output.quantization):
            context.unsupported(
                f"its input '{source.name}' and its output '{output.name}' are quantized differently",
                "convert the model again; converters give both the same scale and zero point",
            )

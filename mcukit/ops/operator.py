# SPDX-License-Identifier: Apache-2.0
"""What every operator knows about itself, and the registries through which files reach it.

An operator is one file in this package. Its Operator subclass says what the operator means (shape, cost, rows, float
evaluation, quantization, TFLite form); its `lower` gives an IntegerOperator, which computes the bytes and names the C
kernel that computes the same bytes. Functions marked with `onnx_operator` and `tflite_operator` build it from a file.
"""

from __future__ import annotations

__all__ = [
    "ONNX_IMPORTERS",
    "TFLITE_IMPORTERS",
    "OnnxImporter",
    "Operator",
    "load_operators",
    "onnx_operator",
    "tflite_operator",
]

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mcukit.graph.graph import Quantization, Shape, Tensor, map_shape
from mcukit.graph.region import Region

if TYPE_CHECKING:
    from mcukit.calibration.float_model import FloatModelBuilder
    from mcukit.export.tflite import TfliteBuilder
    from mcukit.importers.onnx_context import OnnxContext, OnnxNode
    from mcukit.importers.tflite import TfliteContext
    from mcukit.quantized.integer import IntegerOperator
    from mcukit.tflite.enums import BuiltinOperator
    from mcukit.tflite.schema import Operator as TfliteOperator


@dataclass(frozen=True)
class Operator(ABC):
    """One operator with its attributes, free of tensor names. Instances compare by value."""

    op_name: ClassVar[str]
    """The name that reports and generated C use."""

    ties_quantization: ClassVar[bool] = False
    """Whether inputs and output must share one scale and zero point, because bytes are moved as they are."""

    has_weights: ClassVar[bool] = False
    """Whether inputs 1 and 2 are weights, which may have 8, 4 or 2 bits, and a bias."""

    @abstractmethod
    def output_shape(self, inputs: Sequence[Tensor]) -> Shape:
        """NHWC shape of the output. Raises McukitError where the inputs don't fit together."""

    def macs(self, inputs: Sequence[Tensor], output: Tensor) -> int:
        """Multiply-accumulate operations of one inference."""
        return 0

    def input_range(self, first: int, last: int, inputs: Sequence[Tensor], index: int, axis: int) -> tuple[int, int]:
        """Rows (axis 0) or columns (axis 1) [a, b) of input `index` that output rows or columns [first, last) need.

        Operators define this one; ask `input_rows`, `input_columns` or `input_region`. [first, last) is not empty. The
        result lies inside the input and is empty (a == b) where only padding is needed; a and b never decrease as first
        and last grow. By default row for row and column for column; a size of 1 broadcasts.
        """
        return (first, last) if map_shape(inputs[index].shape)[axis] > 1 else (0, 1)

    def input_rows(self, first: int, last: int, inputs: Sequence[Tensor], index: int) -> tuple[int, int]:
        """Rows [a, b) of the map `index` among the inputs that output rows [first, last) need; a == b for none."""
        return self.input_range(first, last, inputs, index, 0) if first < last else (0, 0)

    def input_columns(self, first: int, last: int, inputs: Sequence[Tensor], index: int) -> tuple[int, int]:
        """Columns [a, b) of the map `index` among the inputs that output columns [first, last) need; see input_rows."""
        return self.input_range(first, last, inputs, index, 1) if first < last else (0, 0)

    def input_region(self, region: Region, inputs: Sequence[Tensor], index: int) -> Region:
        """The part of the map `index` among the inputs that `region` of the output needs; may have no pixels."""
        return Region(
            *self.input_rows(region.first_row, region.last_row, inputs, index),
            *self.input_columns(region.first_column, region.last_column, inputs, index),
        )

    def fixed_output(self, inputs: Sequence[Tensor]) -> Quantization | None:
        """The output's quantization where the operator prescribes it, as softmax does."""
        return None

    def output_limits(self) -> tuple[float, float]:
        """Real values that the output can't leave; narrows calibrated ranges."""
        return float("-inf"), float("inf")

    def quantize_constants(self, inputs: Sequence[Tensor], weight_bits: int = 8) -> tuple[Tensor, ...]:
        """The inputs with float constants quantized; map inputs are quantized already and stay as they are.

        weight_bits: of weights, where `has_weights`.
        """
        return tuple(inputs)

    @abstractmethod
    def to_onnx(self, builder: FloatModelBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        """Adds the float evaluation to an ONNX model; rank 4 values are NCHW there."""

    @abstractmethod
    def lower(self, inputs: Sequence[Tensor], output: Tensor) -> IntegerOperator:
        """The integer arithmetic, from the quantization and integer constants of the tensors."""

    @abstractmethod
    def to_tflite(self, builder: TfliteBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        """Adds the TFLite operators that compute the same bytes in TensorFlow Lite Micro."""


OnnxImporter = Callable[["OnnxContext", "OnnxNode"], None]
TfliteImporter = Callable[["TfliteContext", "TfliteOperator"], None]

ONNX_IMPORTERS: dict[str, OnnxImporter] = {}
TFLITE_IMPORTERS: dict[BuiltinOperator, TfliteImporter] = {}


def onnx_operator(*op_types: str) -> Callable[[OnnxImporter], OnnxImporter]:
    """Marks the function that imports these ONNX operators (domain ai.onnx)."""

    def register(function: OnnxImporter) -> OnnxImporter:
        for op_type in op_types:
            ONNX_IMPORTERS[op_type] = function
        return function

    return register


def tflite_operator(*builtins: BuiltinOperator) -> Callable[[TfliteImporter], TfliteImporter]:
    """Marks the function that imports these TFLite operators."""

    def register(function: TfliteImporter) -> TfliteImporter:
        for builtin in builtins:
            TFLITE_IMPORTERS[builtin] = function
        return function

    return register


def load_operators() -> None:
    """Imports every operator file, which fills the registries."""
    import mcukit.ops

    for module in pkgutil.iter_modules(mcukit.ops.__path__):
        importlib.import_module(f"mcukit.ops.{module.name}")

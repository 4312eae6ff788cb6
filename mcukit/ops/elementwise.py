# SPDX-License-Identifier: Apache-2.0
"""What ADD, SUB and MUL share: two operands that broadcast, either of which may be a constant."""

from __future__ import annotations

__all__ = ["BinaryOperator", "Operands", "SumArithmetic", "SumInt8", "import_tflite_operands"]

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from mcukit.errors import McukitError
from mcukit.graph.graph import Quantization, Shape, Tensor, map_shape
from mcukit.graph.region import Region
from mcukit.ops.activation import UNBOUNDED, Clamp
from mcukit.ops.maps import quantization_of
from mcukit.ops.operator import Operator
from mcukit.quantized.arithmetic import quantize_multiplier, requantize
from mcukit.quantized.integer import ConstantArray, Field, IntegerOperator, Kernel, MapForm
from mcukit.tflite.enums import BuiltinOperator
from mcukit.tflite.options import Options

if TYPE_CHECKING:
    from mcukit.calibration.float_model import FloatModelBuilder
    from mcukit.export.tflite import TfliteBuilder
    from mcukit.importers.tflite import TfliteContext
    from mcukit.tflite import schema

Int8Array = npt.NDArray[np.int8]
Int64Array = npt.NDArray[np.int64]
Results = Callable[[Int64Array, Int64Array], Int8Array]

LEFT_SHIFT = 20
"""ADD and SUB shift both operands left by this before they scale them."""


@dataclass(frozen=True)
class BinaryOperator(Operator):
    """Inputs: two operands, at least one of them a map.

    Dimensions of 1 broadcast; shapes are aligned at their ends.
    """

    onnx_type: ClassVar[str]
    builtin: ClassVar[BuiltinOperator]
    clamp: Clamp = UNBOUNDED

    @abstractmethod
    def tflite_options(self, builder: TfliteBuilder) -> Options:
        """The options of the TFLite operator."""

    def output_shape(self, inputs: Sequence[Tensor]) -> Shape:
        operands = f"operands of shapes {inputs[0].shape} and {inputs[1].shape}"
        try:
            shape = np.broadcast_shapes(*(tensor.shape for tensor in inputs))
        except ValueError:
            raise McukitError("invalid-model", f"{operands} don't broadcast") from None
        if shape[:1] != (1,) or any(t.data is None and len(t.shape) != len(shape) for t in inputs):
            raise McukitError(
                "unsupported-operator",
                f"{operands} don't broadcast as feature maps",
                hint="give both operands the same rank and a batch of 1",
            )
        return shape

    def input_range(self, first: int, last: int, inputs: Sequence[Tensor], index: int, axis: int) -> tuple[int, int]:
        rank = max(len(tensor.shape) for tensor in inputs)
        return (first, last) if map_shape(_of_rank(inputs[index], rank).shape)[axis] > 1 else (0, 1)

    def output_limits(self) -> tuple[float, float]:
        return self.clamp.minimum, self.clamp.maximum

    def quantize_constants(self, inputs: Sequence[Tensor], weight_bits: int = 8) -> tuple[Tensor, ...]:
        return tuple(tensor if tensor.data is None else _quantize_constant(tensor) for tensor in inputs)

    def to_onnx(self, builder: FloatModelBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        operands = [builder.value(_of_rank(tensor, len(output.shape))) for tensor in inputs]
        builder.clamped(self.onnx_type, operands, output, self.clamp)

    def to_tflite(self, builder: TfliteBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        operands, results = [builder.tensor(tensor) for tensor in inputs], [builder.tensor(output)]
        builder.operator(self.builtin, self.tflite_options(builder), operands, results)


def _of_rank(tensor: Tensor, rank: int) -> Tensor:
    """A constant with dimensions of 1 in front; maps have that rank already."""
    if tensor.data is None:
        return tensor
    shape = (1,) * (rank - len(tensor.shape)) + tensor.shape
    return replace(tensor, shape=shape, data=tensor.data.reshape(shape))


def _quantize_constant(tensor: Tensor) -> Tensor:
    """A float constant as int8, per tensor, over the range of its values and zero."""
    values = np.asarray(tensor.data, np.float64)
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    scale = float(np.float32((high - low) / 255))
    if scale < np.finfo(np.float32).tiny:
        low, scale = 0.0, 1.0
    quantization = Quantization.per_tensor(scale, min(max(round(-128 - low / scale), -128), 127))
    return replace(tensor, data=quantization.quantize(values), quantization=quantization)


@dataclass(frozen=True, eq=False)
class Operands:
    """Two operands of an integer operator.

    shapes: (height, width, channels) of both. constants: int8 data of that shape, None for a map.
    output_map: (height, width, channels) of the output.
    """

    shapes: tuple[tuple[int, int, int], tuple[int, int, int]]
    constants: tuple[Int8Array | None, Int8Array | None]
    output_map: tuple[int, int, int]

    @classmethod
    def derive(cls, inputs: Sequence[Tensor], output: Tensor) -> Operands:
        a, b = (_of_rank(tensor, len(output.shape)) for tensor in inputs)
        shapes = map_shape(a.shape), map_shape(b.shape)
        first, second = (
            None if tensor.data is None else np.asarray(tensor.data, np.int8).reshape(shape)
            for tensor, shape in zip((a, b), shapes, strict=True)
        )
        return cls(shapes, (first, second), map_shape(output.shape))

    def values(self, maps: Sequence[Int8Array]) -> tuple[Int64Array, Int64Array]:
        """Both operands, widened; maps: those operands that are not constant."""
        following = iter(maps)
        a, b = (next(following) if constant is None else constant for constant in self.constants)
        return a.astype(np.int64), b.astype(np.int64)

    def crop(self, output: Region) -> Operands:
        """The operands of a part of the output: constants are cut where they don't broadcast."""
        height, width, channels = self.output_map
        shapes, constants = [], []
        for shape, data in zip(self.shapes, self.constants, strict=True):
            rows = slice(output.first_row, output.last_row) if shape[0] == height else slice(0, 1)
            columns = slice(output.first_column, output.last_column) if shape[1] == width else slice(0, 1)
            shapes.append((rows.stop - rows.start, columns.stop - columns.start, shape[2]))
            constants.append(None if data is None else data[rows, columns])
        output_map = (output.rows, output.columns, channels)
        return Operands((shapes[0], shapes[1]), (constants[0], constants[1]), output_map)

    @property
    def are_full(self) -> bool:
        """Whether within a row nothing broadcasts."""
        return all(shape[1:] == self.output_map[1:] for shape in self.shapes)

    def constant_maps(self) -> tuple[tuple[int, ConstantArray, tuple[int, int, int]], ...]:
        return tuple(
            (position, ConstantArray("operand", "int8_t", data, "[row][column][channel]"), shape)
            for position, (data, shape) in enumerate(zip(self.constants, self.shapes, strict=True))
            if data is not None
        )

    def in_place(self) -> tuple[int, ...]:
        """Maps, by position among the maps, that have the output's shape."""
        maps = [shape for data, shape in zip(self.constants, self.shapes, strict=True) if data is None]
        return tuple(position for position, shape in enumerate(maps) if shape == self.output_map)

    def packed(
        self, kernel: Kernel, function: str, results: Results, inputs: Sequence[MapForm], output: MapForm
    ) -> Kernel:
        """The kernel for the same operands where maps have fewer than 8 bits: `function`, or a table of all results.

        A pixel is read before it is written, so that one takes the place of another of as many bytes.
        """
        in_place = tuple(p for p in kernel.in_place if inputs[p].pixel_bytes == output.pixel_bytes)
        scratch_bytes = 2 * output.channels
        if len(inputs) == 1 or any(form.bits == 8 for form in inputs):
            return replace(kernel, function=function, scratch_bytes=scratch_bytes, in_place=in_place)
        a, b = (np.arange(1 << form.bits) - (1 << (form.bits - 1)) for form in inputs)
        table = ConstantArray("table", "int8_t", results(a[:, np.newaxis], b), "[a][b], as they are stored")
        return Kernel("mk_pair_lookup_packed", (Field("table", table),), scratch_bytes=scratch_bytes, in_place=in_place)


@dataclass(frozen=True)
class SumArithmetic:
    """The integers of ADD and SUB: operands are shifted left and scaled, their sum is scaled to the output.

    factors: (multiplier, shift) of both operands and of the output. zero_points: likewise.
    """

    factors: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
    zero_points: tuple[int, int, int]
    minimum: int
    maximum: int

    @classmethod
    def derive(cls, inputs: Sequence[Tensor], output: Tensor, clamp: Clamp) -> SumArithmetic:
        """From quantized tensors. Factors are doubles made of float32 scales, as in TFLM."""
        source_a, source_b, target = (quantization_of(tensor) for tensor in (*inputs, output))
        a, b, result = source_a.tensor_scale, source_b.tensor_scale, target.tensor_scale
        twice_largest = 2 * max(a, b)
        output_factor = twice_largest / ((1 << LEFT_SHIFT) * result)
        if output_factor >= 1:
            raise McukitError(
                "unsupported-quantization",
                f"scales {a:g} and {b:g} are too large beside the output's scale {result:g}",
                where=output.name,
                hint="calibrate with data that reach more of the network's range",
            )
        factors = (
            quantize_multiplier(a / twice_largest),
            quantize_multiplier(b / twice_largest),
            quantize_multiplier(output_factor),
        )
        minimum, maximum = clamp.integer_limits(target)
        zero_points = source_a.zero_point, source_b.zero_point, target.zero_point
        return cls(factors, zero_points, minimum, maximum)

    @property
    def suits_dsp(self) -> bool:
        """Whether DSP kernels compute the same: no multiplier is 0, and the output is shifted to the right."""
        *operands, (multiplier, shift) = self.factors
        one_half = 1 << 30, 0
        right = all(m >= 1 << 30 and (s < 0 or (m, s) == one_half) for m, s in operands)
        return right and multiplier >= 1 << 30 and shift < 0

    def finish(self, a: Int64Array, b: Int64Array, sign: int) -> Int8Array:
        """Output bytes of two stored operands; sign: 1 to add, -1 to subtract."""
        scaled_a = requantize((a - self.zero_points[0]) << LEFT_SHIFT, *self.factors[0])
        scaled_b = requantize((b - self.zero_points[1]) << LEFT_SHIFT, *self.factors[1])
        result = requantize(scaled_a + sign * scaled_b, *self.factors[2]) + self.zero_points[2]
        return np.clip(result, self.minimum, self.maximum).astype(np.int8)

    def fields(self) -> tuple[Field, ...]:
        fields = []
        names = ("a", "b", "output")
        for name, (multiplier, shift), zero_point in zip(names, self.factors, self.zero_points, strict=True):
            fields += [
                Field(f"{name}_multiplier", multiplier),
                Field(f"{name}_shift", shift),
                Field(f"{name}_zero_point", zero_point),
            ]
        return (*fields, Field("minimum", self.minimum), Field("maximum", self.maximum))


@dataclass(frozen=True, eq=False)
class SumInt8(IntegerOperator):
    """function: the C kernel for maps of 8 bits. sign: 1 to add, -1 to subtract. dsp: that of the set DSP, if any."""

    function: str
    sign: int
    operands: Operands
    arithmetic: SumArithmetic
    dsp: str = ""

    def evaluate(self, inputs: Sequence[Int8Array]) -> Int8Array:
        return self._results(*self.operands.values(inputs))

    def _results(self, a: Int64Array, b: Int64Array) -> Int8Array:
        return self.arithmetic.finish(a, b, self.sign)

    def crop(self, output: Region, inputs: Sequence[Region]) -> IntegerOperator:
        return replace(self, operands=self.operands.crop(output))

    def largest_accumulator(self) -> int:
        # A shifted operand; the factors of both are at most 1/2, so that their sum is no larger.
        return 255 << LEFT_SHIFT

    def kernel(self) -> Kernel:
        return Kernel(
            self.function,
            self.arithmetic.fields(),
            in_place=self.operands.in_place(),
            constant_maps=self.operands.constant_maps(),
        )

    def dsp_kernel(self) -> Kernel:
        suits = self.dsp and self.operands.are_full and self.arithmetic.suits_dsp
        return replace(self.kernel(), function=self.dsp if suits else self.function)

    def packed_kernel(self, inputs: Sequence[MapForm], output: MapForm) -> Kernel:
        return self.operands.packed(
            self.kernel(), self.function.replace("_s8", "_packed"), self._results, inputs, output
        )


def import_tflite_operands(context: TfliteContext, operator: schema.Operator) -> list[str]:
    """Names of both operands of a TFLite operator, constants registered."""
    constant = [context.is_constant(operator, position) for position in range(2)]
    if all(constant):
        context.unsupported("both of its operands are constant", "fold constants when exporting")
    names = []
    for position in range(2):
        if not constant[position]:
            names.append(context.input(operator, position).name)
            continue
        tensor = context.constant_input(operator, position)
        is_int8 = np.asarray(tensor.data).dtype == np.int8 and tensor.quantization is not None
        if context.is_quantized and not is_int8:
            context.unsupported("its constant operand is not int8", "quantize the model fully to int8")
        if tensor.quantization is not None and tensor.quantization.scale.size != 1:
            context.unsupported("its constant operand is quantized per channel", "quantize it per tensor")
        names.append(tensor.name)
    return names

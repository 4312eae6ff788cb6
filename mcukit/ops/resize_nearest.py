# SPDX-License-Identifier: Apache-2.0
"""Repeats pixels, or leaves some out. Kernel: firmware/mcukit_nn/src/mk_resize_nearest_s8.c."""

from __future__ import annotations

__all__ = ["ResizeNearest", "ResizeNearestInt8"]

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mcukit.graph.graph import Shape, Tensor
from mcukit.graph.region import Region
from mcukit.ops.maps import checked_shape, require_same_quantization
from mcukit.ops.operator import Operator, onnx_operator, tflite_operator
from mcukit.quantized.integer import ConstantArray, Field, IntegerOperator, Kernel, MapForm
from mcukit.tflite import options, schema
from mcukit.tflite.enums import BuiltinOperator

if TYPE_CHECKING:
    from mcukit.calibration.float_model import FloatModelBuilder
    from mcukit.export.tflite import TfliteBuilder
    from mcukit.importers.onnx_context import OnnxContext, OnnxNode
    from mcukit.importers.tflite import TfliteContext

Int8Array = npt.NDArray[np.int8]
Indices = npt.NDArray[np.int64]

_LARGEST_SIZE = 1 << 16


@dataclass(frozen=True)
class ResizeNearest(Operator):
    """Input: map. size: (height, width) of the output; the other two are how TFLite places pixels."""

    op_name = "resize_nearest"
    ties_quantization = True
    size: tuple[int, int]
    align_corners: bool = False
    half_pixel_centers: bool = False

    def source_indices(self, inputs: Sequence[Tensor], axis: int) -> Indices:
        """Which input row (axis 0) or column (1) each output is, in TFLite's float32 arithmetic; never decreasing."""
        size, outputs = inputs[0].shape[axis + 1], self.size[axis]
        aligned = self.align_corners and outputs > 1
        scale = np.float32(size - 1) / np.float32(outputs - 1) if aligned else np.float32(size) / np.float32(outputs)
        offset = np.float32(0.5 if self.half_pixel_centers else 0.0)
        place = (np.arange(outputs).astype(np.float32) + offset) * scale
        # Adding a half in float64 is exact, so this rounds half up as TFLite does.
        nearest = np.floor(place.astype(np.float64) + (0.5 if self.align_corners else 0.0))
        return np.clip(nearest.astype(np.int64), 0, size - 1)

    def output_shape(self, inputs: Sequence[Tensor]) -> Shape:
        return checked_shape("resizing", (1, *self.size, inputs[0].shape[3]))

    def input_range(self, first: int, last: int, inputs: Sequence[Tensor], index: int, axis: int) -> tuple[int, int]:
        indices = self.source_indices(inputs, axis)
        return int(indices[first]), int(indices[last - 1]) + 1

    def to_onnx(self, builder: FloatModelBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        rows = builder.temporary()
        indices = [builder.constant(self.source_indices(inputs, axis)) for axis in (0, 1)]
        builder.add("Gather", [builder.value(inputs[0]), indices[0]], [rows], axis=2)
        builder.add("Gather", [rows, indices[1]], [builder.value(output)], axis=3)

    def lower(self, inputs: Sequence[Tensor], output: Tensor) -> IntegerOperator:
        return ResizeNearestInt8(self.source_indices(inputs, 0), self.source_indices(inputs, 1))

    def to_tflite(self, builder: TfliteBuilder, inputs: Sequence[Tensor], output: Tensor) -> None:
        attributes = options.ResizeNearestNeighborOptions(self.align_corners, self.half_pixel_centers)
        operands = [builder.tensor(inputs[0]), builder.constant_int32(np.array(self.size, np.int32))]
        builder.operator(BuiltinOperator.RESIZE_NEAREST_NEIGHBOR, attributes, operands, [builder.tensor(output)])


@dataclass(frozen=True, eq=False)
class ResizeNearestInt8(IntegerOperator):
    """rows, columns: which of the input's each of the output's is."""

    rows: Indices
    columns: Indices

    def evaluate(self, inputs: Sequence[Int8Array]) -> Int8Array:
        return inputs[0][:, self.rows][:, :, self.columns]

    def crop(self, output: Region, inputs: Sequence[Region]) -> IntegerOperator:
        rows = self.rows[output.first_row : output.last_row] - inputs[0].first_row
        columns = self.columns[output.first_column : output.last_column] - inputs[0].first_column
        return ResizeNearestInt8(rows, columns)

    def kernel(self) -> Kernel:
        rows, columns = self.rows.astype(np.uint16), self.columns.astype(np.uint16)
        return Kernel(
            "mk_resize_nearest_s8",
            (
                Field("rows", ConstantArray("rows", "uint16_t", rows, "[output row]")),
                Field("columns", ConstantArray("columns", "uint16_t", columns, "[output column]")),
            ),
        )

    def packed_kernel(self, inputs: Sequence[MapForm], output: MapForm) -> Kernel:
        return replace(self.kernel(), function="mk_resize_nearest_packed")


def _onnx_indices(size: int, outputs: int, half_pixel: bool, rounding: str) -> Indices:
    """ONNX's source row or column for each output row or column, in exact arithmetic."""
    step = Fraction(size, outputs)
    half = Fraction(1, 2)
    places = [(x + half) * step - half if half_pixel else x * step for x in range(outputs)]
    rules = {
        "floor": math.floor,
        "ceil": math.ceil,
        "round_prefer_floor": lambda place: math.ceil(place - half),
        "round_prefer_ceil": lambda place: math.floor(place + half),
    }
    return np.clip(np.array([rules[rounding](place) for place in places], np.int64), 0, size - 1)


@onnx_operator("Resize")
def import_onnx(context: OnnxContext, node: OnnxNode) -> None:
    node.allow(
        "antialias", "axes", "coordinate_transformation_mode", "cubic_coeff_a", "exclude_outside",
        "extrapolation_value", "keep_aspect_ratio_policy", "mode", "nearest_mode",
    )  # fmt: skip
    mode = node.text("mode", "nearest")
    if mode != "nearest":
        context.unsupported(f"the mode '{mode}'", "only resizing to the nearest pixel is supported")
    if node.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        context.unsupported("keep_aspect_ratio_policy", "export the model with the sizes that it leads to")
    source = context.nhwc(node.inputs[0])
    size = _onnx_size(context, node)
    half_pixel, rounding = _onnx_rule(context, node, size)
    for align_corners, half_pixel_centers in itertools.product((False, True), repeat=2):
        operator = ResizeNearest(size, align_corners, half_pixel_centers)
        if all(
            np.array_equal(
                operator.source_indices([source], axis),
                _onnx_indices(source.shape[axis + 1], size[axis], half_pixel, rounding),
            )
            for axis in (0, 1)
        ):
            context.add_nhwc(node, operator, [source.name])
            return
    context.unsupported(
        f"nearest_mode '{rounding}' from {source.shape[1:3]} to {size}, which TFLite can't express",
        "export with coordinate_transformation_mode 'asymmetric' and nearest_mode 'floor'",
    )


def _onnx_rule(context: OnnxContext, node: OnnxNode, size: tuple[int, int]) -> tuple[bool, str]:
    """Whether pixels have their coordinates in their middle, and how a place between pixels is rounded."""
    coordinates = node.text("coordinate_transformation_mode", "half_pixel")
    if coordinates not in ("asymmetric", "half_pixel", "pytorch_half_pixel"):
        context.unsupported(
            f"the coordinate_transformation_mode '{coordinates}'", "export with 'asymmetric' or 'half_pixel'"
        )
    if coordinates == "pytorch_half_pixel" and 1 in size:
        context.unsupported("pytorch_half_pixel with an output of one pixel", "export with 'half_pixel'")
    rounding = node.text("nearest_mode", "round_prefer_floor")
    if rounding not in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil"):
        context.invalid(f"the nearest_mode '{rounding}'")
    return coordinates != "asymmetric", rounding


def _onnx_size(context: OnnxContext, node: OnnxNode) -> tuple[int, int]:
    """Height and width of the output: multiples or fractions, so that no rounding error picks the pixels."""
    shape = context.shape(node.outputs[0])
    before = context.shape(node.inputs[0])
    if len(shape) != 4 or shape[:2] != before[:2] or max(shape) >= _LARGEST_SIZE or min(shape) < 1:
        context.unsupported(f"resizing from {before} to {shape}", "only height and width can be resized")
    factors = [Fraction(shape[axis], before[axis]) for axis in (2, 3)]
    if any(1 not in (factor.numerator, factor.denominator) for factor in factors):
        context.unsupported(f"resizing by {factors[0]} and {factors[1]}", "resize by an integer factor, up or down")
    scales = _onnx_scales(context, node)
    if scales is not None and any(scale != factor for scale, factor in zip(scales, factors, strict=True)):
        context.unsupported(
            f"scales {scales} that are not the exact ratio of the sizes {before[2:]} and {shape[2:]}",
            "export the model with sizes, or with scales that give whole sizes",
        )
    return shape[2], shape[3]


def _onnx_scales(context: OnnxContext, node: OnnxNode) -> tuple[Fraction, Fraction] | None:
    """The scales of height and width; None where sizes are given instead."""
    if not node.has_input(2):
        return None
    values = context.constant(node.inputs[2]).reshape(-1)
    if values.size == 0:
        return None
    axes = [axis % 4 for axis in node.integers("axes", (0, 1, 2, 3))]
    if len(axes) != values.size or not np.isfinite(values.astype(np.float64)).all():
        context.invalid(f"the scales {values.tolist()} for the axes {axes}")
    by_axis = dict(zip(axes, (Fraction(float(value)) for value in values), strict=True))
    return by_axis.get(2, Fraction(1)), by_axis.get(3, Fraction(1))


@tflite_operator(BuiltinOperator.RESIZE_NEAREST_NEIGHBOR)
def import_tflite(context: TfliteContext, operator: schema.Operator) -> None:
    attributes = context.options(operator, options.ResizeNearestNeighborOptions)
    source = context.input(operator, 0)
    size = context.integers_input(operator, 1).reshape(-1)
    if len(source.shape) != 4 or size.size != 2 or size.min() < 1 or size.max() >= _LARGEST_SIZE:
        context.invalid(f"resizing of a map of shape {source.shape} to {size.tolist()}")
    resize = ResizeNearest((int(size[0]), int(size[1])), attributes.align_corners, attributes.half_pixel_centers)
    output = context.add(operator, resize, [source.name])
    require_same_quantization(context, [source], output)

# SPDX-License-Identifier: Apache-2.0
"""The options of operators: one dataclass per options table of the schema, and which operator has which."""

# ruff: noqa: RUF009  (the calls declare fields, like dataclasses.field)
from __future__ import annotations

__all__ = [
    "OPTIONS_BY_ID",
    "OPTIONS_BY_OPERATOR",
    "OPTIONS_IDS",
    "AddOptions",
    "ConcatenationOptions",
    "Conv2DOptions",
    "DepthwiseConv2DOptions",
    "DequantizeOptions",
    "DivOptions",
    "ExpandDimsOptions",
    "FullyConnectedOptions",
    "HardSwishOptions",
    "LeakyReluOptions",
    "MaximumMinimumOptions",
    "MulOptions",
    "Options",
    "PadOptions",
    "PadV2Options",
    "Pool2DOptions",
    "QuantizeOptions",
    "ReducerOptions",
    "ReshapeOptions",
    "ResizeBilinearOptions",
    "ResizeNearestNeighborOptions",
    "SliceOptions",
    "SoftmaxOptions",
    "SplitOptions",
    "SqueezeOptions",
    "StridedSliceOptions",
    "SubOptions",
    "TransposeOptions",
]

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mcukit.tflite.enums import ActivationFunctionType, BuiltinOperator, FullyConnectedWeightsFormat, Padding
from mcukit.tflite.slots import bit, enumeration, float32, int32, int32_vector


class Options:
    """What all options tables have in common: they are frozen dataclasses of this type."""


def _as_float32(value: float) -> float:
    """`value` as a file keeps it; infinite if that is out of range."""
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.float32(value))


@dataclass(frozen=True)
class Conv2DOptions(Options):
    padding: Padding = enumeration(0, Padding.SAME)
    stride_w: int = int32(1, default=1, minimum=1)
    stride_h: int = int32(2, default=1, minimum=1)
    activation: ActivationFunctionType = enumeration(3, ActivationFunctionType.NONE)
    dilation_w: int = int32(4, default=1, absent=1, minimum=1)
    dilation_h: int = int32(5, default=1, absent=1, minimum=1)


@dataclass(frozen=True)
class DepthwiseConv2DOptions(Options):
    padding: Padding = enumeration(0, Padding.SAME)
    stride_w: int = int32(1, default=1, minimum=1)
    stride_h: int = int32(2, default=1, minimum=1)
    depth_multiplier: int = int32(3, default=1, minimum=0)
    activation: ActivationFunctionType = enumeration(4, ActivationFunctionType.NONE)
    dilation_w: int = int32(5, default=1, absent=1, minimum=1)
    dilation_h: int = int32(6, default=1, absent=1, minimum=1)


@dataclass(frozen=True)
class Pool2DOptions(Options):
    """MAX_POOL_2D and AVERAGE_POOL_2D."""

    padding: Padding = enumeration(0, Padding.SAME)
    stride_w: int = int32(1, default=1, minimum=1)
    stride_h: int = int32(2, default=1, minimum=1)
    filter_w: int = int32(3, default=1, minimum=1)
    filter_h: int = int32(4, default=1, minimum=1)
    activation: ActivationFunctionType = enumeration(5, ActivationFunctionType.NONE)


@dataclass(frozen=True)
class FullyConnectedOptions(Options):
    activation: ActivationFunctionType = enumeration(0, ActivationFunctionType.NONE)
    weights_format: FullyConnectedWeightsFormat = enumeration(1, FullyConnectedWeightsFormat.DEFAULT)
    keep_num_dims: bool = bit(2)
    asymmetric_quantize_inputs: bool = bit(3)


@dataclass(frozen=True)
class SoftmaxOptions(Options):
    beta: float = float32(0, default=1.0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "beta", _as_float32(self.beta))


@dataclass(frozen=True)
class ConcatenationOptions(Options):
    axis: int = int32(0)
    activation: ActivationFunctionType = enumeration(1, ActivationFunctionType.NONE)


@dataclass(frozen=True)
class AddOptions(Options):
    activation: ActivationFunctionType = enumeration(0, ActivationFunctionType.NONE)
    pot_scale_int16: bool = bit(1, default=True, absent=True)


@dataclass(frozen=True)
class SubOptions(Options):
    activation: ActivationFunctionType = enumeration(0, ActivationFunctionType.NONE)
    pot_scale_int16: bool = bit(1, default=True, absent=True)


@dataclass(frozen=True)
class MulOptions(Options):
    activation: ActivationFunctionType = enumeration(0, ActivationFunctionType.NONE)


@dataclass(frozen=True)
class DivOptions(Options):
    activation: ActivationFunctionType = enumeration(0, ActivationFunctionType.NONE)


@dataclass(frozen=True)
class ReshapeOptions(Options):
    """`new_shape` may be empty: the shape is then the operator's second input."""

    new_shape: tuple[int, ...] = int32_vector(0)


@dataclass(frozen=True)
class PadOptions(Options):
    """PAD."""


@dataclass(frozen=True)
class PadV2Options(Options):
    """PADV2."""


@dataclass(frozen=True)
class ReducerOptions(Options):
    """MEAN, SUM and the REDUCE_ operators."""

    keep_dims: bool = bit(0)


@dataclass(frozen=True)
class SqueezeOptions(Options):
    squeeze_dims: tuple[int, ...] = int32_vector(0)


@dataclass(frozen=True)
class SplitOptions(Options):
    num_splits: int = int32(0, default=1, minimum=1)


@dataclass(frozen=True)
class StridedSliceOptions(Options):
    begin_mask: int = int32(0)
    end_mask: int = int32(1)
    ellipsis_mask: int = int32(2)
    new_axis_mask: int = int32(3)
    shrink_axis_mask: int = int32(4)
    offset: bool = bit(5)


@dataclass(frozen=True)
class SliceOptions(Options):
    """SLICE."""


@dataclass(frozen=True)
class TransposeOptions(Options):
    """TRANSPOSE."""


@dataclass(frozen=True)
class ExpandDimsOptions(Options):
    """EXPAND_DIMS."""


@dataclass(frozen=True)
class LeakyReluOptions(Options):
    alpha: float = float32(0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "alpha", _as_float32(self.alpha))


@dataclass(frozen=True)
class ResizeNearestNeighborOptions(Options):
    align_corners: bool = bit(0)
    half_pixel_centers: bool = bit(1)


@dataclass(frozen=True)
class ResizeBilinearOptions(Options):
    align_corners: bool = bit(2)
    half_pixel_centers: bool = bit(3)


@dataclass(frozen=True)
class HardSwishOptions(Options):
    """HARD_SWISH."""


@dataclass(frozen=True)
class QuantizeOptions(Options):
    """QUANTIZE."""


@dataclass(frozen=True)
class DequantizeOptions(Options):
    """DEQUANTIZE."""


@dataclass(frozen=True)
class MaximumMinimumOptions(Options):
    """MAXIMUM and MINIMUM."""


OPTIONS_BY_ID: Mapping[int, type[Options]] = {
    1: Conv2DOptions,
    2: DepthwiseConv2DOptions,
    5: Pool2DOptions,
    8: FullyConnectedOptions,
    9: SoftmaxOptions,
    10: ConcatenationOptions,
    11: AddOptions,
    15: ResizeBilinearOptions,
    17: ReshapeOptions,
    21: MulOptions,
    22: PadOptions,
    26: TransposeOptions,
    27: ReducerOptions,
    28: SubOptions,
    29: DivOptions,
    30: SqueezeOptions,
    32: StridedSliceOptions,
    35: SplitOptions,
    38: DequantizeOptions,
    39: MaximumMinimumOptions,
    43: PadV2Options,
    48: SliceOptions,
    52: ExpandDimsOptions,
    74: ResizeNearestNeighborOptions,
    75: LeakyReluOptions,
    89: QuantizeOptions,
    91: HardSwishOptions,
}
"""The options tables that mcukit decodes, by their id in the schema's union BuiltinOptions."""

OPTIONS_IDS: Mapping[type[Options], int] = {table: number for number, table in OPTIONS_BY_ID.items()}

OPTIONS_BY_OPERATOR: Mapping[BuiltinOperator, type[Options]] = {
    BuiltinOperator.ADD: AddOptions,
    BuiltinOperator.AVERAGE_POOL_2D: Pool2DOptions,
    BuiltinOperator.CONCATENATION: ConcatenationOptions,
    BuiltinOperator.CONV_2D: Conv2DOptions,
    BuiltinOperator.DEPTHWISE_CONV_2D: DepthwiseConv2DOptions,
    BuiltinOperator.DEQUANTIZE: DequantizeOptions,
    BuiltinOperator.DIV: DivOptions,
    BuiltinOperator.EXPAND_DIMS: ExpandDimsOptions,
    BuiltinOperator.FULLY_CONNECTED: FullyConnectedOptions,
    BuiltinOperator.HARD_SWISH: HardSwishOptions,
    BuiltinOperator.LEAKY_RELU: LeakyReluOptions,
    BuiltinOperator.MAXIMUM: MaximumMinimumOptions,
    BuiltinOperator.MAX_POOL_2D: Pool2DOptions,
    BuiltinOperator.MEAN: ReducerOptions,
    BuiltinOperator.MINIMUM: MaximumMinimumOptions,
    BuiltinOperator.MUL: MulOptions,
    BuiltinOperator.PAD: PadOptions,
    BuiltinOperator.PADV2: PadV2Options,
    BuiltinOperator.QUANTIZE: QuantizeOptions,
    BuiltinOperator.REDUCE_MAX: ReducerOptions,
    BuiltinOperator.REDUCE_MIN: ReducerOptions,
    BuiltinOperator.RESHAPE: ReshapeOptions,
    BuiltinOperator.RESIZE_BILINEAR: ResizeBilinearOptions,
    BuiltinOperator.RESIZE_NEAREST_NEIGHBOR: ResizeNearestNeighborOptions,
    BuiltinOperator.SLICE: SliceOptions,
    BuiltinOperator.SOFTMAX: SoftmaxOptions,
    BuiltinOperator.SPLIT: SplitOptions,
    BuiltinOperator.SQUEEZE: SqueezeOptions,
    BuiltinOperator.STRIDED_SLICE: StridedSliceOptions,
    BuiltinOperator.SUB: SubOptions,
    BuiltinOperator.SUM: ReducerOptions,
    BuiltinOperator.TRANSPOSE: TransposeOptions,
}
"""The options that an operator has to have. Activations such as RELU, LOGISTIC and TANH have none."""

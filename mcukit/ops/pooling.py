# SPDX-License-Identifier: Apache-2.0
"""What the pooling operators share: reading windows from files and writing them, and what DSP kernels need."""

from __future__ import annotations

__all__ = ["nhwc_of", "onnx_window", "sums_suit_dsp", "tflite_options", "tflite_window"]

from dataclasses import replace
from typing import TYPE_CHECKING

from mcukit.graph.graph import Tensor
from mcukit.ops.activation import Clamp
from mcukit.ops.window import Window
from mcukit.quantized.integer import MapForm
from mcukit.tflite.enums import Padding
from mcukit.tflite.options import Pool2DOptions

if TYPE_CHECKING:
    from mcukit.export.tflite import TfliteBuilder
    from mcukit.importers.onnx_context import OnnxContext, OnnxNode
    from mcukit.importers.tflite import TfliteContext


def sums_suit_dsp(source: MapForm) -> bool:
    """Whether DSP kernels can sum over pixels of a map, which fill a block of channels: two words, or one if packed."""
    return source.pixel_bytes >= (8 if source.bits == 8 else 4)


def onnx_window(context: OnnxContext, node: OnnxNode, source: Tensor) -> Window:
    """The window of an ONNX pooling node; rows that ceil_mode adds are part of the bottom and right pads."""
    kernel = node.integers("kernel_shape", ())
    if len(kernel) != 2:
        context.unsupported(f"a kernel_shape of {len(kernel)} dimensions", "only 2-D pooling runs on rows")
    window = context.window(node, source, (kernel[0], kernel[1]))
    if window.dilation != (1, 1):
        context.unsupported(f"dilations {window.dilation}", "TFLite's pooling has no dilation")
    return window


def tflite_window(context: TfliteContext, attributes: Pool2DOptions, source: Tensor) -> Window:
    """The window of a TFLite pooling operator."""
    if len(source.shape) != 4:
        context.invalid(f"an input of shape {source.shape}, expected rank 4")
    return context.window(
        attributes.padding,
        source,
        kernel=(attributes.filter_h, attributes.filter_w),
        stride=(attributes.stride_h, attributes.stride_w),
        dilation=(1, 1),
    )


def tflite_options(builder: TfliteBuilder, window: Window, clamp: Clamp, padding: Padding) -> Pool2DOptions:
    return Pool2DOptions(
        padding=padding,
        stride_w=window.stride[1],
        stride_h=window.stride[0],
        filter_w=window.kernel[1],
        filter_h=window.kernel[0],
        activation=builder.activation(clamp),
    )


def nhwc_of(context: OnnxContext, value: str, channels_last: bool) -> Tensor:
    """The physical NHWC tensor of a rank-4 value whose ONNX axes are NCHW, or NHWC where `channels_last`.

    Networks that were born as TFLite or TensorFlow wrap their NHWC computations into transposes.
    """
    if not channels_last:
        return context.nhwc(value)
    view = context.view(value)
    turned = f"{value}/nchw"
    context.set_view(turned, replace(view, index=view.index.transpose(0, 3, 1, 2)))
    return context.nhwc(turned)

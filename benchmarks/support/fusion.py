# SPDX-License-Identifier: Apache-2.0
"""What fusing layers could save at most, beyond activations and pads, which are part of the kernels already."""

from __future__ import annotations

__all__ = ["expansion_instructions", "transfer_instructions"]

from collections.abc import Iterable
from operator import mul

from mcukit.graph.region import whole_region
from mcukit.ops.add import Add
from mcukit.ops.depthwise_conv2d import DepthwiseConv2d
from mcukit.planning.costs import CostTable
from mcukit.planning.kernel_features import KERNEL_FEATURES
from mcukit.quantized.integer import IntegerModel
from mcukit.workflow.emulate import LayerCount

_EXPANDED = "expanded_"
"""How features of kernels begin that widen what was read to 16 bits."""


def expansion_instructions(model: IntegerModel, costs: CostTable) -> int:
    """Estimated instructions in which convolutions widen what a depthwise convolution has just stored as bytes.

    Fused, the depthwise one would hand over its outputs wide.
    """
    depthwise = {layer.output for layer in model.steps if isinstance(layer.node.operator, DepthwiseConv2d)}
    total = 0.0
    for layer in model.steps:
        if layer.kernel is None or not depthwise & set(layer.inputs) or layer.kernel.function not in costs.kernels:
            continue
        names = KERNEL_FEATURES[layer.kernel.function].names
        cost = costs.for_layer(layer, model.graph)
        counts = cost.counter(whole_region(model.graph.tensors[layer.output]), 1)
        taken = zip(names, map(mul, cost.coefficients, counts), strict=True)
        total += sum(instructions for name, instructions in taken if name.startswith(_EXPANDED))
    return round(total)


def transfer_instructions(layers: Iterable[LayerCount]) -> int:
    """Counted loads and stores of additions: what would be spared where the layer before adds while it requantizes."""
    additions = [layer for layer in layers if layer.op == Add.op_name]
    return sum(layer.classes[name] for layer in additions for name in ("load", "store"))

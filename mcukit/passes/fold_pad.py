# SPDX-License-Identifier: Apache-2.0
"""Moves padding with zeros into the window of the convolution that follows."""

from __future__ import annotations

__all__ = ["fold_pad"]

from collections.abc import Mapping
from dataclasses import replace

from mcukit.graph.graph import Graph, Node
from mcukit.ops.conv2d import Conv2d
from mcukit.ops.depthwise_conv2d import DepthwiseConv2d
from mcukit.ops.pad import Pad
from mcukit.ops.window import Window


def fold_pad(graph: Graph) -> Graph:
    """Requires nothing; holds for quantized graphs too, where padding is the zero point in both forms.

    Ensures that convolutions don't read the output of a Pad of zeros, unless the padding is as large as the kernel.
    The Pad stays for its other readers; remove_dead takes it away if there are none.
    """
    producers = graph.producers()
    return graph.replace(nodes=tuple(_without_pads(graph, producers, node) for node in graph.nodes))


def _without_pads(graph: Graph, producers: Mapping[str, Node], node: Node) -> Node:
    """`node` with as many paddings in front of it folded as possible."""
    pad = producers.get(node.inputs[0])
    folded = None if pad is None else _fold(graph, pad, node)
    return node if folded is None else _without_pads(graph, producers, folded)


def _fold(graph: Graph, pad: Node, node: Node) -> Node | None:
    """`node` reading the input of `pad`, if that is possible."""
    if not isinstance(pad.operator, Pad) or not isinstance(node.operator, Conv2d | DepthwiseConv2d):
        return None
    if pad.operator.value != 0.0 or any(pad.operator.channels):
        return None
    before, after = (graph.tensors[name].quantization for name in (pad.inputs[0], pad.output))
    if before is not None and (after is None or not before.same_as(after)):
        return None
    window = _widened(node.operator.window, pad.operator.pads)
    # An output that sees nothing but padding is legal, but no kernel or planner should have to reckon with it.
    if any(window.pads[side] >= window.span(side % 2) for side in range(4)):
        return None
    return replace(node, operator=replace(node.operator, window=window), inputs=(pad.inputs[0], *node.inputs[1:]))


def _widened(window: Window, pads: tuple[int, int, int, int]) -> Window:
    top, left, bottom, right = (own + added for own, added in zip(window.pads, pads, strict=True))
    return replace(window, pads=(top, left, bottom, right))

# SPDX-License-Identifier: Apache-2.0
"""Makes ReLU and its kin ride on the operator in front of them."""

from __future__ import annotations

__all__ = ["fuse_clamp"]

from dataclasses import replace

from mcukit.graph.graph import Graph, Node
from mcukit.ops.activation import Clamp
from mcukit.ops.relu import Clip


def fuse_clamp(graph: Graph) -> Graph:
    """Requires a float graph: in a quantized one the clip may change the scale, and nothing is done to it.

    Ensures that no Clip which TFLite could fuse follows an operator with a clamp and no other reader. The merged
    node has the name of the operator and the output of the Clip.
    """
    consumers = graph.consumers()
    nodes = {node.output: node for node in graph.nodes}
    for clip in graph.nodes:
        producer = nodes.get(clip.inputs[0])
        if producer is None or not isinstance(clip.operator, Clip):
            continue
        if len(consumers[producer.output]) > 1 or producer.output in graph.outputs:
            continue
        merged = _merge(graph, producer, clip)
        if merged is not None:
            del nodes[producer.output]
            nodes[merged.output] = merged
    return graph.replace(nodes=tuple(nodes.values()))


def _merge(graph: Graph, producer: Node, clip: Node) -> Node | None:
    """Both as one node, if they can be."""
    first, second = getattr(producer.operator, "clamp", None), clip.operator
    if not isinstance(first, Clamp) or not isinstance(second, Clip):
        return None
    if any(graph.tensors[name].quantization is not None for name in (producer.output, clip.output)):
        return None
    clamp = first.intersect(second.clamp)
    if not (clamp.is_tflite or isinstance(producer.operator, Clip)):
        return None
    changes: dict[str, object] = {"clamp": clamp}
    return Node(producer.name, replace(producer.operator, **changes), producer.inputs, clip.output)

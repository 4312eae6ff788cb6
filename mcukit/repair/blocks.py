# SPDX-License-Identifier: Apache-2.0
"""Cuts a network into blocks: chains of nodes between places where one map is all that later nodes read."""

from __future__ import annotations

__all__ = ["Block", "block_graph", "cut_into_blocks"]

from collections.abc import Iterator
from dataclasses import dataclass

from mcukit.graph.graph import Graph, Node
from mcukit.ops.depthwise_conv2d import DepthwiseConv2d
from mcukit.simulation.output_error import before_softmax

FEWEST_LAYERS = 2
"""A block has at least so many layers with weights, where the network goes on so long."""


@dataclass(frozen=True)
class Block:
    """nodes: in order. source, target: names of the map that it reads and the one that it is there for."""

    nodes: tuple[Node, ...]
    source: str
    target: str


def cut_into_blocks(graph: Graph, original: Graph) -> tuple[Block, ...]:
    """Blocks of `graph` whose source and target are maps of `original` too, the network that it was made from.

    A block ends behind a layer that is not depthwise, so that a depthwise-separable unit, an inverted residual, or a
    residual with its addition is one block. What comes behind the last cut of a network with several outputs, and a
    softmax at the end, belong to no block.
    """
    ends = [before_softmax(graph, name) for name in graph.outputs]
    blocks: list[Block] = []
    members: list[Node] = []
    source = graph.inputs[0]
    cuts = set(_cuts(graph)) & original.tensors.keys()
    for node in graph.nodes:
        members.append(node)
        last = len(ends) == 1 and node.output == ends[0]
        if last or (node.output in cuts and _is_complete(members)):
            blocks.append(Block(tuple(members), source, node.output))
            members, source = [], node.output
        if last:
            break
    return tuple(blocks)


def block_graph(graph: Graph, block: Block) -> Graph:
    """The block as a network of its own; `graph` may be any form of the network that has its nodes."""
    names = {node.name for node in block.nodes}
    nodes = tuple(node for node in graph.nodes if node.name in names)
    return Graph(graph.name, graph.tensors, nodes, (block.source,), (block.target,)).replace()


def _is_complete(members: list[Node]) -> bool:
    layers = [node for node in members if node.operator.has_weights]
    return len(layers) >= FEWEST_LAYERS and not isinstance(layers[-1].operator, DepthwiseConv2d)


def _cuts(graph: Graph) -> Iterator[str]:
    """Maps that are, at some moment, all that is still to be read or to be handed out."""
    last_read = {name: index for index, node in enumerate(graph.nodes) for name in graph.map_inputs(node)}
    last_read |= dict.fromkeys(graph.outputs, len(graph.nodes))
    alive = set(graph.inputs)
    for index, node in enumerate(graph.nodes):
        alive.add(node.output)
        alive = {name for name in alive if last_read.get(name, -1) > index}
        # Behind a softmax only the largest values would be seen.
        if alive == {node.output} and before_softmax(graph, node.output) == node.output:
            yield node.output

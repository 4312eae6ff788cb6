# SPDX-License-Identifier: Apache-2.0
"""A small network for searches over bits: a residual block between convolutions, and a classifier."""

from __future__ import annotations

__all__ = ["BLOCK", "classifier", "dataflow", "images", "unequal", "unequal_chain"]

from dataclasses import replace

import numpy as np

from mcukit.graph.graph import Graph
from mcukit.ops.activation import UNBOUNDED, Clamp
from mcukit.ops.add import Add
from mcukit.ops.mean import Mean
from mcukit.ops.softmax import Softmax
from mcukit.ops.window import Window
from mcukit.planning.dataflow import Dataflow
from tests.planning.networks import HALVE, POINT, Network, lowered

BLOCK = 4
"""The first layers, as many as a stage of patches may have: three convolutions and an addition."""


def classifier() -> Graph:
    """12 x 12 x 3 in, 5 classes out: conv2d0, depthwise_conv2d1, conv2d2, add3, conv2d4, mean5, ..., softmax7."""
    net = Network(12, 12, 3)
    first = net.conv("input", 8)
    block = net.add(Add(), net.conv(net.depthwise(first), 8, POINT), first)
    features = net.add(Mean(), net.conv(block, 12, HALVE))
    return net.graph(net.add(Softmax(), net.conv(features, 5, Window((1, 1)))))


def dataflow(graph: Graph) -> Dataflow:
    """Of its int8 form."""
    return Dataflow(lowered(graph)[0])


def images(count: int = 24) -> np.ndarray:
    return np.random.default_rng(7).normal(size=(count, 12, 12, 3)).astype(np.float32)


def unequal(graph: Graph, clamp: Clamp = UNBOUNDED) -> Graph:
    """`graph` with output channels of very unequal size, and limits of every layer but the last ones."""
    random = np.random.default_rng(1)
    tensors, nodes = dict(graph.tensors), []
    for node in graph.nodes:
        if node.operator.has_weights:
            weights = tensors[node.inputs[1]]
            shape = np.ones(len(weights.shape), np.int64)
            shape[3 if weights.shape[0] == 1 and len(weights.shape) == 4 else 0] = -1
            sizes = np.exp(
                random.normal(size=max(weights.shape[0], weights.shape[-1]) if shape[0] == 1 else weights.shape[0])
            )
            tensors[weights.name] = replace(
                weights, data=(np.asarray(weights.data) * sizes.reshape(shape)).astype(np.float32)
            )
        limited = node.operator.has_weights and clamp != UNBOUNDED and len(graph.tensors[node.output].shape) == 4
        nodes.append(replace(node, operator=replace(node.operator, clamp=clamp)) if limited else node)
    return graph.replace(tensors=tensors, nodes=tuple(nodes))


def unequal_chain(clamp: Clamp) -> Graph:
    """8 x 8 x 3 in, 6 values out: conv2d0, depthwise_conv2d1, conv2d2, conv2d3 and a dense layer."""
    net = Network(8, 8, 3)
    last = net.conv(net.depthwise(net.conv("input", 8)), 12, POINT)
    return unequal(net.graph(net.dense(net.conv(last, 8), 6)), clamp)

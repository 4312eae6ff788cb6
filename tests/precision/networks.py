# SPDX-License-Identifier: Apache-2.0
"""A small network for searches over bits: a residual block between convolutions, and a classifier."""

from __future__ import annotations

__all__ = ["BLOCK", "classifier", "dataflow", "images"]

import numpy as np

from mcukit.graph.graph import Graph
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

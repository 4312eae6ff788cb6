# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from mcukit.calibration.ranges import Range
from mcukit.graph.graph import Node, Tensor
from mcukit.precision.plain_rounding import plain_rounding, rounding_of
from mcukit.quantized.precision import Precision
from mcukit.quantized.quantize import quantize_graph
from tests.float_networks import classifier

GRAPH = classifier()
WITH_WEIGHTS = [node for node in GRAPH.nodes if node.operator.has_weights]
RANGES = {tensor.name: Range(-1.0, 1.0) for tensor in GRAPH.maps()}


def error(node: Node, weights: Tensor) -> np.ndarray:
    """Squared error of each output channel."""
    assert weights.quantization is not None
    meant = weights.quantization.dequantize(np.asarray(weights.data, np.int8)).astype(np.float64)
    squares = np.square(meant - np.asarray(GRAPH.tensors[node.inputs[1]].data))
    axis = weights.quantization.axis
    return np.asarray(squares.sum(axis=tuple(i for i in range(squares.ndim) if i != axis)))


@pytest.mark.parametrize("bits", [8, 4, 2])
@pytest.mark.parametrize("node", WITH_WEIGHTS, ids=lambda node: node.name)
def test_no_channel_is_worse_than_unclipped(node: Node, bits: int) -> None:
    weights, bias = plain_rounding(GRAPH)(node, bits)
    quantized = quantize_graph(GRAPH, RANGES, Precision(weights={node.name: bits}))
    unclipped = quantized.tensors[node.inputs[1]]

    assert weights.quantization is not None
    assert weights.quantization.bits == bits
    assert weights.data is not None
    assert weights.data.dtype == np.int8
    assert np.abs(weights.data).max() <= (1 << (bits - 1)) - 1
    assert (error(node, weights) <= error(node, unclipped) * (1 + 1e-6)).all()
    assert bias is GRAPH.tensors[node.inputs[2]]
    if bits == 4 and node.name == "conv2d4":
        assert error(node, weights).sum() < 0.9 * error(node, unclipped).sum()


def test_a_channel_of_zeros_stays_zero() -> None:
    node = WITH_WEIGHTS[0]
    zeros = Tensor(node.inputs[1], GRAPH.tensors[node.inputs[1]].shape, np.zeros((8, 3, 3, 3), np.float32))
    weights, _ = plain_rounding(GRAPH.replace(tensors={**GRAPH.tensors, zeros.name: zeros}))(node, 4)
    assert weights.quantization is not None
    assert not np.asarray(weights.data).any()
    assert (weights.quantization.scale > 0).all()


def test_rounding_of_other_graphs_is_theirs() -> None:
    graphs = {
        bits: quantize_graph(GRAPH, RANGES, Precision(weights={node.name: bits for node in WITH_WEIGHTS}))
        for bits in (8, 4)
    }
    for node in WITH_WEIGHTS:
        weights, bias = rounding_of(graphs)(node, 4)
        assert weights is graphs[4].tensors[node.inputs[1]]
        assert bias is graphs[4].tensors[node.inputs[2]]

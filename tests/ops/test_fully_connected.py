# SPDX-License-Identifier: Apache-2.0
"""Fully connected layers, on vectors and on whole maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mcukit.export.tflite import TfliteBuilder
from mcukit.graph.graph import Quantization, Tensor
from mcukit.ops.activation import RELU, RELU6, RELU_N1_TO_1
from mcukit.ops.fully_connected import FullyConnected
from mcukit.tflite.micro import run_tflm
from mcukit.tflite.writer import write_tflite
from tests.ops.harness import Case, check

CASES = (
    Case(FullyConnected(), maps=((1, 1),), constants=((1, 1), (1,))),
    Case(FullyConnected(), maps=((1, 64),), constants=((10, 64), (10,))),
    Case(FullyConnected(), maps=((1, 37),), constants=((1, 37), (1,))),
    Case(FullyConnected(), maps=((1, 5),), constants=((9, 5), (9,))),
    Case(FullyConnected(), maps=((1, 640),), constants=((7, 640), (7,))),
    Case(FullyConnected(), maps=((1, 1, 1, 8),), constants=((3, 8), (3,))),
    Case(FullyConnected(), maps=((1, 5, 3, 7),), constants=((4, 105), (4,))),
    Case(FullyConnected(), maps=((1, 4, 1, 2),), constants=((5, 8), (5,))),
    Case(FullyConnected(RELU), maps=((1, 3, 3, 4),), constants=((6, 36), (6,))),
    Case(FullyConnected(RELU6), maps=((1, 20),), constants=((8, 20), (8,))),
    Case(FullyConnected(RELU_N1_TO_1), maps=((1, 20),), constants=((3, 20), (3,))),
)


def test_every_executor_computes_the_same(tmp_path: Path) -> None:
    check(CASES, tmp_path)


@pytest.mark.parametrize("scales", [1, 400])
@pytest.mark.parametrize("seed", range(4))
def test_scales_are_multiplied_in_double_precision(scales: int, seed: int) -> None:
    """Biases around the place where the output steps show the multiplier's last bits, which float32 would change."""
    pytest.importorskip("tflite_micro", reason="the tflite-micro package is not installed")
    generator = np.random.default_rng(seed)
    source_scale, weight_scale, output_scale = np.float32(generator.uniform((1e-3, 3e-4, 3), (1e-2, 1e-3, 8)))
    step = int(100.5 * float(output_scale) / (float(source_scale) * float(weight_scale)))
    bias = (step + np.arange(-200, 200)).astype(np.int32)
    weights = Quantization(np.full(scales, weight_scale, np.float32), 0, 0 if scales > 1 else None)
    biases = Quantization(weights.scale * source_scale, 0, weights.axis, bits=32)
    tensors = (
        Tensor("input", (1, 2), None, Quantization.per_tensor(float(source_scale), 0)),
        Tensor("weights", (400, 2), np.zeros((400, 2), np.int8), weights),
        Tensor("bias", (400,), bias, biases),
    )
    output = Tensor("output", (1, 400), None, Quantization.per_tensor(float(output_scale), 0))
    zeros = np.zeros((1, 2), np.int8)
    found = FullyConnected().lower(tensors, output).evaluate([zeros.reshape(1, 1, 1, 2)]).reshape(1, 400)
    builder = TfliteBuilder()
    first = builder.tensor(tensors[0])
    FullyConnected().to_tflite(builder, tensors, output)
    data = write_tflite(builder.model([first], [builder.tensor(output)], "probe"))
    assert len(np.unique(found)) == 2
    np.testing.assert_array_equal(found, run_tflm(data, zeros)[0])

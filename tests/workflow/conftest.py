# SPDX-License-Identifier: Apache-2.0
"""A small network of two outputs, quantized once."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcukit.workflow.build import Build
from mcukit.workflow.quantize import quantize
from tests.importers.onnx_text import network

NODES = """
    a = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(x, w1, b1)
    r = Relu(a)
    c = Conv<kernel_shape=[3,3], strides=[2,2]>(r, w2, b2)
    p = GlobalAveragePool(c)
    f = Flatten(p)
    y = Gemm<transB=1>(f, w3, b3)
"""
CONSTANTS = {"w1": (4, 2, 3, 3), "b1": (4,), "w2": (5, 4, 3, 3), "b2": (5,), "w3": (7, 5), "b3": (7,)}


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("small") / "net.onnx"
    path.write_bytes(network("(float[1,2,6,6] x) => (float[1,7] y, float[1,5,2,2] c)", NODES, CONSTANTS))
    return path


@pytest.fixture(scope="session")
def small(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """7 classes first, a map second; calibrated on synthetic images."""
    return quantize(small_model, tmp_path_factory.mktemp("small") / "build")

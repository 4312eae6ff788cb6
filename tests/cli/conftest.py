# SPDX-License-Identifier: Apache-2.0
"""A small network, its build, and a way to call the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from mcukit.cli.command_line import cli
from tests.importers.onnx_text import network

Run = Callable[..., Result]

CLASSES = 6
NODES = """
    c = Conv<pads=[1,1,1,1], strides=[2,2]>(x, weights, offset)
    r = Relu(c)
    p = GlobalAveragePool(r)
    f = Flatten(p)
    y = Gemm<transB=1>(f, matrix)
"""
CONSTANTS = {"weights": (4, 3, 3, 3), "offset": (4,), "matrix": (CLASSES, 4)}


@pytest.fixture(scope="session")
def run() -> Run:
    """Calls mcukit with the given words; stdout and stderr apart."""

    def call(*words: object) -> Result:
        return CliRunner().invoke(cli, [str(word) for word in words], prog_name="mcukit")

    return call


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX file with nothing beside it."""
    path = tmp_path_factory.mktemp("model") / "tiny.onnx"
    path.write_bytes(network(f"(float[N,3,8,8] x) => (float[N,{CLASSES}] y)", NODES, CONSTANTS))
    return path


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty labelled images: x and y."""
    random = np.random.default_rng(7)
    path = tmp_path_factory.mktemp("data") / "data.npz"
    images = random.integers(0, 256, (20, 8, 8, 3)).astype(np.uint8)
    np.savez(path, x=images, y=random.integers(0, CLASSES, 20))
    return path


@pytest.fixture(scope="session")
def build(run: Run, model: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network quantized with that data."""
    folder = tmp_path_factory.mktemp("build") / "tiny"
    result = run("quantize", model, "--calibration", data, "--scale", "1/255", "-o", folder)
    assert result.exit_code == 0, result.stderr
    return folder

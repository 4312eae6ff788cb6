# SPDX-License-Identifier: Apache-2.0
"""Builds that tests put onto boards."""

from __future__ import annotations

__all__ = ["BOARD", "large_build", "tiny_build", "two_headed_build"]

from pathlib import Path

import numpy as np

import mcukit
from tests.importers.onnx_text import network

BOARD = "genericSTM32F405RG"

_NODES = """
    c = Conv<pads=[1,1,1,1], strides=[2,2]>(x, weights, offset)
    r = Relu(c)
    d = Conv<pads=[1,1,1,1], group=4>(r, narrow)
    p = GlobalAveragePool(d)
    f = Flatten(p)
    y = Gemm<transB=1>(f, matrix)
"""
_CONSTANTS = {"weights": (4, 3, 3, 3), "offset": (4,), "narrow": (4, 1, 3, 3), "matrix": (6, 4)}


def tiny_build(folder: Path, *, board: str | None, name: str = "tiny", kernels: str | None = None) -> mcukit.Build:
    """A network of 8x8x3 bytes of input, four layers and 6 bytes of output. Names give networks of different hashes."""
    model = folder / f"{name}.onnx"
    model.write_bytes(network("(float[N,3,8,8] x) => (float[N,6] y)", _NODES, _CONSTANTS))
    np.save(folder / "images.npy", np.random.default_rng(7).integers(0, 256, (8, 8, 8, 3)).astype(np.uint8))
    options = mcukit.QuantizeOptions(folder / "images.npy", mcukit.Preprocessing(1 / 255), board=board, kernels=kernels)
    return mcukit.quantize(model, folder / name, options)


def large_build(folder: Path, channels: int) -> mcukit.Build:
    """Of 12,288 bytes of input; its arena grows by 4,096 bytes with each channel."""
    model = folder / "large.onnx"
    nodes = "c = Conv(x, weights)\n p = GlobalAveragePool(c)\n y = Flatten(p)"
    model.write_bytes(
        network(f"(float[N,3,64,64] x) => (float[N,{channels}] y)", nodes, {"weights": (channels, 3, 1, 1)})
    )
    np.save(folder / "images.npy", np.random.default_rng(7).integers(0, 256, (2, 64, 64, 3)).astype(np.uint8))
    options = mcukit.QuantizeOptions(folder / "images.npy", mcukit.Preprocessing(1 / 255), plan="layers")
    return mcukit.quantize(model, folder / f"large{channels}", options)


def two_headed_build(folder: Path) -> mcukit.Build:
    """A network with two outputs, of which the second one is computed last."""
    model = folder / "heads.onnx"
    nodes = """
        c = Conv<strides=[2,2]>(x, weights, offset)
        p = GlobalAveragePool(c)
        f = Flatten(p)
        y = Gemm<transB=1>(f, first)
        z = Gemm<transB=1>(f, second, shift)
    """
    constants = {"weights": (4, 3, 3, 3), "offset": (4,), "first": (6, 4), "second": (5, 4), "shift": (5,)}
    model.write_bytes(network("(float[N,3,8,8] x) => (float[N,6] y, float[N,5] z)", nodes, constants))
    np.save(folder / "images.npy", np.random.default_rng(7).integers(0, 256, (8, 8, 8, 3)).astype(np.uint8))
    options = mcukit.QuantizeOptions(folder / "images.npy", mcukit.Preprocessing(1 / 255))
    return mcukit.quantize(model, folder / "heads", options)

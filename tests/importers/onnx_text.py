# SPDX-License-Identifier: Apache-2.0
"""Networks for tests, written as ONNX text."""

from __future__ import annotations

__all__ = ["assert_same_outputs", "network"]

from collections.abc import Mapping
from functools import cache

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import numpy_helper, parser

from mcukit.calibration.float_model import FloatModel
from mcukit.graph import Graph

Constants = Mapping[str, npt.NDArray[np.generic] | tuple[int, ...]]


def network(signature: str, nodes: str, constants: Constants | None = None, *, opset: int = 17) -> bytes:
    """An ONNX file. signature: "(float[N,3,8,8] x) => (float[N,4] y)"; nodes: one assignment per line.

    constants: arrays, or shapes of arrays that are filled with random numbers.
    """
    text = f'<ir_version: 8, opset_import: ["": {opset}]> tested {signature} {{ {nodes} }}'
    model = parser.parse_model(text)
    random = np.random.default_rng(1)
    for name, value in (constants or {}).items():
        array = random.normal(0, 0.5, value).astype(np.float32) if isinstance(value, tuple) else value
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    return model.SerializeToString()


def assert_same_outputs(file: bytes, *graphs: Graph, channels_last: bool = False) -> None:
    """Compares graphs with onnxruntime on the file itself, on random input.

    channels_last: rank-4 inputs of the file are NHWC. Outputs of rank 4 have to be NCHW in the file.
    """
    session = _session(file)
    source = session.get_inputs()[0]
    shape = [size if isinstance(size, int) else 1 for size in source.shape]
    given = np.random.default_rng(2).normal(0, 2, shape).astype(np.float32)
    expected = session.run(None, {source.name: given})
    for graph in graphs:
        swap = given.ndim == 4 and not channels_last
        outputs = FloatModel(graph, threads=1).outputs(given.transpose(0, 2, 3, 1) if swap else given)
        assert len(outputs) == len(expected)
        for ours, theirs in zip(outputs, expected, strict=True):
            reference = theirs.transpose(0, 2, 3, 1) if theirs.ndim == 4 else theirs
            assert ours.shape == reference.shape
            # Sums in another order: float32 rounding, nothing else.
            assert np.abs(ours - reference).max() <= 1e-4 * max(np.abs(reference).max(), 1e-3)


@cache
def _session(file: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    onnx.checker.check_model(onnx.load_from_string(file))
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

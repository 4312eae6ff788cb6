# SPDX-License-Identifier: Apache-2.0
"""Runs models with LiteRT's reference kernels (the successor of the TensorFlow Lite runtime).

They equal TFLite Micro's on convolutional networks, but round fully connected layers differently: for those
`mcukit.tflite.micro` is the truth. It comes with the extra `mcukit[litert]`.
"""

from __future__ import annotations

__all__ = ["run_litert_reference"]

from mcukit.tflite.process import Array, require_package, run_samples
from mcukit.tflite.reader import read_tflite

_TIMEOUT_SECONDS = 600.0
_WHERE = "the model to run"


def run_litert_reference(model: bytes, inputs: Array, *, timeout: float = _TIMEOUT_SECONDS) -> dict[int, Array]:
    """What the operators of a .tflite file compute for `inputs` (N, ...): (N, ...) each, by tensor index.

    The model has one input whose batch is 1; `inputs` has its type. Outputs are among the tensors:
    `read_tflite(model, ...).main.outputs` says which.

    Raises McukitError "missing-package", "invalid-input", "interpreter-failed", and what `read_tflite`
    raises.
    """
    require_package("ai_edge_litert", "litert")
    parsed = read_tflite(model, _WHERE)
    request = {"task": "litert", "tensors": list(parsed.computed_tensors)}
    return run_samples(parsed, model, inputs, request, timeout=timeout)

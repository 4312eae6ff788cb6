# SPDX-License-Identifier: Apache-2.0
"""The bundled network is small, and as good on its own held-out digits as it is said to be."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from mcukit.demo import SCALE, demo_data, demo_model_path


def test_the_file_is_small() -> None:
    assert demo_model_path().stat().st_size < 400_000


def test_it_reads_the_digits() -> None:
    # Here and not above: loading it takes seconds.
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    images, labels = demo_data("evaluation", 500, 0)
    session = onnxruntime.InferenceSession(demo_model_path(), providers=["CPUExecutionProvider"])
    inputs = (images.astype(np.float32) * np.float32(SCALE)).transpose(0, 3, 1, 2)
    scores = np.concatenate([session.run(None, {"image": image[None]})[0] for image in inputs])
    correct = int((scores.argmax(axis=1) == labels).sum())
    assert correct > 475, f"{correct} of 500"

# SPDX-License-Identifier: Apache-2.0
"""What results look like as text."""

from __future__ import annotations

from typing import Any

import numpy as np

from mcukit.report.blocks import plain_text
from mcukit.report.metrics import ErrorMetrics
from mcukit.report.terminal import build_view, emulation_view, evaluation_view
from mcukit.workflow.emulate import Emulation, LayerCount
from mcukit.workflow.evaluate import Evaluation


def test_a_build_shows_its_budget(content: dict[str, Any]) -> None:
    content["arena_bytes"] = 400
    assert "SRAM for maps         400 bytes\n" in plain_text(build_view(content))
    content["budget"]["sram"], content["board"] = 200, "nucleo_f446re"
    text = plain_text(build_view(content))
    assert "400 bytes of 200 bytes, 200.0 %: TOO MUCH" in text
    assert "nucleo_f446re" in text


def test_a_measured_build_shows_instructions(content: dict[str, Any]) -> None:
    assert "instructions" not in plain_text(build_view(content))
    content["emulation"] = {"target": "cortex-m4", "instructions": 1234567, "code_bytes": 2048, "stack_bytes": 96}
    content["layers"][0]["instructions"] = 1234000
    text = plain_text(build_view(content))
    assert "1,234,000" in text
    assert "instructions on cortex-m4  1,234,567\n" in text


def test_an_evaluation_without_a_float_network() -> None:
    text = plain_text(evaluation_view(Evaluation(10, "host", 90.0, None, None, None, None, None)))
    assert "top-1      90.00 %      -\n" in text
    assert "top-5" not in text
    assert "float network" not in text


def test_an_evaluation_beside_float() -> None:
    error = ErrorMetrics(rmse=0.5, mae=0.25, l2r=0.01, nse=0.99, cosine=0.999)
    text = plain_text(evaluation_view(Evaluation(10, "host", 90.0, 100.0, 95.0, 100.0, 92.5, error)))
    assert "top-1      90.00 %   95.00 %\n" in text
    assert "same answer as float  92.50 %\n" in text
    assert "output L2 relative    0.01\n" in text


def test_an_emulation_leaves_out_what_was_not_measured() -> None:
    outputs = np.zeros((1, 2), np.int8)
    host = plain_text(emulation_view(Emulation("host", outputs, None, None, (), 400, None, None, None, None)))
    assert "instructions" not in host
    assert "400 bytes" in host
    layers = (LayerCount("c", "conv2d", 100, 300, {"alu": 300}), LayerCount("r", "clip", 0, 100, {"alu": 100}))
    named = {"y": outputs, "map": np.arange(40, dtype=np.int8).reshape(2, 20)}
    counted = Emulation("cortex-m4", outputs, 410, {"alu": 410}, layers, 400, 260, 1000, 500, 0, named)
    text = plain_text(emulation_view(counted))
    assert "output y           0, 0\n" in text
    assert "output map         20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, ... (20 values)\n" in text
    assert "c      conv2d             300  75.0 %   100     3.00\n" in text
    assert "r      clip               100  25.0 %     0        -\n" in text

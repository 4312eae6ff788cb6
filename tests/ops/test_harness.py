# SPDX-License-Identifier: Apache-2.0
"""The harness itself: a wrong kernel, a wrong reference and a wrong export are all caught."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mcukit.ops import lookup
from mcukit.ops.activation import RELU6, Clamp
from mcukit.ops.concat import ConcatInt8
from mcukit.ops.relu import Clip
from mcukit.quantized.integer import Field, Kernel
from tests.ops.harness import Case, check

CASE = Case(Clip(RELU6), ((1, 3, 3, 2),))
Int8Array = np.ndarray


def test_the_right_one_passes(tmp_path: Path) -> None:
    check([CASE], tmp_path)


def test_a_kernel_with_another_table_is_caught(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    right = lookup.LookupInt8.kernel

    def wrong(self: lookup.LookupInt8) -> Kernel:
        kernel = right(lookup.LookupInt8(np.roll(self.values, 1)))
        assert all(isinstance(field, Field) for field in kernel.fields)
        return kernel

    monkeypatch.setattr(lookup.LookupInt8, "kernel", wrong)
    with pytest.raises(AssertionError, match="of 'output' are wrong"):
        check([CASE], tmp_path)


def test_a_reference_that_is_one_off_is_caught(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    right = lookup.LookupInt8.evaluate

    def wrong(self: lookup.LookupInt8, inputs: Sequence[Int8Array]) -> Int8Array:
        values = right(self, inputs)
        values.flat[0] ^= 1
        return values

    monkeypatch.setattr(lookup.LookupInt8, "evaluate", wrong)
    with pytest.raises(AssertionError, match="'output' in TFLM"):
        check([CASE], tmp_path)


def test_an_operator_that_is_wrong_in_all_executors_is_caught(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The float network has the last word."""
    monkeypatch.setattr(Clamp, "integer_limits", lambda self, quantization: (-128, -127))
    with pytest.raises(AssertionError, match="from float"):
        check([CASE], tmp_path)


def test_an_export_of_another_network_is_caught(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("tflite_micro")
    from mcukit.ops.concat import Concat

    right = Concat.to_tflite
    monkeypatch.setattr(
        Concat, "to_tflite", lambda self, builder, inputs, output: right(self, builder, inputs[::-1], output)
    )
    with pytest.raises(AssertionError, match="'output' in TFLM"):
        check([Case(Concat(), ((1, 2, 2, 3), (1, 2, 2, 3)))], tmp_path)
    assert ConcatInt8

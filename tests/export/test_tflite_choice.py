# SPDX-License-Identifier: Apache-2.0
"""Standard operators take the form of a tile that a device takes, whatever the limits and the scale of the input."""

from __future__ import annotations

import numpy as np
import pytest

from mcukit.export.tflite import TfliteBuilder
from mcukit.export.tflite_choice import TileChoice, add_choice, add_chosen
from mcukit.graph.graph import Quantization, Tensor
from mcukit.quantized.branches import OutlierTest
from mcukit.tflite.enums import BuiltinOperator
from mcukit.tflite.micro import run_tflm
from mcukit.tflite.options import MaximumMinimumOptions
from mcukit.tflite.writer import write_tflite

pytest.importorskip("tflite_micro", reason="the tflite-micro package is not installed")

SHAPE = (1, 5, 4, 3)
VALUES = 60
NARROW_LIMIT = -5
IMAGES = 40

CASES = {
    # low, high, count, scale, zero point
    "both sides": (-40, 60, 7, 0.0123, -3),
    "one outlier": (-127, 126, 1, 1 / 255, -128),
    "all but one value": (-3, 3, 59, 3.7, 127),
    "all values": (0, 0, 60, 0.02, 5),
    "nothing below": (-128, 90, 9, 0.5, 0),
    "nothing above": (-90, 127, 9, 1e-6, 11),
    "below everything is an outlier": (127, 127, 60, 1.0, -128),
    "above everything is an outlier": (-128, -128, 60, 1e4, 127),
    "no outlier is needed": (-40, 60, 0, 0.0123, -3),
}

CERTAIN = {
    "no value is an outlier": (-128, 127, 1, False),
    "none is needed": (-128, 127, 0, True),
    "all are, below": (128, 300, 60, True),
    "all are, above": (-300, -129, 60, True),
    "more than there are values": (128, 300, 61, False),
}


def part(scale: float, zero_point: int) -> Tensor:
    return Tensor("x", SHAPE, quantization=Quantization.per_tensor(scale, zero_point))


def images(low: int, high: int) -> np.ndarray:
    """Values about the limits, more and more of them outliers."""
    generator = np.random.default_rng(3)
    ordinary = np.array([low, low + 1, high - 1, high, (low + high) // 2]).clip(low, high)
    outside = np.array([value for value in (-128, low - 2, low - 1, high + 1, high + 2, 127) if abs(value + 0.5) < 129])
    outside = outside[(outside < low) | (outside > high)]
    outliers = generator.random((IMAGES, VALUES)) < np.linspace(0, 1.2, IMAGES)[:, None]
    drawn = [generator.choice(values, (IMAGES, VALUES)) for values in (outside, ordinary)]
    return np.where(outliers, *drawn).astype(np.int8).reshape(IMAGES, *SHAPE[1:])


@pytest.mark.parametrize(("low", "high", "count", "scale", "zero_point"), CASES.values(), ids=CASES)
def test_the_form_that_a_device_takes(low: int, high: int, count: int, scale: float, zero_point: int) -> None:
    source, test = part(scale, zero_point), OutlierTest(low, high, (count,))
    builder = TfliteBuilder(["x", "narrow", "y"])
    choice = add_choice(builder, source, test, count)
    assert isinstance(choice, TileChoice)
    narrow, output = (Tensor(name, SHAPE, quantization=source.quantization) for name in ("narrow", "y"))
    assert source.quantization is not None
    limit = builder.constant_int8(np.array([NARROW_LIMIT], np.int8), (1,), source.quantization)
    options = MaximumMinimumOptions()
    builder.operator(BuiltinOperator.MINIMUM, options, [builder.tensor(source), limit], [builder.tensor(narrow)])
    add_chosen(builder, choice, source, narrow, output)
    data = write_tflite(builder.model([builder.tensor(source)], [builder.tensor(output)], "choice"))

    values = images(low, high)
    wide = test.finds(values, count)
    expected = np.where(wide[:, None, None, None], values, np.minimum(values, NARROW_LIMIT))
    assert np.array_equal(run_tflm(data, values)[0], expected)
    if count:
        assert 0 < wide.sum() < IMAGES, "images of both kinds"


@pytest.mark.parametrize(("low", "high", "count", "is_wide"), CERTAIN.values(), ids=CERTAIN)
def test_a_choice_that_no_value_changes(low: int, high: int, count: int, is_wide: bool) -> None:
    builder = TfliteBuilder(["x"])
    assert add_choice(builder, part(0.1, 0), OutlierTest(low, high, (count,)), count) is is_wide

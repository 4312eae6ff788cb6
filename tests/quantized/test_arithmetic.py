# SPDX-License-Identifier: Apache-2.0
"""Requantization against exact rational arithmetic, and the C of mk_common.h against the reference."""

from __future__ import annotations

import math
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcukit.emulation.toolchain import find_tool
from mcukit.quantized.arithmetic import (
    quantize_multiplier,
    requantize,
    rounding_divide,
    rounding_doubling_high_multiply,
)
from mcukit.resources import firmware_dir

INT32 = st.integers(-(2**31) + 1, 2**31 - 1)


def half_up(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


def half_away(value: Fraction) -> int:
    return int(math.copysign(math.floor(abs(value) + Fraction(1, 2)), value))


@pytest.mark.parametrize(
    ("factor", "expected"),
    [
        (0.0, (0, 0)),
        (1.0, (1 << 30, 1)),
        (0.5, (1 << 30, 0)),
        (1 - 2.0**-40, (1 << 30, 1)),
        (2.0**-32, (1 << 30, -31)),
        (2.0**-33, (0, 0)),
        (3.0, (3 << 29, 2)),
    ],
)
def test_multipliers(factor: float, expected: tuple[int, int]) -> None:
    assert quantize_multiplier(factor) == expected


@given(st.floats(2.0**-31, 2.0**30))
def test_a_multiplier_is_normal_and_within_half_a_unit(factor: float) -> None:
    multiplier, shift = quantize_multiplier(factor)
    assert 1 << 30 <= multiplier < 1 << 31
    error = abs(Fraction(factor) - Fraction(multiplier) * Fraction(2) ** (shift - 31))
    assert error <= Fraction(2) ** (shift - 31) / 2


@given(INT32, st.integers(0, 2**31 - 1))
def test_high_multiply_rounds_half_up(value: int, multiplier: int) -> None:
    found = rounding_doubling_high_multiply(np.array([value]), multiplier)
    assert found[0] == half_up(Fraction(value * multiplier, 1 << 31))


@given(INT32, st.integers(0, 31))
def test_divide_rounds_half_away_from_zero(value: int, exponent: int) -> None:
    assert rounding_divide(np.array([value]), exponent)[0] == half_away(Fraction(value, 1 << exponent))


@given(st.integers(-(2**20), 2**20), st.integers(1 << 30, 2**31 - 1), st.integers(-31, 10))
def test_requantize_rounds_twice(value: int, multiplier: int, shift: int) -> None:
    once = half_up(Fraction((value << max(shift, 0)) * multiplier, 1 << 31))
    assert requantize(np.array([value]), multiplier, shift)[0] == half_away(Fraction(once, 1 << max(-shift, 0)))


def test_shifts_per_channel_broadcast_and_inputs_stay() -> None:
    values = np.array([[100, 100, 100], [-100, -100, -100]], np.int32)
    kept = values.copy()
    found = requantize(values, np.array([1 << 30] * 3), np.array([1, 0, -1]))
    np.testing.assert_array_equal(found, [[100, 50, 25], [-100, -50, -25]])
    np.testing.assert_array_equal(values, kept)


def test_c_requantizes_like_the_reference(tmp_path: Path) -> None:
    """Up to the largest accumulators that the proof lets through, where adding half a divisor would overflow."""
    generator = np.random.default_rng(0)
    edges = [0, 1, -1, 2, -2, 3, 2**30, -(2**30), 2**31 - 1, -(2**31) + 1, 2**31 - 2**20]
    values = [*edges, *generator.integers(-(2**31) + 1, 2**31, 200).tolist()]
    multipliers = [1 << 30, (1 << 31) - 1, 1518500250]
    cases = [(value, multiplier, shift) for value in values for multiplier in multipliers for shift in range(-31, 1)]
    cases += [
        (value >> 20, multiplier, shift) for value in values for multiplier in multipliers for shift in range(1, 20)
    ]
    rows = ",\n".join(f"{{{value}, {multiplier}, {shift}}}" for value, multiplier, shift in cases)
    (tmp_path / "probe.c").write_text(
        f"""#include <stdio.h>
#include "mk_common.h"
static const int32_t cases[][3] = {{ {rows} }};
int main(void)
{{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {{
        printf("%ld\\n", (long)mk_requantize(cases[i][0], cases[i][1], cases[i][2]));
    }}
    return 0;
}}
"""
    )
    compiler, program = str(find_tool("cc")), tmp_path / "probe"
    flags = ["-std=c99", "-O1", "-fsanitize=undefined", "-fno-sanitize-recover=all"]
    include = f"-I{firmware_dir() / 'mcukit_nn' / 'src'}"
    subprocess.run([compiler, *flags, include, str(tmp_path / "probe.c"), "-o", str(program)], check=True, timeout=60)
    output = subprocess.run([str(program)], check=True, capture_output=True, text=True, timeout=60).stdout
    value, multiplier, shift = np.array(cases, np.int64).T
    np.testing.assert_array_equal(np.array(output.split(), np.int64), requantize(value, multiplier, shift))

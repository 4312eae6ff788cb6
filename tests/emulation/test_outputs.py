# SPDX-License-Identifier: Apache-2.0
"""Outputs, traces and memory figures of models on every target."""

from __future__ import annotations

import numpy as np
import pytest

from mcukit.emulation.runner import run_on_target
from mcukit.errors import McukitError
from tests.emulation.conftest import EMULATED, ModelWriter

EVERYWHERE = ("host", *EMULATED)

NEGATE = """
void tiny_invoke(void)
{
    for (int i = 0; i < TINY_OUTPUT_BYTES; i++) {
        arena[i] = (int8_t)(-arena[i] - 1);
    }
}
"""

# Layer 0 keeps three rows of six in a ring, layer 1 computes two tiles, layer 2 leaves out a row.
SCHEDULES = """
static int8_t ring[3 * 4];
static int8_t tile[2 * 3];
static int8_t whole[3 * 2];
extern const int8_t tiny_weights[64];

void tiny_invoke(void)
{
    const mk_map rows = {ring, 4, 3, 0, 2, 6, 2, 2, 8};
    for (uint16_t y = 0; y < 6; y += 2) {
        MK_LAYER_BEGIN(0);
        for (int i = 0; i < 8; i++) {
            ring[((y + i / 4) % 3) * 4 + i % 4] = (int8_t)(10 * y + i + arena[0]);
        }
        MK_LAYER_END(0, &rows, y, (uint16_t)(y + 2));
    }
    for (uint16_t x = 0; x < 4; x = (uint16_t)(x + 3)) {
        const uint16_t columns = x == 0 ? 3 : 1;
        const mk_map part = {tile, columns, 2, x, columns, 2, 4, 1, 8};
        MK_LAYER_BEGIN(1);
        for (int i = 0; i < 2 * columns; i++) {
            tile[i] = (int8_t)(x * 16 + i);
        }
        MK_LAYER_END(1, &part, 0, 2);
        (void)part;
    }
    const mk_map last = {whole, 2, 3, 0, 2, 3, 2, 1, 8};
    MK_LAYER_BEGIN(2);
    whole[0] = whole[1] = tiny_weights[1];
    whole[4] = whole[5] = tiny_weights[2];
    MK_LAYER_END(2, &last, 0, 1);
    MK_LAYER_BEGIN(2);
    MK_LAYER_END(2, &last, 2, 3);
    (void)rows;
    (void)last;
    arena[0] = whole[4];
}
"""

# Layer 0 computes tiles inside a wider buffer: columns 0 to 2, then 2 to 4. Column 2 is computed twice: it holds
# `again` the second time. Bytes beside the tiles hold 99.
TILES = """
static int8_t wide[2 * 7];

void tiny_invoke(void)
{{
    for (uint16_t x = 0; x <= 2; x = (uint16_t)(x + 2)) {{
        const mk_map part = {{wide + 1, 7, 2, x, x == 0 ? 3 : 2, 2, 4, 2, 8}};
        MK_LAYER_BEGIN(0);
        for (int i = 0; i < 2 * 7; i++) {{
            wide[i] = 99;
        }}
        for (int y = 0; y < 2; y++) {{
            for (int i = 0; i < 2 * part.columns; i++) {{
                wide[1 + 7 * y + i] = (int8_t)(10 * y + 2 * x + i);
            }}
        }}
        if (x == 2) {{
            wide[1 + 7 + 1] = {again};
        }}
        MK_LAYER_END(0, &part, 0, 2);
        (void)part;
    }}
    arena[0] = wide[1];
}}
"""

# Zeroed and initialized variables, constants, weights.
STATIC_DATA = """
static volatile int8_t zeroed[24];
static volatile int32_t initialized[2] = {1, 2};
static const int32_t constant[250] = {3};
extern const int8_t tiny_weights[64];
void tiny_invoke(void)
{
    const int32_t sum = initialized[arena[1] & 1] + constant[arena[2] & 63] + tiny_weights[arena[3] & 63];
    zeroed[arena[0] & 7] = (int8_t)sum;
}
"""


def some_inputs(count: int, size: int) -> np.ndarray:
    return np.random.default_rng(7).integers(-128, 128, (count, size)).astype(np.int8)


@pytest.mark.parametrize("target", EVERYWHERE)
def test_outputs_are_those_of_each_input(target: str, write_model: ModelWriter) -> None:
    inputs = some_inputs(5, 33)
    run = run_on_target(write_model(NEGATE, input_bytes=33, output_bytes=33), target, inputs)
    np.testing.assert_array_equal(run.outputs, ~inputs)
    assert run.traces is None
    assert run.layer_instructions is None


@pytest.mark.parametrize("target", ["host", "cortex-m4"])
def test_jobs_keep_the_order_of_inputs(target: str, write_model: ModelWriter) -> None:
    inputs = some_inputs(7, 4)
    run = run_on_target(write_model(NEGATE), target, inputs, jobs=3, trace=True)
    np.testing.assert_array_equal(run.outputs, ~inputs)
    assert run.traces == ({},) * 7
    assert run.instructions_per_input is None or len(run.instructions_per_input) == 7


@pytest.mark.parametrize("target", EVERYWHERE)
def test_traces_join_rings_tiles_and_gaps(target: str, write_model: ModelWriter) -> None:
    model = write_model(SCHEDULES, layers=3)
    inputs = np.array([[5, 0, 0, 0], [-9, 0, 0, 0]], np.int8)
    run = run_on_target(model, target, inputs, trace=True)
    assert run.traces is not None
    assert run.computed is not None
    for value, maps, computed in zip((5, -9), run.traces, run.computed, strict=True):
        expected = [10 * y + i + value for y in (0, 2, 4) for i in range(8)]
        assert np.frombuffer(maps[0], np.int8).tolist() == expected
        assert list(maps[1]) == [0, 1, 2, 48, 3, 4, 5, 49]
        assert list(maps[2]) == [2, 2, 0, 0, 3, 3]
        assert computed[0].all()
        assert computed[1].all()
        assert computed[2].tolist() == [True, True, False, False, True, True]


@pytest.mark.parametrize("target", EVERYWHERE)
def test_traces_hold_only_the_tile_of_a_wider_buffer(target: str, write_model: ModelWriter) -> None:
    run = run_on_target(write_model(TILES.format(again=15)), target, some_inputs(1, 4), trace=True)
    assert run.traces is not None
    assert run.computed is not None
    assert list(run.traces[0][0]) == [*range(8), *range(10, 18)]
    assert run.computed[0][0].all()


def test_tiles_that_contradict_each_other_are_refused(write_model: ModelWriter) -> None:
    with pytest.raises(McukitError, match="layer 0 computed row 1, column 2 twice") as caught:
        run_on_target(write_model(TILES.format(again=16)), "host", some_inputs(1, 4), trace=True)
    assert caught.value.problems[0].code == "bad-trace"


@pytest.mark.parametrize("target", EMULATED)
def test_footprint_comes_from_the_sections(target: str, write_model: ModelWriter) -> None:
    model = write_model(STATIC_DATA, arena_bytes=1_500_000)
    run = run_on_target(model, target, some_inputs(1, 4))
    assert run.arena_bytes == 1_500_000
    assert run.weight_bytes == 64
    assert run.static_ram_bytes == 24 + 8
    assert run.code_bytes is not None
    functions_at_most = 200
    assert 1000 + 8 < run.code_bytes < 1000 + 8 + functions_at_most


def test_data_that_would_not_be_counted_is_refused(write_model: ModelWriter) -> None:
    text = """
        __attribute__((section(".elsewhere"))) static volatile int8_t hidden[9];
        void tiny_invoke(void) { hidden[0] = 1; }"""
    with pytest.raises(McukitError, match=r"\.elsewhere"):
        run_on_target(write_model(text), "cortex-m4", some_inputs(1, 4))


def test_host_measures_no_instructions(write_model: ModelWriter) -> None:
    run = run_on_target(write_model(NEGATE), "host", some_inputs(1, 4), profile=True)
    assert run.arena_bytes == 64
    measured = (run.instructions, run.layer_instructions, run.stack_bytes, run.code_bytes, run.weight_bytes)
    assert measured == (None,) * 5


@pytest.mark.parametrize(
    "inputs",
    [
        np.zeros((2, 3), np.int8),
        np.zeros((0, 4), np.int8),
        np.zeros(4, np.int8),
        np.zeros((1, 4), np.uint8),
    ],
)
def test_inputs_of_the_wrong_shape_or_type_are_refused(inputs: np.ndarray, write_model: ModelWriter) -> None:
    with pytest.raises(McukitError) as caught:
        run_on_target(write_model(NEGATE), "host", inputs)
    assert caught.value.problems[0].code == "bad-input"

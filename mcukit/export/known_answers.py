# SPDX-License-Identifier: Apache-2.0
"""Inputs that a board can make up by itself, and the network's outputs for them."""

from __future__ import annotations

__all__ = ["input_bytes", "known_answers"]

import numpy as np
import numpy.typing as npt

from mcukit.emulation.reference import run_reference
from mcukit.export.project_model import KnownAnswer
from mcukit.quantized.integer import IntegerModel

_SEEDS = (1, 2_463_534_242)


def input_bytes(seed: int, count: int) -> npt.NDArray[np.int8]:
    """The same bytes as next_byte in firmware/app/known_answer: Marsaglia's xorshift, the upper eight of 32 bits."""
    state = seed
    values = bytearray(count)
    for index in range(count):
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        values[index] = state >> 24
    return np.frombuffer(bytes(values), np.int8)


def known_answers(model: IntegerModel) -> tuple[KnownAnswer, ...]:
    """The reference's outputs for two inputs of noise: a second one shows what the first has left behind."""
    inputs = np.stack([input_bytes(seed, model.input.elements) for seed in _SEEDS])
    outputs = run_reference(model, inputs.reshape(-1, *model.input.shape[1:])).outputs
    return tuple(
        KnownAnswer(seed, tuple(output[index].tobytes() for output in outputs)) for index, seed in enumerate(_SEEDS)
    )

# SPDX-License-Identifier: Apache-2.0
"""The .tflite file that runs tile by tile, with what TensorFlow Lite Micro says of it."""

from __future__ import annotations

__all__ = ["PatchedFile", "patched_file"]

from dataclasses import dataclass

from mcukit.errors import McukitError
from mcukit.export.tflite_patches import build_patched_tflite, redundant_macs
from mcukit.export.tflite_search import choose_patched_stages, patched_plans
from mcukit.planning.plan import Stage
from mcukit.quantized.integer import IntegerModel
from mcukit.report.content import PatchedFacts
from mcukit.tflite.micro import ArenaUse, measure_arena
from mcukit.tflite.schema import Model
from mcukit.tflite.writer import write_tflite


@dataclass(frozen=True)
class PatchedFile:
    """model: the content of the file. data: its bytes."""

    model: Model
    data: bytes
    facts: PatchedFacts


def patched_file(model: IntegerModel, plain_arena_bytes: int | None) -> PatchedFile:
    """The network in the tiles with which TensorFlow Lite Micro's interpreter needs the smallest arena.

    plain_arena_bytes: what it needs for the file without tiles; None where the interpreter is not installed. Then the
    tiles are those with the smallest arena by estimate.

    Raises McukitError "no-gain" for a network of which no tiles need less.
    """
    stages = patched_plans(model)[0].stages if plain_arena_bytes is None else choose_patched_stages(model)
    patched = build_patched_tflite(model, stages)
    data = write_tflite(patched)
    use = None if plain_arena_bytes is None else measure_arena(data)
    if not _gains(stages, use, plain_arena_bytes):
        raise McukitError(
            "no-gain",
            "no tiles let TensorFlow Lite Micro run this network in less memory",
            where=model.name,
            hint="leave --tflite-patches away: the plain .tflite file needs the least",
        )
    facts = PatchedFacts(
        bytes=len(data),
        tflm_arena_bytes=None if use is None else use.total,
        tflm_head_bytes=None if use is None else use.head,
        macs_redundant=redundant_macs(model, stages),
        operators=len(patched.main.operators),
    )
    return PatchedFile(patched, data, facts)


def _gains(stages: tuple[Stage, ...], use: ArenaUse | None, plain_arena_bytes: int | None) -> bool:
    if use is None or plain_arena_bytes is None:
        return any(stage.tiled for stage in stages)
    return use.total < plain_arena_bytes

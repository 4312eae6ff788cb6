# SPDX-License-Identifier: Apache-2.0
"""Small hand-written models in place of generated ones."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mcukit.emulation import build
from mcukit.emulation.runner import CSources
from mcukit.resources import firmware_dir

ModelWriter = Callable[..., CSources]

EMULATED = ("cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55", "riscv32")

_HEADER = """
#include <stdint.h>
#define TINY_ARENA_BYTES {arena_bytes}
#define TINY_INPUT_BYTES {input_bytes}
#define TINY_OUTPUT_BYTES {output_bytes}
#define TINY_LAYERS {layers}
void tiny_init(void);
int8_t *tiny_input(void);
void tiny_invoke(void);
const int8_t *tiny_output(void);
"""

_COMMON = """
#include "tiny.h"
#include "mk_layer_hooks.h"
MK_ARENA static int8_t arena[TINY_ARENA_BYTES];
void tiny_init(void) { arena[0] = 0; }
int8_t *tiny_input(void) { return arena; }
const int8_t *tiny_output(void) { return arena; }
"""

_WEIGHTS = """
#include "mcukit_nn.h"
extern const int8_t tiny_weights[64];
MK_WEIGHTS const int8_t tiny_weights[64] = {1, 2, 3};
"""


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A firmware folder whose runtime has no kernels, because the models here need none."""
    firmware = tmp_path / "firmware"
    for part in ("app", "ports"):
        shutil.copytree(firmware_dir() / part, firmware / part)
    source = firmware / "mcukit_nn" / "src"
    source.mkdir(parents=True)
    for header in ("mcukit_nn.h", "mk_layer_hooks.h"):
        shutil.copy(firmware_dir() / "mcukit_nn" / "src" / header, source)
    monkeypatch.setattr(build, "firmware_dir", lambda: firmware)
    return firmware


@pytest.fixture
def write_model(tmp_path: Path, runtime: Path) -> ModelWriter:
    """Writes a model from the C text that defines tiny_invoke; its input and output both begin the arena."""

    def write(
        invoke: str, *, layers: int = 1, input_bytes: int = 4, output_bytes: int = 4, arena_bytes: int = 64
    ) -> CSources:
        sizes = {"layers": layers, "input_bytes": input_bytes, "output_bytes": output_bytes}
        (tmp_path / "tiny.h").write_text(_HEADER.format(arena_bytes=arena_bytes, **sizes))
        (tmp_path / "tiny.c").write_text(_COMMON + invoke)
        (tmp_path / "tiny_weights.c").write_text(_WEIGHTS)
        return CSources("tiny", tmp_path, **sizes)

    return write

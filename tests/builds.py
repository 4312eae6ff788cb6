# SPDX-License-Identifier: Apache-2.0
"""Builds of a network that is quantized already."""

from __future__ import annotations

__all__ = ["under"]

from dataclasses import replace
from pathlib import Path

from mcukit.export.c_code import generate_c
from mcukit.planning.plan import Plan
from mcukit.quantized.integer import IntegerModel
from mcukit.workflow.build import Build


def under(build: Build, plan: Plan, folder: Path, model: IntegerModel | None = None) -> Build:
    """The build with another plan, its C in `folder`. model: the same network with other kernels."""
    model = model or build.model
    (folder / "model").mkdir(parents=True)
    for name, text in generate_c(model, plan).items():
        (folder / "model" / name).write_text(text)
    return replace(build, folder=folder, model=model, plan=plan)

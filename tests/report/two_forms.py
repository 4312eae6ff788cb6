# SPDX-License-Identifier: Apache-2.0
"""A model whose tiles have two forms, its plan, and classes of its patches."""

from __future__ import annotations

__all__ = ["GRID", "MIDDLE", "TEST", "WIDE", "classes_of", "first_plan", "two_forms"]

import numpy as np

from mcukit.planning.branch_stage import branch_tiles
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import Plan
from mcukit.precision.vdpc import PatchClasses, PatchPosition
from mcukit.quantized.branches import OutlierTest
from mcukit.quantized.integer import IntegerModel
from tests.planning.test_branches import branched, plans

GRID = (2, 3)
WIDE = ((0, 1), (1, 2))
TEST = OutlierTest(-60, 70, (4,) * 6)
MIDDLE = "clip2"
"""12 x 10 pixels of 5 values, each with 8 bits, in narrow tiles with 2: 600 and 240 bytes."""


def two_forms(test: OutlierTest | None = None) -> IntegerModel:
    """Wide by position, or as a test says."""
    return branched(wide=() if test else WIDE, test=test, grid=GRID)[0]


def first_plan(model: IntegerModel) -> Plan:
    return plans(model)[0]


def classes_of(model: IntegerModel) -> PatchClasses:
    """The share of images with outliers grows from tile to tile: 0, 0.2, ... 1."""
    inputs = branch_tiles(Dataflow(model)).inputs
    shares = np.linspace(0.0, 1.0, len(inputs)).tolist()
    positions = tuple(
        PatchPosition(tile, regions["input"], 4, share, share / 8, tile in WIDE)
        for (tile, regions), share in zip(inputs.items(), shares, strict=True)
    )
    return PatchClasses("input", 0.0, 20.0, TEST.low, TEST.high, positions)

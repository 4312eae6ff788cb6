# SPDX-License-Identifier: Apache-2.0
"""Estimates of processor cycles, from executed instructions, tables of timings and a model of the flash."""

from __future__ import annotations

__all__ = ["CYCLE_CLASSES", "CycleEstimate", "CycleModel", "cycle_arguments", "cycle_model", "known_cycle_model"]

from mcukit.emulation.cycles.arguments import CYCLE_CLASSES, CycleModel, cycle_arguments
from mcukit.emulation.cycles.estimate import CycleEstimate, cycle_model, known_cycle_model

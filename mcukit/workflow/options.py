# SPDX-License-Identifier: Apache-2.0
"""What a user can choose about quantization."""

from __future__ import annotations

__all__ = ["QuantizeOptions", "with_settings"]

from dataclasses import dataclass, replace
from pathlib import Path

from mcukit.calibration.preprocessing import Preprocessing
from mcukit.calibration.settings import default_calibration
from mcukit.workflow.bits import BitsOptions


@dataclass(frozen=True)
class QuantizeOptions:
    """calibration: .npz, .npy or a folder of images; None takes what lies beside the model, else synthetic images.

    preprocessing: None takes that of mcukit.toml beside the model, else none.
    ranges: one of RANGE_METHODS, by default DEFAULT_RANGES. board: id or TOML file.
    sram, flash: budgets in bytes that go before the board's.
    calibration_limit: use only the first images. bias_correction: whether biases make up for rounded weights.
    reconstruct: whether blocks with maps or weights of fewer than 8 bits are fitted to the float network's.
    plan: one of mcukit.planning.choose.SCHEDULES, or a plan.json. push_rows: whether the application hands over the
    input row by row; a plan.json says so itself.
    tflite_patches: whether to write a second .tflite file that runs tile by tile, in less memory.
    bits: how the bits of maps and weights are chosen; None for 8 everywhere, or for those that a plan.json asks for.
    kernels: one of KERNEL_SETS; None for the board's, and without a board for "dsp".
    """

    calibration: Path | None = None
    preprocessing: Preprocessing | None = None
    ranges: str | None = None
    board: str | None = None
    sram: int | None = None
    flash: int | None = None
    calibration_limit: int | None = None
    bias_correction: bool = True
    reconstruct: bool = False
    plan: str | Path = "auto"
    push_rows: bool = False
    tflite_patches: bool = False
    bits: BitsOptions | None = None
    kernels: str | None = None


def with_settings(model: Path, options: QuantizeOptions) -> QuantizeOptions:
    """Fills what the user left open from mcukit.toml or calibration.npz beside the model."""
    settings = default_calibration(model)
    return replace(
        options,
        calibration=options.calibration or settings.calibration,
        preprocessing=options.preprocessing or settings.preprocessing,
        ranges=options.ranges or settings.ranges,
        board=options.board or settings.board,
        sram=options.sram if options.sram is not None else settings.sram,
        flash=options.flash if options.flash is not None else settings.flash,
    )

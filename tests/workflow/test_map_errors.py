# SPDX-License-Identifier: Apache-2.0
"""The error of each map in the report is that of rounding, also where its channels were brought to like size."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mcukit.calibration.preprocessing import IDENTITY
from mcukit.ops.activation import RELU
from mcukit.planning.plan_bits import PlanBits
from mcukit.quantized.precision import Precision
from mcukit.workflow.bits_request import BitsRequest
from mcukit.workflow.calibrate import quantize_float
from mcukit.workflow.options import QuantizeOptions
from mcukit.workflow.progress import no_progress
from tests.float_networks import unequal_chain


def test_narrow_maps_are_compared_with_what_they_stand_for(tmp_path: Path) -> None:
    data = tmp_path / "calibration.npz"
    np.savez(data, x=np.random.default_rng(2).normal(size=(24, 8, 8, 3)).astype(np.float32))
    maps = dict.fromkeys(["conv2d0", "depthwise_conv2d1", "conv2d2"], 4)
    options = QuantizeOptions(calibration=data, preprocessing=IDENTITY)
    found = quantize_float(unequal_chain(RELU), options, no_progress, BitsRequest(PlanBits(Precision(maps))))
    for name in maps:
        # Against the maps before they were changed this would be far from 1, and the error as large as the map.
        assert found.errors[name].cosine > 0.98
        assert found.errors[name].l2r < 0.2

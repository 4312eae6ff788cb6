# SPDX-License-Identifier: Apache-2.0
"""A small trained network and endless data for it: everything can be tried without a model of one's own.

The network tells handwritten digits apart: a 96x96 RGB image in, ten logits out. It was trained on pixels
of 0 to 255 multiplied by SCALE, which is what `--scale 1/255` says on the command line: mean 0, standard
deviation 1.
"""

from __future__ import annotations

__all__ = ["SCALE", "demo_data", "demo_model_path"]

from pathlib import Path

from mcukit.demo.data import digits_on_canvas as demo_data

SCALE = 1 / 255
"""What a pixel of 0 to 255 is multiplied by to become the network's input."""


def demo_model_path() -> Path:
    """Where the trained network is: ONNX, float32, "image" (1, 3, 96, 96) in and "logits" (1, 10) out."""
    return Path(__file__).with_name("digits96.onnx")

# SPDX-License-Identifier: Apache-2.0
"""The benchmark of mixed precision: accuracy by hand, and the rows of its page."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.support.mixed_report import render
from benchmarks.support.paired import compare_paired

LABELS = np.array([0, 1, 2, 0], np.int64)
EXPECTED = np.eye(3, dtype=np.float32)[[0, 1, 2, 1]]
"""Three of four are right."""

FOUND = np.eye(3, dtype=np.float32)[[0, 0, 2, 1]]
"""Two are right, and one is not what float says."""


def test_accuracy_is_paired_image_by_image() -> None:
    found = compare_paired(FOUND, EXPECTED, LABELS, logits=True)

    assert (found.images, found.top1, found.float_top1) == (4, 50.0, 75.0)
    assert (found.difference, found.agreement) == (-25.0, 75.0)
    # Differences 0, -1, 0, 0: a mean of -1/4, squares 3/16 + 9/16 over 3, a deviation of 1/2, of the mean 1/4.
    assert found.interval == pytest.approx(100 * 1.96 / 4)
    # Softmax of 1, 0, 0 against 0, 1, 0: only these two classes count, by a log of ratio 1 each way.
    total = np.e + 2
    assert found.divergence == pytest.approx((np.e - 1) / total / 4)


def test_equal_outputs_differ_in_nothing() -> None:
    found = compare_paired(EXPECTED, EXPECTED, LABELS, logits=False)
    assert (found.difference, found.interval, found.agreement, found.divergence) == (0.0, 0.0, 100.0, 0.0)


def test_losses_and_gains_widen_the_interval_alone() -> None:
    other = np.eye(3, dtype=np.float32)[[0, 0, 2, 0]]
    found = compare_paired(other, EXPECTED, LABELS, logits=True)
    assert (found.difference, found.agreement) == (0.0, 50.0)
    assert found.interval == pytest.approx(100 * 1.96 * (2 / 3) ** 0.5 / 2)


def test_probabilities_of_zero_count_as_half_a_step() -> None:
    found = compare_paired(FOUND, EXPECTED, LABELS, logits=False)
    small = 1 / 512
    total = 1 + 2 * small
    assert found.divergence == pytest.approx((1 - small) / total * np.log(1 / small) / 4)


def trial(name: str, bitops: float, difference: float, **more: Any) -> dict[str, Any]:
    accuracy = {
        "images": 1000, "top1": 80.0 + difference, "float_top1": 80.0, "difference": difference, "interval": 0.5,
        "agreement": 97.5, "divergence": 0.0123,
    }  # fmt: skip
    figures = {"macs": 2_000_000, "arena_bytes": 12_345, "weight_bytes": 67_890, "instructions": 9_000_000}
    against_int8 = {**accuracy, "difference": difference + 0.25, "interval": 0.75}
    return {"name": name, "bitops": bitops, "accuracy": accuracy, "against_int8": against_int8, **figures, **more}


RESULTS: dict[str, Any] = {
    "compiler": "a compiler",
    "emulator": "an emulator",
    "networks": [
        {
            "title": "A network",
            "grid": [3, 4],
            "patch_layers": 5,
            "budget": 65_536,
            "int8": [trial("int8, patches", 128e6, -0.25), trial("int8, streamed", 100e6, -0.25)],
            "best": [trial("measured", 40e6, -0.5)],
            "quantmcu": {
                "int8": trial("int8, patches", 128e6, -0.5),
                "trials": [
                    trial("off", 64e6, -1.5, vdpc="off", wide_patches=None, patches=12),
                    trial("off, far", 20e6, -9.0, vdpc="off", wide_patches=None, patches=12),
                    trial("static", 80e6, -0.75, vdpc="static", wide_patches=5, patches=12, layer_stage=True),
                ],
            },
        }
    ],
}


def rows_of(page: str) -> dict[str, list[str]]:
    """Cells of the tables by configuration."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:1] == "|"]
    return {cells[0]: cells[1:] for cells in lines}


def test_the_page_has_a_row_for_every_trial() -> None:
    rows = rows_of(render(RESULTS))
    shared = ["12,345", "67,890", "9.0"]

    assert rows["int8, patches"] == [
        "2.00", "128.0", "1.00x", *shared, "79.75 %", "-0.25 +- 0.50", "+0.00 +- 0.75", "97.5 %", "0.0123",
    ]  # fmt: skip
    assert rows["int8, streamed"][2] == "1.28x"
    assert rows["measured"][1:3] == ["40.0", "3.20x"]
    assert rows["off"][-1] == "-"
    assert rows["static, whole network"][-1] == "5 of 12"
    assert len([name for name in rows if name != "configuration" and set(name) != {"-"}]) == 6


def test_the_page_says_what_was_reached() -> None:
    page = render(RESULTS)
    assert "1000 images, float top-1 80.00 %. The patches of int8: 3 x 4 over the first 5 layers" in page
    assert "2.00 times fewer BitOPs at up to 1.0 points below int8, 2.00 times fewer" in page
    assert "The first 1000 of these images: float top-1 80.00 %, int8 in patches -0.50 +- 0.50 points" in page
    # Beside the trial whose BitOPs are nearest.
    assert "VDPC on (static, 5 of 12 patches wide): 80.0 MBitOPs, -0.75 points, KL 0.012; off (off): 64.0" in page
    assert page.endswith("a compiler; an emulator.\n")


def test_a_network_without_trials_of_quantmcu() -> None:
    network = {**RESULTS["networks"][0], "quantmcu": {}}
    assert "Not measured." in render({**RESULTS, "networks": [network]})

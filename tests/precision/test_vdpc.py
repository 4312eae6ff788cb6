# SPDX-License-Identifier: Apache-2.0
"""VDPC: outliers counted by definition, position by position, and as a device would count them."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from mcukit.errors import McukitError
from mcukit.planning.plan import Halo, Stage
from mcukit.planning.tiles import StageTiles, stage_tiles
from mcukit.precision.vdpc import FEWEST_IMAGES, PatchClasses, VdpcOptions, classify_patches
from tests.float_networks import BLOCK, classifier, dataflow

IMAGES = 40


def tiles(first: int = 0, last: int = BLOCK) -> StageTiles:
    flow = dataflow(classifier())
    names = tuple(layer.name for layer in flow.layers)
    return stage_tiles(flow, first, last, Stage(names[first:last], 2, 2, Halo.RECOMPUTED))


def stored(spikes: int = 9, seed: int = 1) -> np.ndarray:
    """Images of small values; three of four have a few large ones in the upper left corner."""
    random = np.random.default_rng(seed)
    values = np.clip(random.normal(5.0, 12.0, (IMAGES, 12, 12, 3)).round(), -128, 127).astype(np.int8)
    values[: IMAGES * 3 // 4, :spikes, 0, 0] = 120
    return values


def test_outliers_follow_the_definition() -> None:
    values = stored()
    found = classify_patches(tiles(), values, VdpcOptions(phi=0.98))
    reach = NormalDist().inv_cdf(0.99) * values.std(dtype=np.float64)
    outlying = np.abs(values - values.mean(dtype=np.float64)) > reach

    assert found.map == "input"
    assert found.mean == pytest.approx(values.mean(dtype=np.float64))
    assert found.deviation == pytest.approx(values.std(dtype=np.float64))
    assert np.array_equal(outlying, (values < found.low) | (values > found.high))
    for position in found.positions:
        r = position.region
        part = outlying[:, r.first_row : r.last_row, r.first_column : r.last_column]
        counts = part.sum(axis=(1, 2, 3))
        assert position.count == int((1.0 - 0.98) * part[0].size) + 1
        assert position.images == np.mean(counts >= position.count)
        assert position.outliers == pytest.approx(part.mean())


def test_patches_are_seen_with_their_halo() -> None:
    found = classify_patches(tiles(), stored())
    assert [position.tile for position in found.positions] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    # A quarter of the block reads 8 of 12 rows: 6, and one of halo for each of its two windows.
    assert [(p.region.rows, p.region.columns) for p in found.positions] == [(8, 8)] * 4


def test_a_position_keeps_its_bits_if_enough_images_have_outliers_there() -> None:
    def outliers(spikes: int, tau: float, count: int) -> tuple[tuple[int, int], ...]:
        return classify_patches(tiles(), stored(spikes), VdpcOptions(0.9999, tau, count)).outlier_tiles

    assert outliers(spikes=3, tau=0.5, count=3) == ((0, 0),)
    # Row 4 is the first that the lower tiles read too.
    assert outliers(spikes=7, tau=0.5, count=3) == ((0, 0), (1, 0))
    assert outliers(spikes=3, tau=0.5, count=4) == ()
    assert outliers(spikes=3, tau=0.74, count=3) == ((0, 0),)
    assert outliers(spikes=3, tau=0.75, count=3) == ()


def test_the_classes_share_all_tiles() -> None:
    found = classify_patches(tiles(), stored(3), VdpcOptions(0.9999, 0.5, 3))
    assert found.outlier_tiles == ((0, 0),)
    assert [position.tile for position in found.positions if not position.is_outlier] == [(0, 1), (1, 0), (1, 1)]


def test_a_device_decides_the_same_with_integers() -> None:
    found = classify_patches(tiles(), stored())
    other = stored(seed=2)
    decided = found.has_outliers(other)

    assert decided.any()
    assert not decided.all()
    for image, position in np.ndindex(decided.shape):
        assert decided[image, position] == on_device(found, other[image], position)


def on_device(found: PatchClasses, image: np.ndarray, position: int) -> bool:
    """As a loop over bytes."""
    patch = found.positions[position]
    outliers = 0
    for row in range(patch.region.first_row, patch.region.last_row):
        for column in range(patch.region.first_column, patch.region.last_column):
            for value in image[row, column].tolist():
                outliers += value < found.low or value > found.high
    return outliers >= patch.count


def test_thresholds_stay_integers_of_8_bits() -> None:
    wide = np.random.default_rng(3).integers(-128, 128, (IMAGES, 12, 12, 3)).astype(np.int8)
    found = classify_patches(tiles(), wide)
    assert (found.low, found.high) == (-128, 127)
    assert not found.has_outliers(wide).any()

    constant = classify_patches(tiles(), np.full((IMAGES, 12, 12, 3), -7, np.int8))
    assert (constant.low, constant.high, constant.deviation) == (-7, -7, 0.0)
    assert constant.outlier_tiles == ()


def test_too_few_images_are_refused() -> None:
    classify_patches(tiles(), stored()[:FEWEST_IMAGES])
    with pytest.raises(McukitError, match=f"15 calibration images .* takes {FEWEST_IMAGES}"):
        classify_patches(tiles(), stored()[: FEWEST_IMAGES - 1])


def test_a_stage_of_several_maps_has_no_patches_of_one() -> None:
    with pytest.raises(McukitError, match="'conv2d2', 'conv2d0'"):
        classify_patches(tiles(3, 4), stored())


def test_all_wrong_options_are_told_together() -> None:
    with pytest.raises(McukitError) as caught:
        classify_patches(tiles(), stored(), VdpcOptions(1.0, 1.0, 0))
    assert len(caught.value.problems) == 3

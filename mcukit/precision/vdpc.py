# SPDX-License-Identifier: Apache-2.0
"""VDPC after Tao et al. 2024, reconstructed: which patches hold outliers, and so need 8 bits on their whole branch.

Values of the map that feeds the branches are outliers where they are further from its mean than a normal distribution
with its standard deviation would let all but the share 1 - phi of values be. An image's patch has outliers if at least
so many of its values are. A patch position is one of outliers if more than the share tau of the calibration images
have outliers there.

All is done on the integers that the map is stored as, so that a device that counts values outside [low, high] decides
exactly as `PatchClasses.has_outliers` does.

The paper, "Value-Driven Mixed-Precision Quantization for Patch-Based Inference on Microcontrollers", came without code.
This is its method as far as it is known, and none of its numbers.
"""

from __future__ import annotations

__all__ = ["FEWEST_IMAGES", "PatchClasses", "PatchPosition", "VdpcOptions", "classify_patches"]

from dataclasses import dataclass
from math import ceil, floor, sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from mcukit.errors import McukitError, Problem
from mcukit.graph.region import Region
from mcukit.planning.tiles import StageTiles
from mcukit.quantities import counted

Int8Array = npt.NDArray[np.int8]

FEWEST_IMAGES = 16
"""With fewer, the share of images with outliers at a position has a standard error of more than an eighth."""

_LOWEST, _HIGHEST = -128, 127


@dataclass(frozen=True)
class VdpcOptions:
    """Constants of the method; the paper's own are not known.

    phi: share of values that counts as ordinary, between 0 and 1. Images have nearly uniform values, of which none is
    much further than 1.7 deviations from the mean: 0.99, which is 2.6 of them, finds no outliers there.
    tau: the share of images that a position of outliers exceeds, 0 up to 1.
    min_outliers: how many outliers a patch must hold to count; None for more than a normal distribution would have,
    which is the share 1 - phi of the patch's values.
    """

    phi: float = 0.95
    tau: float = 0.1
    min_outliers: int | None = None

    def check(self) -> None:
        """Raises McukitError "wrong-option" with all that is wrong."""
        wrong = []
        if not 0.0 < self.phi < 1.0:
            hint = "choose a number between 0 and 1, such as 0.95"
            wrong.append(("--phi", f"{self.phi:g} is no share of ordinary values", hint))
        if not 0.0 <= self.tau < 1.0:
            hint = "choose a number from 0 up to 1, such as 0.1"
            wrong.append(("--tau", f"more images than the share {self.tau:g} can't be asked for", hint))
        if self.min_outliers is not None and self.min_outliers < 1:
            message = f"{self.min_outliers} outliers are no patch with outliers"
            wrong.append(("--min-outliers", message, "choose at least 1"))
        if wrong:
            problems = [Problem("wrong-option", message, where, hint) for where, message, hint in wrong]
            raise McukitError.collect(problems, exit_code=2)


@dataclass(frozen=True)
class PatchPosition:
    """One tile of the stage's grid.

    tile: its row and column. region: what it reads of the map, halo included. count: outliers that make a patch one
    with outliers. images: share of calibration images that have outliers here. outliers: share of outliers among all
    values seen here. is_outlier: whether the position keeps 8 bits.
    """

    tile: tuple[int, int]
    region: Region
    count: int
    images: float
    outliers: float
    is_outlier: bool


@dataclass(frozen=True)
class PatchClasses:
    """Classes of the patches of one stage.

    map: the name of the map that feeds the branches. mean, deviation: of its stored integers.
    low, high: stored values below or above are outliers. positions: in the order in which tiles run.
    """

    map: str
    mean: float
    deviation: float
    low: int
    high: int
    positions: tuple[PatchPosition, ...]

    @property
    def outlier_tiles(self) -> tuple[tuple[int, int], ...]:
        """Row and column of the positions that keep 8 bits."""
        return tuple(position.tile for position in self.positions if position.is_outlier)

    def has_outliers(self, values: Int8Array) -> npt.NDArray[np.bool_]:
        """(images, positions): what a device finds in stored values (images, height, width, channels)."""
        return self.count_outliers(values) >= np.array([position.count for position in self.positions])

    def count_outliers(self, values: Int8Array) -> npt.NDArray[np.int64]:
        """(images, positions): values outside [low, high]."""
        outside = ((values < self.low) | (values > self.high)).view(np.uint8)
        images, height, width, channels = values.shape
        rows = outside.reshape(images, height, width * channels)
        return np.stack([_count(rows, position.region, channels) for position in self.positions], axis=1)


def classify_patches(tiles: StageTiles, values: Int8Array, options: VdpcOptions | None = None) -> PatchClasses:
    """Classes of the patches of a stage.

    values: the map that feeds the stage, as it is stored, for every calibration image: (images, height, width,
    channels).
    Raises McukitError "wrong-option", "too-few-images", and "bad-stage" for a stage that reads more than one map.
    """
    chosen = options or VdpcOptions()
    chosen.check()
    _check_stage(tiles)
    if len(values) < FEWEST_IMAGES:
        raise McukitError(
            "too-few-images",
            f"{counted(len(values), 'calibration image')} can't tell where outliers are: it takes {FEWEST_IMAGES}",
            where="--calibration",
            hint=f"calibrate on at least {FEWEST_IMAGES} images, better 100",
        )
    name = tiles.incoming[0]
    mean, deviation = _moments(values)
    reach = NormalDist().inv_cdf((1.0 + chosen.phi) / 2.0) * deviation
    low, high = max(ceil(mean - reach), _LOWEST), min(floor(mean + reach), _HIGHEST)
    unjudged = tuple(_position(tile, regions[name], values.shape[3], chosen) for tile, regions in tiles.inputs.items())
    found = PatchClasses(name, mean, deviation, low, high, unjudged)
    outliers, flagged = found.count_outliers(values), found.has_outliers(values)
    positions = tuple(
        _judged(position, float(flagged[:, index].mean()), int(outliers[:, index].sum()), values.shape, chosen.tau)
        for index, position in enumerate(unjudged)
    )
    return PatchClasses(name, mean, deviation, low, high, positions)


def _check_stage(tiles: StageTiles) -> None:
    if len(tiles.incoming) == 1:
        return
    maps = ", ".join(f"'{name}'" for name in tiles.incoming) or "none"
    raise McukitError(
        "bad-stage",
        f"patches are classified by the one map that feeds them, and this stage reads {maps}",
        where=tiles.stage.layers[0],
        hint="begin the stage where the network has one map only, such as its input",
    )


def _moments(values: Int8Array) -> tuple[float, float]:
    """Mean and standard deviation, from sums that are exact."""
    counts = np.bincount(values.ravel().view(np.uint8), minlength=256).tolist()
    stored = [number - 256 if number > _HIGHEST else number for number in range(256)]
    total = sum(counts)
    first = sum(number * count for number, count in zip(stored, counts, strict=True))
    second = sum(number * number * count for number, count in zip(stored, counts, strict=True))
    return first / total, sqrt((second * total - first * first) / (total * total))


def _position(tile: tuple[int, int], region: Region, channels: int, options: VdpcOptions) -> PatchPosition:
    """A position that no image has been seen at."""
    expected = floor((1.0 - options.phi) * region.pixels * channels)
    count = expected + 1 if options.min_outliers is None else options.min_outliers
    return PatchPosition(tile, region, count, 0.0, 0.0, is_outlier=False)


def _judged(position: PatchPosition, images: float, outliers: int, shape: tuple[int, ...], tau: float) -> PatchPosition:
    seen = shape[0] * position.region.pixels * shape[3]
    share = outliers / seen if seen else 0.0
    return PatchPosition(position.tile, position.region, position.count, images, share, images > tau)


def _count(outside: npt.NDArray[np.uint8], region: Region, channels: int) -> npt.NDArray[np.int64]:
    """Of (images, height, width x channels), 1 for each outlier: how many lie in a region, by image."""
    columns = slice(region.first_column * channels, region.last_column * channels)
    counts: npt.NDArray[np.int64] = (
        outside[:, region.first_row : region.last_row, columns].sum(axis=1, dtype=np.int32).sum(axis=1, dtype=np.int64)
    )
    return counts

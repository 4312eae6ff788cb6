# SPDX-License-Identifier: Apache-2.0
"""Images that no camera took, for calibration where there is no data.

Networks answer to edges and to the slow falling spectrum of natural scenes, not to white noise: that would
leave most feature maps with far too narrow ranges. Real samples are still better.
"""

from __future__ import annotations

__all__ = ["synthetic_inputs"]

import math

import numpy as np
import numpy.typing as npt

from mcukit.calibration.array_file import LARGEST_ARRAY
from mcukit.calibration.data import Dataset
from mcukit.calibration.preprocessing import IDENTITY, Preprocessing
from mcukit.errors import McukitError

FloatArray = npt.NDArray[np.float64]


def synthetic_inputs(
    shape: tuple[int, ...], count: int, seed: int = 0, preprocessing: Preprocessing | None = None
) -> Dataset:
    """`count` images of gradients, shapes with edges and 1/f noise, as uint8 of 0..255.

    shape: (height, width, channels), any number of channels. The same arguments give the same images.
    Raises McukitError "wrong-shape" for other shapes, "empty-data" and "unsafe-data" for wrong counts.
    """
    if len(shape) != 3 or min(shape) < 1:
        raise McukitError(
            "wrong-shape",
            f"samples of shape {shape} are no images and can't be made up",
            hint="give calibration data",
        )
    if count < 1:
        raise McukitError("empty-data", f"{count} images can't be made up", hint="ask for at least one")
    if count * math.prod(shape) > LARGEST_ARRAY:
        message = f"{count} images take more than {LARGEST_ARRAY} bytes"
        raise McukitError("unsafe-data", message, hint="ask for fewer")
    values = np.empty((count, *shape), np.uint8)
    for index in range(count):
        # Each image has a stream of its own: fewer images are the first of more.
        values[index] = _image(np.random.default_rng([seed, index]), shape)
    names = tuple(f"synthetic[{index}]" for index in range(count))
    return Dataset(values, None, names, preprocessing or IDENTITY)


def _image(random: np.random.Generator, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    scene = _gradient(random, shape)
    for _ in range(int(random.integers(2, 9))):
        _add_shape(random, scene)
    roughness = random.uniform(0.05, 0.5)
    scene += roughness * _noise(random, shape)
    # From flat and dim to harsh and bright, as exposures are.
    contrast, brightness = random.uniform(30.0, 80.0), random.uniform(80.0, 175.0)
    spread = max(float(scene.std()), 1e-6)
    levels = (scene - scene.mean()) / spread * contrast + brightness
    return np.asarray(np.clip(np.rint(levels), 0, 255), np.uint8)


def _coordinates(shape: tuple[int, ...]) -> tuple[FloatArray, FloatArray]:
    """Rows (height, 1) and columns (1, width), from -1 to 1."""
    height, width, _ = shape
    return np.linspace(-1, 1, height)[:, np.newaxis], np.linspace(-1, 1, width)[np.newaxis, :]


def _gradient(random: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    """A background (height, width, channels) that runs from one colour to another in any direction."""
    rows, columns = _coordinates(shape)
    angle = random.uniform(0, 2 * math.pi)
    ramp = (rows * math.sin(angle) + columns * math.cos(angle))[:, :, np.newaxis]
    return np.asarray(_colour(random, shape) + ramp * 0.5 * _colour(random, shape))


def _add_shape(random: np.random.Generator, scene: FloatArray) -> None:
    """Draws an ellipse or a rectangle of one colour, turned by any angle."""
    rows, columns = _coordinates(scene.shape)
    angle = random.uniform(0, math.pi)
    centre_row, centre_column = random.uniform(-1, 1, 2)
    half_height, half_width = random.uniform(0.08, 0.8, 2)
    down, right = rows - centre_row, columns - centre_column
    along = (down * math.sin(angle) + right * math.cos(angle)) / half_width
    across = (down * math.cos(angle) - right * math.sin(angle)) / half_height
    inside = along**2 + across**2 < 1 if random.random() < 0.5 else np.maximum(abs(along), abs(across)) < 1
    scene[inside] = _colour(random, scene.shape)


def _noise(random: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    """Noise (height, width, channels) of mean 0 and deviation 1 whose amplitude falls with frequency."""
    height, width, channels = shape
    frequency = np.hypot(np.fft.fftfreq(height)[:, np.newaxis], np.fft.rfftfreq(width)[np.newaxis, :])
    frequency[0, 0] = np.inf
    amplitude = frequency ** -random.uniform(0.8, 1.4)
    # Channels of natural images are much alike.
    common = random.standard_normal((height, width, 1))
    white = common + 0.3 * random.standard_normal((height, width, channels))
    spectrum = np.fft.rfft2(white, axes=(0, 1)) * amplitude[:, :, np.newaxis]
    noise = np.fft.irfft2(spectrum, s=(height, width), axes=(0, 1))
    return np.asarray(noise / max(float(noise.std()), 1e-12))


def _colour(random: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    """A colour around a gray level, (channels,)."""
    return random.uniform(-1, 1) + 0.35 * random.standard_normal(shape[2])

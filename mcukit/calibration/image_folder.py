# SPDX-License-Identifier: Apache-2.0
"""Images from a folder, and their classes from a CSV file."""

from __future__ import annotations

__all__ = ["image_paths", "read_images", "read_labels"]

import csv
import io
import math
import re
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from mcukit.calibration.array_file import LARGEST_ARRAY
from mcukit.errors import McukitError, Problem

SUFFIXES = frozenset((".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"))

# Those formats that Pillow decodes by itself: PostScript, for one, would start a program.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_MODES = {1: "L", 3: "RGB"}
_MOST_PIXELS = 1 << 26
_LARGEST_CSV = 64 << 20
_MOST_PROBLEMS = 20


def image_paths(folder: Path) -> tuple[Path, ...]:
    """The images of a folder by name; hidden files and other kinds of files are left out.

    Raises McukitError "unreadable-data", or "empty-data" if there are none.
    """
    try:
        entries = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES]
    except OSError as error:
        raise McukitError("unreadable-data", f"can't be read: {error.strerror}", where=str(folder)) from error
    paths = sorted((path for path in entries if not path.name.startswith(".")), key=lambda path: path.name)
    if not paths:
        raise McukitError(
            "empty-data",
            "there are no images in this folder",
            where=str(folder),
            hint=f"images end in {', '.join(sorted(SUFFIXES))}; folders in it are not searched",
        )
    return tuple(paths)


def read_images(paths: Sequence[Path], shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """Images as uint8 (N, height, width, channels), each resized as a whole, bilinearly and antialiased.

    shape: (height, width, channels), 1 channel for gray levels or 3 for RGB. An alpha channel is dropped.
    Raises McukitError "wrong-shape", "unsafe-data", or "unreadable-data" with all such files.
    """
    if len(shape) != 3 or shape[2] not in _MODES:
        raise McukitError(
            "wrong-shape",
            f"images can't become the model's input of shape {shape}",
            hint="images have 1 or 3 channels; give an .npz file instead",
        )
    size = len(paths) * math.prod(shape)
    if size > LARGEST_ARRAY:
        raise McukitError(
            "unsafe-data",
            f"{len(paths)} images take {size} bytes, more than {LARGEST_ARRAY}",
            where=str(paths[0].parent),
            hint="give fewer images",
        )
    images = np.empty((len(paths), *shape), np.uint8)
    problems: list[Problem] = []
    for index, path in enumerate(paths):
        try:
            images[index] = _read_image(path, shape)
        except McukitError as error:
            problems.extend(error.problems)
            if len(problems) == _MOST_PROBLEMS:
                break
    if problems:
        raise McukitError.collect(problems)
    return images


def _read_image(path: Path, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    height, width, channels = shape
    try:
        # Pillow warns of damaged metadata, of which nothing is used, and of large images, refused below.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=_FORMATS) as image:
                _check_image(image, path)
                converted = image.convert(_MODES[channels])
                resized = converted.resize((width, height), Image.Resampling.BILINEAR)
    except McukitError:
        raise
    except Image.DecompressionBombError as error:
        raise _too_large(path) from error
    except Exception as error:  # damaged images make Pillow's decoders raise nearly anything
        raise McukitError(
            "unreadable-data",
            f"this image can't be read: {str(error).replace(repr(str(path)), 'it')}",
            where=str(path),
            hint="save it again or take it away",
        ) from error
    return np.asarray(resized, np.uint8).reshape(shape)


def _check_image(image: Image.Image, path: Path) -> None:
    """Refuses images by their headers, before a pixel is decoded."""
    if image.width * image.height > _MOST_PIXELS:
        raise _too_large(path)
    if image.mode.startswith(("I", "F")):
        raise McukitError(
            "unreadable-data",
            "this image has more than 8 bits per channel",
            where=str(path),
            hint="save it with 8 bits, or give an .npz file with the values that the model was trained on",
        )


def _too_large(path: Path) -> McukitError:
    return McukitError(
        "unsafe-data",
        f"this image has more than {_MOST_PIXELS} pixels",
        where=str(path),
        hint="make it smaller, the model sees a small picture anyway",
    )


def read_labels(path: Path, names: Sequence[str]) -> npt.NDArray[np.int64]:
    """The classes of images from a CSV file with the columns `image`, a file name, and `class`, 0 or more.

    names: of the images; the classes come in this order. Other columns are ignored.
    Every image must have one line.
    Raises McukitError "unreadable-labels", or "wrong-labels" with all that is wrong.
    """
    reader = csv.DictReader(io.StringIO(_csv_text(path)), strict=True)
    wanted = frozenset(names)
    classes: dict[str, int] = {}
    problems: list[Problem] = []
    try:
        columns: Sequence[str] = reader.fieldnames or ()
        if not {"image", "class"} <= set(columns):
            raise McukitError(
                "wrong-labels",
                "the first line must name the columns image and class",
                where=str(path),
                hint='for example "image,class", then a line "cat.jpg,3" for each image',
            )
        for row in reader:
            reason = _row_problem(row, wanted, classes)
            if reason:
                problems.append(Problem("wrong-labels", reason, f"{path}: line {reader.line_num}"))
            else:
                classes[row["image"]] = int(row["class"])
    except csv.Error as error:
        where = f"{path}: line {reader.reader.line_num}"
        raise McukitError("unreadable-labels", f"is not CSV: {error}", where=where) from error
    missing = [name for name in names if name not in classes]
    problems += [Problem("wrong-labels", f"there is no class for {name}", str(path)) for name in missing]
    if problems:
        raise McukitError.collect(problems[:_MOST_PROBLEMS])
    return np.array([classes[name] for name in names], np.int64)


def _row_problem(row: dict[str, str | None], wanted: frozenset[str], classes: dict[str, int]) -> str:
    """What is wrong with a line of labels; nothing if it is right."""
    name, number = row["image"], row["class"]
    if name not in wanted:
        return f"there is no image {name!r} in the folder"
    if name in classes:
        return f"{name} was there before"
    # int() would also take signs, underscores and the digits of other scripts.
    if number is None or not re.fullmatch("[0-9]{1,9}", number.strip()):
        return f"{number!r} is not a class: it must be a whole number of 0 or more"
    return ""


def _csv_text(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST_CSV:
            raise McukitError("unreadable-labels", f"has more than {_LARGEST_CSV} bytes", where=str(path))
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise McukitError("unreadable-labels", f"can't be read: {error.strerror}", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise McukitError("unreadable-labels", "is not a UTF-8 text file", where=str(path)) from error

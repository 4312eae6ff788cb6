# SPDX-License-Identifier: Apache-2.0
"""mcukit.toml, which lies beside a model and says once what every command would have to be told.

calibration = "images"          # an .npz or .npy file or a folder of images, from this file's folder
scale = "1/255"                 # the network's input is (x * scale - mean) / std
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
ranges = "percentile"
board = "nucleo_h743zi"
sram = 262_144                  # bytes, as flash

A table [check] may follow: see mcukit.budgets.
"""

from __future__ import annotations

__all__ = ["SETTINGS_NAME", "Settings", "default_calibration", "read_settings"]

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path

from mcukit.boards import is_board_path
from mcukit.budgets import CheckSettings, check_table
from mcukit.calibration.preprocessing import Preprocessing, parse_numbers
from mcukit.calibration.ranges import RANGE_METHODS
from mcukit.errors import McukitError
from mcukit.toml_table import TomlTable, read_toml

SETTINGS_NAME = "mcukit.toml"
CALIBRATION_NAME = "calibration.npz"

_LARGEST_MEMORY = 1 << 32
_MOST_CHANNELS = 4096


@dataclass(frozen=True)
class Settings:
    """What mcukit.toml says; None for what it leaves open.

    calibration: path of the calibration data, made absolute or relative as the settings file's own path is.
    preprocessing: None if none of scale, mean and std is given. ranges: a key of RANGE_METHODS.
    board: an id, or the path of a board's TOML file. sram, flash: budgets in bytes. check: what a build
    is compared with.
    """

    calibration: Path | None = None
    preprocessing: Preprocessing | None = None
    ranges: str | None = None
    board: str | None = None
    sram: int | None = None
    flash: int | None = None
    check: CheckSettings | None = None


def default_calibration(model_path: Path) -> Settings:
    """The settings beside a model, with `calibration.npz` as calibration data if they name none.

    All is None where neither file is beside the model. Errors as in read_settings.
    """
    settings_path = model_path.parent / SETTINGS_NAME
    settings = read_settings(settings_path) if settings_path.exists() else Settings()
    data = model_path.parent / CALIBRATION_NAME
    if settings.calibration is None and data.is_file():
        return replace(settings, calibration=data)
    return settings


def read_settings(path: Path) -> Settings:
    """The settings of a file.

    Raises McukitError "unreadable-file", or "invalid-file" with all that is wrong in it: wrong types, numbers
    that are not finite, a scale or std of 0, unknown keys.
    """
    table = read_toml(path)
    settings = Settings(
        calibration=_calibration(table, path.parent),
        preprocessing=_preprocessing(table),
        ranges=table.choice("ranges", RANGE_METHODS) if table.has("ranges") else None,
        board=_board(table, path.parent),
        sram=table.integer("sram", 1, _LARGEST_MEMORY) if table.has("sram") else None,
        flash=table.integer("flash", 1, _LARGEST_MEMORY) if table.has("flash") else None,
        check=check_table(table) if table.has("check") else None,
    )
    table.refuse_unknown()
    table.raise_problems()
    return settings


def _calibration(table: TomlTable, folder: Path) -> Path | None:
    if not table.has("calibration"):
        return None
    name = table.text("calibration", pattern=r"[^\0]{1,1000}", hint="give a path")
    path = folder / name
    if name and not path.exists():
        table.problem("calibration", f"{path} does not exist", f"paths start at {folder}")
    return path


def _board(table: TomlTable, folder: Path) -> str | None:
    """An id as it is; the path of a board file from the folder of the settings."""
    if not table.has("board"):
        return None
    board = table.text("board", pattern=r"[^\0]{1,1000}", hint="give an id or a path")
    return str(folder / board) if is_board_path(board) else board


def _preprocessing(table: TomlTable) -> Preprocessing | None:
    keys = ("scale", "mean", "std")
    # A list, because has() notes each key as known.
    if True not in [table.has(key) for key in keys]:
        return None
    scale = _numbers(table, "scale", (1.0,))
    mean = _numbers(table, "mean", (0.0,))
    std = _numbers(table, "std", (1.0,))
    if len(scale) != 1:
        table.problem("scale", f"there are {len(scale)} numbers, not one", "mean and std can be per channel")
    for key, numbers in (("scale", scale), ("std", std)):
        if 0.0 in numbers:
            table.problem(key, "must not be 0")
    return Preprocessing(scale[0], mean, std)


def _numbers(table: TomlTable, key: str, default: tuple[float, ...]) -> tuple[float, ...]:
    """A number, a fraction such as "1/255", or a list of these, one for each channel."""
    if not table.has(key):
        return default
    value = table.value(key)
    items = value if isinstance(value, list) else [value]
    if not 0 < len(items) <= _MOST_CHANNELS:
        table.problem(key, f"there are {len(items)} numbers")
        return default
    return tuple(number for item in items for number in _parsed(table, key, item))


def _parsed(table: TomlTable, key: str, item: object) -> tuple[float, ...]:
    if not isinstance(item, str):
        return (table.number(item, key),)
    if len(item) > 1000 or re.search(r"[^\d\s.,/eE+-]", item):
        table.problem(key, "this text is not a number", 'for example 0.5, "1/255" or [0.485, 0.456, 0.406]')
        return (math.nan,)
    try:
        return parse_numbers(item, key)
    except McukitError as error:
        for problem in error.problems:
            table.problem(key, problem.message, problem.hint)
        return (math.nan,)

# SPDX-License-Identifier: Apache-2.0
"""mcukit.toml beside a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcukit.calibration.preprocessing import Preprocessing
from mcukit.calibration.settings import Settings, default_calibration, read_settings
from mcukit.errors import McukitError

FULL = """
calibration = "images"
scale = "1/255"
mean = [0.485, 0.456, "0.406"]
std = "0.229 0.224 0.225"
ranges = "percentile"
board = "boards/mine.toml"
sram = 262_144
flash = 0x10_0000
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The path of a model in a folder of its own; the model itself is never looked at."""
    return tmp_path / "model.onnx"


def test_nothing_beside_the_model(model: Path) -> None:
    assert default_calibration(model) == Settings()


def test_all_settings(model: Path) -> None:
    (model.parent / "images").mkdir()
    (model.parent / "mcukit.toml").write_text(FULL)
    assert default_calibration(model) == Settings(
        calibration=model.parent / "images",
        preprocessing=Preprocessing(1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ranges="percentile",
        board=str(model.parent / "boards/mine.toml"),
        sram=262_144,
        flash=1 << 20,
    )


def test_calibration_npz_serves_unless_the_settings_name_other_data(model: Path) -> None:
    data, other = model.parent / "calibration.npz", model.parent / "other.npz"
    settings = model.parent / "mcukit.toml"
    data.touch()
    other.touch()
    assert default_calibration(model) == Settings(calibration=data)
    settings.write_text('board = "nucleo_f446re"')
    assert default_calibration(model) == Settings(calibration=data, board="nucleo_f446re")
    settings.write_text('calibration = "other.npz"')
    assert default_calibration(model) == Settings(calibration=other)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("scale = 2", Preprocessing(2.0)),
        ('mean = "127.5"', Preprocessing(mean=(127.5,))),
        ("std = [1, 2, 3]", Preprocessing(std=(1.0, 2.0, 3.0))),
    ],
)
def test_preprocessing_may_be_given_in_part(model: Path, text: str, expected: Preprocessing) -> None:
    (model.parent / "mcukit.toml").write_text(text)
    assert default_calibration(model).preprocessing == expected


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("scael = 1", "scael", "is not known"),
        ("scale = true", "scale", "True is not a number"),
        ("scale = nan", "scale", "nan is not a number"),
        ("scale = inf", "scale", "inf is not a number"),
        (f"scale = 0x{'f' * 1000}", "scale", "is not a number"),
        ("scale = 0", "scale", "must not be 0"),
        ("scale = [1, 2]", "scale", "there are 2 numbers, not one"),
        ('scale = "1/0"', "scale", "'1/0' is not a number"),
        ('scale = "__import__"', "scale", "this text is not a number"),
        (f'scale = "{"1" * 2000}"', "scale", "this text is not a number"),
        ("std = [1, 0.0]", "std", "must not be 0"),
        ("mean = []", "mean", "there are 0 numbers"),
        ("mean = {r = 1}", "mean", "is not a number"),
        ("mean = 1979-05-27", "mean", "is not a number"),
        ('ranges = "widest"', "ranges", "'widest' is not known"),
        ("ranges = 1", "ranges", "1 is not a string"),
        ("calibration = 5", "calibration", "5 is not a string"),
        ('calibration = ""', "calibration", "'' is not allowed"),
        ('calibration = "a\\u0000b"', "calibration", "is not allowed"),
        ('calibration = "absent.npz"', "calibration", "does not exist"),
        ("board = []", "board", "[] is not a string"),
        ("sram = 0", "sram", "0 is not in the range 1 to 4294967296"),
        ("sram = 1.5", "sram", "1.5 is not an integer"),
        ('flash = "1 MB"', "flash", "'1 MB' is not an integer"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, key: str, message: str) -> None:
    path = tmp_path / "mcukit.toml"
    path.write_text(text)
    with pytest.raises(McukitError) as caught:
        read_settings(path)
    (problem,) = caught.value.problems
    assert (problem.code, problem.where) == ("invalid-file", f"{path}: {key}")
    assert message in problem.message


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    path = tmp_path / "mcukit.toml"
    path.write_text("sram = -1\nbord = 'x'\nstd = 0\nmean = 'a'")
    with pytest.raises(McukitError) as caught:
        read_settings(path)
    assert [problem.where.split(": ")[1] for problem in caught.value.problems] == [
        "bord",
        "mean",
        "sram",
        "std",
    ]


def test_settings_that_can_not_be_read_are_not_passed_over(model: Path) -> None:
    (model.parent / "mcukit.toml").mkdir()
    with pytest.raises(McukitError, match="this is not a file"):
        default_calibration(model)

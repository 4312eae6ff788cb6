# SPDX-License-Identifier: Apache-2.0
"""The demo data: the same bytes everywhere, balanced, and no digit in two splits."""

from __future__ import annotations

import hashlib
import importlib
import sys
from typing import get_args

import numpy as np
import pytest

from mcukit.demo import data
from mcukit.demo.data import MAX_COUNT, Split, digit_indices, digits_on_canvas
from mcukit.errors import McukitError

SPLITS: tuple[Split, ...] = get_args(Split)

# SHA-256 of the pixels and labels of digits_on_canvas(split, 20, seed), labels as little-endian int64.
HASHES: list[tuple[Split, int, str]] = [
    ("train", 0, "7d74e022a409f2f9fbf584a8243a9fbea2e0cca73b00ba42a99cacf8808df29c"),
    ("calibration", 1, "c7e51d41ce660490d62dc05265cf0ca1222cffbc2cb0736b3b08d1e3e4d477d6"),
    ("evaluation", 2**40, "3284f8e4832b054faccf37e965b12a0bb590aeb52de5c25c508168ab266a74ff"),
]


@pytest.mark.parametrize(("split", "seed", "expected"), HASHES)
def test_bytes_are_pinned(split: Split, seed: int, expected: str) -> None:
    images, labels = digits_on_canvas(split, 20, seed)
    assert hashlib.sha256(images.tobytes() + labels.astype("<i8").tobytes()).hexdigest() == expected


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("count", [0, 1, 23])
def test_shapes_and_types(split: Split, count: int) -> None:
    images, labels = digits_on_canvas(split, count, seed=1)
    assert images.shape == (count, 96, 96, 3)
    assert images.dtype == np.uint8
    assert labels.shape == (count,)
    assert labels.dtype == np.int64


def test_no_digit_is_in_two_splits() -> None:
    indices = np.concatenate([digit_indices(split) for split in SPLITS])
    assert sorted(indices.tolist()) == list(range(1797))


def test_no_two_digits_are_alike() -> None:
    """Otherwise splits with no index in common could still share a digit."""
    digits = importlib.import_module("sklearn.datasets").load_digits()
    assert len(np.unique(digits.images.reshape(1797, 64), axis=0)) == 1797


@pytest.mark.parametrize(("split", "share"), [("train", 0.7), ("calibration", 0.1), ("evaluation", 0.2)])
def test_every_class_has_its_share_of_each_split(split: Split, share: float) -> None:
    target = importlib.import_module("sklearn.datasets").load_digits().target
    of_split = np.bincount(target[digit_indices(split)], minlength=10)
    assert np.all(np.abs(of_split - share * np.bincount(target)) < 10)


def test_images_show_digits_of_their_own_split_and_label(monkeypatch: pytest.MonkeyPatch) -> None:
    bitmaps, bitmap_labels = data._bitmaps()
    drawn: list[int] = []
    draw_image = data._draw_image

    def recording(stream: data._Stream, bitmap: data._Integers) -> data._Bytes:
        drawn.append(int(np.flatnonzero((bitmaps == bitmap).all(axis=(1, 2)))[0]))
        return draw_image(stream, bitmap)

    monkeypatch.setattr(data, "_draw_image", recording)
    for split in SPLITS:
        drawn.clear()
        _, labels = digits_on_canvas(split, 60, seed=2)
        assert set(drawn) <= set(digit_indices(split).tolist())
        assert bitmap_labels[drawn].tolist() == labels.tolist()


@pytest.mark.parametrize("split", SPLITS)
def test_every_ten_images_show_each_class_once(split: Split) -> None:
    _, labels = digits_on_canvas(split, 50, seed=3)
    assert all(sorted(ten) == list(range(10)) for ten in labels.reshape(5, 10).tolist())
    assert labels[:10].tolist() != labels[10:20].tolist()


def test_fewer_images_are_the_first_of_more() -> None:
    few, few_labels = digits_on_canvas("train", 7, seed=4)
    many, many_labels = digits_on_canvas("train", 13, seed=4)
    assert np.array_equal(few, many[:7])
    assert np.array_equal(few_labels, many_labels[:7])


def test_splits_and_seeds_give_different_images() -> None:
    samples = [digits_on_canvas(split, 1, seed)[0].tobytes() for split in SPLITS for seed in (0, 1)]
    assert len(set(samples)) == len(samples)


def test_a_digit_stands_out_from_its_background() -> None:
    """Ink and background differ by at least 96 levels before tints and noise, so part of it always shows."""
    images, _ = digits_on_canvas("evaluation", 50, seed=5)
    brightness = images.mean(axis=3)
    assert np.all(np.ptp(brightness, axis=(1, 2)) > 60)


@pytest.mark.parametrize(
    ("split", "count", "seed", "where", "message"),
    [
        ("test", 1, 0, "split", "there is no split 'test'"),
        ("train", -1, 0, "count", "-1 images can't be drawn"),
        ("train", MAX_COUNT + 1, 0, "count", "100001 images can't be drawn"),
        ("train", 1, -1, "seed", "the seed -1 is negative"),
    ],
)
def test_refuses_arguments_out_of_range(split: Split, count: int, seed: int, where: str, message: str) -> None:
    with pytest.raises(McukitError) as caught:
        digits_on_canvas(split, count, seed)
    (problem,) = caught.value.problems
    assert (problem.code, problem.where, problem.message) == ("bad-option", where, message)


def test_says_how_to_install_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    data._bitmaps.cache_clear()
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(McukitError) as caught:
        digits_on_canvas("train", 1, seed=0)
    (problem,) = caught.value.problems
    assert (problem.code, problem.hint) == ("missing-package", "pip install 'mcukit[demo]'")

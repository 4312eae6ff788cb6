# SPDX-License-Identifier: Apache-2.0
"""Accuracy on labels whose right answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from mcukit.calibration.data import Dataset
from mcukit.emulation.reference import run_reference
from mcukit.errors import McukitError
from mcukit.workflow.build import Build
from mcukit.workflow.evaluate import Evaluation, _accuracy, evaluate

COUNT = 70


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (COUNT, 6, 6, 2)).astype(np.uint8)


@pytest.fixture(scope="module")
def ranking(small: Build, images: np.ndarray) -> np.ndarray:
    """Classes of each image from the likeliest to the least likely."""
    scores = run_reference(small.model, small.quantize_inputs(images)).outputs[0].reshape(COUNT, -1)
    ranked: np.ndarray = np.argsort(-scores.astype(int), axis=1, kind="stable")
    return ranked


def dataset(images: np.ndarray, labels: np.ndarray | None) -> Dataset:
    return Dataset(images, labels, tuple(f"image {index}" for index in range(len(images))))


def score(build: Build, images: np.ndarray, labels: np.ndarray | None) -> Evaluation:
    return evaluate(build, dataset(images, labels), "reference")


@pytest.mark.parametrize(("rank", "top1", "top5"), [(0, 100.0, 100.0), (1, 0.0, 100.0), (4, 0.0, 100.0), (5, 0.0, 0.0)])
def test_labels_of_a_known_rank(
    rank: int, top1: float, top5: float, small: Build, images: np.ndarray, ranking: np.ndarray
) -> None:
    result = score(small, images, ranking[:, rank])
    assert (result.n, result.top1, result.top5) == (COUNT, top1, top5)
    assert result.agreement is not None
    assert result.agreement > 50
    assert result.error is not None


def test_the_c_on_the_host_scores_the_same(small: Build, images: np.ndarray, ranking: np.ndarray) -> None:
    labels = np.where(np.arange(COUNT) % 7 == 0, ranking[:, 0], ranking[:, 6])
    found, expected = (evaluate(small, dataset(images, labels), on) for on in ("host", "reference"))
    assert (found.top1, found.top5, found.error) == (expected.top1, expected.top5, expected.error)
    assert found.top1 == pytest.approx(100 * 10 / COUNT)


@pytest.mark.parametrize(
    ("labels", "code"),
    [
        (None, "missing-labels"),
        (np.full(COUNT, 7), "wrong-labels"),
        (np.full(COUNT, -1), "wrong-labels"),
        (np.zeros(COUNT - 1, np.int64), "wrong-labels"),
    ],
    ids=["none", "too large", "negative", "too few"],
)
def test_labels_that_fit_no_output_are_refused(
    labels: np.ndarray | None, code: str, small: Build, images: np.ndarray
) -> None:
    with pytest.raises(McukitError) as caught:
        score(small, images, labels)
    assert caught.value.problems[0].code == code
    assert caught.value.problems[0].hint


def test_no_images_are_refused(small: Build, images: np.ndarray) -> None:
    with pytest.raises(McukitError, match="at least one image"):
        score(small, images[:0], np.zeros(0, np.int64))


def test_a_single_value_names_no_class(small: Build, images: np.ndarray) -> None:
    """Every image would be right: there is no other class."""
    one = small.model.outputs[0].shape[-1]
    assert one > 1
    with pytest.raises(McukitError, match="has one value for each image") as caught:
        _accuracy(np.zeros((COUNT, 1), np.float32), np.zeros(COUNT, np.int64))
    assert caught.value.problems[0].code == "unsuitable-network"

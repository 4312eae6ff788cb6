# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from mcukit.simulation.output_distance import default_distance, normalized_error, softmax_divergence
from tests.float_networks import classifier
from tests.planning.networks import NETWORKS

LOGITS = np.random.default_rng(1).normal(size=(6, 5)).astype(np.float32)


def test_the_divergence_follows_its_definition() -> None:
    other = LOGITS[::-1].copy()
    p, q = (np.exp(values.astype(float)) for values in (LOGITS, other))
    p, q = p / p.sum(axis=1, keepdims=True), q / q.sum(axis=1, keepdims=True)
    expected = (p * np.log(p / q)).sum(axis=1).mean()

    assert softmax_divergence([LOGITS], [other]) == pytest.approx(expected)
    assert softmax_divergence([LOGITS, LOGITS], [other, LOGITS]) == pytest.approx(expected / 2)
    assert softmax_divergence([LOGITS], [LOGITS]) == 0.0
    # A softmax does not see what is added to all logits.
    assert softmax_divergence([LOGITS], [LOGITS + 3]) == pytest.approx(0.0, abs=1e-9)


def test_large_logits_overflow_nothing() -> None:
    large = np.array([[1000.0, 0.0]], np.float32)
    assert softmax_divergence([large], [large / 2]) == pytest.approx(0.0)
    assert softmax_divergence([large], [-large]) == pytest.approx(1000.0)


def test_the_error_is_relative_to_the_variance() -> None:
    assert normalized_error([LOGITS], [LOGITS + 2]) == pytest.approx(4 / LOGITS.astype(float).var(), rel=1e-6)
    assert normalized_error([LOGITS * 10], [LOGITS * 10 + 20]) == pytest.approx(
        normalized_error([LOGITS], [LOGITS + 2])
    )
    assert normalized_error([LOGITS * 0], [LOGITS * 0 + 2]) == 4.0


def test_only_a_softmax_says_that_outputs_are_classes() -> None:
    assert default_distance(classifier()) is softmax_divergence
    assert default_distance(NETWORKS["residual"]()) is normalized_error

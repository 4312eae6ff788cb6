# SPDX-License-Identifier: Apache-2.0
"""Least squares without negative coefficients."""

from __future__ import annotations

__all__ = ["fit_costs"]

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_TOLERANCE = 1e-10


def fit_costs(counts: Sequence[Sequence[int]], totals: Sequence[int]) -> Floats:
    """The coefficients x >= 0 for which counts @ x is nearest to the totals, relative to each total.

    counts: (samples, features). totals: (samples,), positive. A feature that is 0 in all samples gets 0.
    """
    matrix = np.asarray(counts, np.float64) / np.asarray(totals, np.float64)[:, None]
    norms = np.linalg.norm(matrix, axis=0)
    # Columns of equal length: counts of bytes and of calls differ by orders of magnitude.
    scales = np.where(norms > 0, norms, 1.0)
    return _non_negative(matrix / scales, np.ones(len(totals))) / scales


def _non_negative(matrix: Floats, target: Floats) -> Floats:
    """Lawson and Hanson's active set method (Solving Least Squares Problems, 1974, chapter 23)."""
    size = matrix.shape[1]
    solution, free = np.zeros(size), np.zeros(size, bool)
    for _ in range(10 * size):
        gradient = matrix.T @ (target - matrix @ solution)
        gradient[free] = -np.inf
        if gradient.max(initial=-np.inf) <= _TOLERANCE:
            return solution
        free[np.argmax(gradient)] = True
        candidate = _solve(matrix, target, free)
        while candidate[free].min(initial=np.inf) <= 0:
            # As far towards the candidate as no coefficient turns negative; those that reach 0 leave.
            falling = free & (candidate <= 0)
            ratios = solution[falling] / (solution[falling] - candidate[falling])
            solution = solution + ratios.min() * (candidate - solution)
            free &= solution > _TOLERANCE
            solution[~free] = 0.0
            candidate = _solve(matrix, target, free)
        solution = candidate
    raise ArithmeticError("the least squares did not converge")


def _solve(matrix: Floats, target: Floats, free: npt.NDArray[np.bool_]) -> Floats:
    """Ordinary least squares over the free columns, 0 elsewhere."""
    solution = np.zeros(matrix.shape[1])
    solution[free] = np.linalg.lstsq(matrix[:, free], target, rcond=None)[0]
    return solution

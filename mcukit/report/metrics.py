# SPDX-License-Identifier: Apache-2.0
"""How far quantized values are from float ones, under the names that ST's tools use."""

from __future__ import annotations

__all__ = ["ErrorMetrics", "compare"]

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class ErrorMetrics:
    """rmse, mae: root mean square and mean absolute error, in the map's real units.

    l2r: |error| / |float|, L2 relative. nse: 1 - sum error^2 / sum (float - mean)^2, Nash-Sutcliffe efficiency.
    cosine: cosine of the angle between both. nse and cosine are 1.0 where nothing differs.
    """

    rmse: float
    mae: float
    l2r: float
    nse: float
    cosine: float


def compare(expected: npt.NDArray[np.floating], found: npt.NDArray[np.floating]) -> ErrorMetrics:
    """Metrics of two arrays of the same shape."""
    reference = expected.astype(np.float64).ravel()
    values = found.astype(np.float64).ravel()
    error = values - reference
    squares = float(error @ error)
    norm = float(np.sqrt(reference @ reference))
    spread = float(((reference - reference.mean()) ** 2).sum())
    lengths = norm * float(np.sqrt(values @ values))
    return ErrorMetrics(
        rmse=float(np.sqrt(squares / max(error.size, 1))),
        mae=float(np.abs(error).mean()) if error.size else 0.0,
        l2r=_ratio(float(np.sqrt(squares)), norm),
        nse=1.0 - _ratio(squares, spread),
        cosine=float(reference @ values) / lengths if lengths > 0 else float(squares == 0.0),
    )


def _ratio(part: float, whole: float) -> float:
    """part / whole; 0 for nothing of nothing. A map that is constant makes any error infinitely large: capped."""
    if part == 0.0:
        return 0.0
    return min(part / whole, 1e9) if whole > 0.0 else 1e9

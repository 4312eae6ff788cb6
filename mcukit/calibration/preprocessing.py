# SPDX-License-Identifier: Apache-2.0
"""How stored values become the network's input: (x * scale - mean) / std."""

from __future__ import annotations

__all__ = ["IDENTITY", "Preprocessing", "parse_numbers"]

import math
import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcukit.errors import McukitError


@dataclass(frozen=True)
class Preprocessing:
    """mean and std: one number, or one per channel."""

    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def apply(self, values: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        """float32 of the same shape (..., channels)."""
        channels = values.shape[-1]
        for option, numbers in (("--mean", self.mean), ("--std", self.std)):
            if len(numbers) not in (1, channels):
                raise McukitError(
                    "wrong-option",
                    f"{len(numbers)} numbers given for an input of {channels} channels",
                    where=option,
                    hint="give one number, or one for each channel",
                    exit_code=2,
                )
        mean = np.array(self.mean, np.float32)
        std = np.array(self.std, np.float32)
        return (values.astype(np.float32) * np.float32(self.scale) - mean) / std

    def formula(self) -> str:
        """As people write it: "(x * 0.00392157 - 0.5) / 0.25", one per channel where they differ."""
        terms = [
            f"(x * {self.scale:.9g} - {mean:.9g}) / {std:.9g}"
            for mean, std in zip(
                self.mean * (len(self.std) if len(self.mean) == 1 else 1),
                self.std * (len(self.mean) if len(self.std) == 1 else 1),
                strict=False,
            )
        ]
        return ", ".join(dict.fromkeys(terms)) if len(set(terms)) == 1 else "; ".join(terms)

    def to_json(self) -> dict[str, object]:
        return {"scale": self.scale, "mean": list(self.mean), "std": list(self.std)}


IDENTITY = Preprocessing()


def parse_numbers(text: str, option: str) -> tuple[float, ...]:
    """Numbers separated by commas or blanks; fractions such as 1/255 are accepted."""
    numbers = []
    for word in re.split(r"\s*,\s*|\s+", text.strip()) if text.strip() else ():
        numerator, _, denominator = word.partition("/")
        try:
            number = float(numerator) / float(denominator) if denominator else float(word)
        except (ValueError, ZeroDivisionError):
            number = math.nan
        if not math.isfinite(number):
            raise McukitError(
                "wrong-option",
                f"'{word}' is not a number",
                where=option,
                hint="for example 1/255 or 0.485",
                exit_code=2,
            )
        numbers.append(number)
    if not numbers:
        raise McukitError("wrong-option", "no number given", where=option, exit_code=2)
    return tuple(numbers)

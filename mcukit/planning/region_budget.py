# SPDX-License-Identifier: Apache-2.0
"""What planning knows of a memory region. Apart from what uses it, so that listing boards loads no arithmetic."""

from __future__ import annotations

__all__ = ["RegionBudget"]

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class RegionBudget:
    """What a plan may use of a memory region.

    kind: constants in RAM are copies of what is in flash. dma: whether DMA reaches the region: where it does not, the
    network's input can't be there, because cameras and other peripherals write it.
    """

    name: str
    bytes: int
    kind: Literal["ram", "flash"] = "ram"
    dma: bool = True

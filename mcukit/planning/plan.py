# SPDX-License-Identifier: Apache-2.0
"""The Plan: when which rows of which maps are computed, and where in memory every buffer lies, as data."""

from __future__ import annotations

__all__ = ["DEFAULT_REGION", "Halo", "Place", "Plan", "Stage"]

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

DEFAULT_REGION = "ram"
"""The memory region of plans that were made for no particular board."""


class Halo(StrEnum):
    """What happens to rows that neighbouring tiles both need.

    KEPT: layers advance row by row, each as soon as its input rows are there, and rows stay in rings until their last
    reader has read them. RECOMPUTED: each tile is computed layer by layer, and computes the rows that it needs itself.
    Columns that neighbouring tiles both need are computed again either way.
    """

    KEPT = "kept"
    RECOMPUTED = "recomputed"


@dataclass(frozen=True)
class Stage:
    """Layers that run together, before any later one.

    layers: names of consecutive layers. Views, which compute nothing, are not among them.
    tile_rows, tile_columns: the grid that the stage's output is cut into; tiles run one after the other.
    halo: with KEPT tile_rows is 1, since rows advance one by one anyway.
    """

    layers: tuple[str, ...]
    tile_rows: int = 1
    tile_columns: int = 1
    halo: Halo = Halo.RECOMPUTED

    @property
    def tiled(self) -> bool:
        return self.tile_rows > 1 or self.tile_columns > 1

    @property
    def schedule(self) -> str:
        """What this is called: "layers", "stream", "patches" or "strips"."""
        if self.halo is Halo.KEPT:
            return "strips" if self.tiled else "stream"
        return "patches" if self.tiled else "layers"


@dataclass(frozen=True)
class Place:
    """Where a buffer lies.

    region: the memory region. offset, bytes: in that region's arena. rows, columns: of the map, as many as are held at
    a time; row y is at row y modulo `rows` of the buffer. Both are 0 for scratch.
    """

    region: str
    offset: int
    bytes: int
    rows: int = 0
    columns: int = 0

    @property
    def end(self) -> int:
        return self.offset + self.bytes


@dataclass(frozen=True)
class Plan:
    """A schedule with its memory.

    stages: every layer that computes something, in the model's order.
    pushed: whether the application hands over the input row by row; the input then is a ring of the first stage.
    maps: place of every map by tensor name; maps share a place where one is a view of the other or overwrites it.
    scratch: place of the working memory of each layer that needs some, by layer name.
    arenas: bytes of each region's arena.
    weights: region of a layer's constants, by layer name, where that is not the default: the board's first region of
        flash, or wherever constants go that the linker is told nothing of. A region of RAM holds a copy, made before
        the first inference, of constants that are in the default region.
    """

    stages: tuple[Stage, ...]
    pushed: bool
    maps: Mapping[str, Place]
    scratch: Mapping[str, Place]
    arenas: Mapping[str, int]
    weights: Mapping[str, str] = field(default_factory=dict)

    @property
    def arena_bytes(self) -> int:
        """All maps and scratch, in all regions."""
        return sum(self.arenas.values())

    @property
    def schedule(self) -> str:
        """What the stages are called, in their order and each once: "layers", "stream", "patches+layers" ..."""
        return "+".join(dict.fromkeys(stage.schedule for stage in self.stages)) or "layers"

# SPDX-License-Identifier: Apache-2.0
"""The Plan: the schedule of a network and the place of every buffer, as data."""

from __future__ import annotations

__all__ = ["PLAN_SCHEMA", "Place", "Plan"]

from collections.abc import Mapping
from dataclasses import dataclass

PLAN_SCHEMA = 1


@dataclass(frozen=True)
class Place:
    """Where a map lies. offset, bytes: in the arena; rows: how many of its rows are held at a time."""

    offset: int
    bytes: int
    rows: int


@dataclass(frozen=True)
class Plan:
    """schedule: "layers", one operator after the other over whole maps.

    maps: place of every map by tensor name; several names share a place where one is a view of the other.
    scratch: place of the working memory of each layer that needs some, by node name.
    arena_bytes: all of it, scratch included.
    """

    schedule: str
    maps: Mapping[str, Place]
    scratch: Mapping[str, Place]
    arena_bytes: int

    def to_json(self) -> dict[str, object]:
        """For plan.json."""

        def places(mapping: Mapping[str, Place]) -> list[dict[str, object]]:
            return [
                {"name": name, "offset": place.offset, "bytes": place.bytes, "rows": place.rows}
                for name, place in mapping.items()
            ]

        return {
            "schema": PLAN_SCHEMA,
            "schedule": self.schedule,
            "arena_bytes": self.arena_bytes,
            "maps": places(self.maps),
            "scratch": places(self.scratch),
        }

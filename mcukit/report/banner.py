# SPDX-License-Identifier: Apache-2.0
"""What a board's firmware says of itself, for people."""

from __future__ import annotations

__all__ = ["banner_facts"]

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mcukit.bench.client import Banner

_HASH_DIGITS = 16


def banner_facts(banner: Banner) -> list[tuple[str, str]]:
    """What a firmware says of itself."""
    return [
        ("board", banner.board),
        ("network", f"{banner.model}, hash {banner.model_hash[:_HASH_DIGITS]}"),
        ("kernels", banner.kernels),
        ("layers", banner.layer_kernels),
        ("compiler", banner.compiler),
        ("flags", banner.compiler_flags),
    ]

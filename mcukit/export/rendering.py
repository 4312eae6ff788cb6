# SPDX-License-Identifier: Apache-2.0
"""The templates of all that mcukit writes around a network, but reports."""

from __future__ import annotations

__all__ = ["templates"]

from functools import cache

import jinja2


@cache
def templates(folder: str = "") -> jinja2.Environment:
    """Templates of a folder below templates/, each compiled once.

    Nothing is escaped, because none of it is HTML: every name of a model or a user passes mcukit.export.names first,
    and ids and regions of boards are small letters, digits and _.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mcukit.export", f"templates/{folder}".rstrip("/")),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,
    )
    environment.filters["region"] = lambda name: f"MCUKIT_{name.upper()}"
    return environment

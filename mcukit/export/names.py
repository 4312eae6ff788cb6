# SPDX-License-Identifier: Apache-2.0
"""Names from a model made safe for C: identifiers and comments. Nothing else may put such a name into a file."""

from __future__ import annotations

__all__ = ["IdentifierTable", "c_identifier", "comment_text", "file_stem"]

import re

LONGEST_IDENTIFIER = 40
LONGEST_COMMENT = 96

_KEYWORDS = frozenset(
    re.findall(
        r"\w+",
        """auto break case char const continue default do double else enum extern float for goto if inline int long
        register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
        main""",
    )
)


def c_identifier(name: str, fallback: str) -> str:
    """A lower-case C identifier that resembles `name`; `fallback` where nothing of it is left or it is too long."""
    text = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    if not text or len(text) > LONGEST_IDENTIFIER:
        return fallback
    if text.endswith(("_map", "_params")):
        # Generated names end like this: a layer's map must not be mistaken for another layer.
        text += "_layer"
    return f"n_{text}" if text[0].isdigit() or text in _KEYWORDS or text.startswith("mk_") else text


def file_stem(name: str) -> str:
    """A network's name as used for files, functions and macros."""
    return c_identifier(name, "network")


def comment_text(name: str) -> str:
    """`name` for a C comment: printable ASCII that can neither end the comment nor continue a line."""
    text = "".join(letter if " " <= letter <= "~" else "?" for letter in name)
    text = text.replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?").replace("\\", "/")
    return text if len(text) <= LONGEST_COMMENT else text[: LONGEST_COMMENT - 3] + "..."


class IdentifierTable:
    """Hands out identifiers that are all different."""

    def __init__(self, reserved: tuple[str, ...] = ()) -> None:
        self._taken = set(reserved)

    def claim(self, name: str, fallback: str) -> str:
        wanted = c_identifier(name, fallback)
        candidate, number = wanted, 2
        while candidate in self._taken:
            candidate, number = f"{wanted}_{number}", number + 1
        self._taken.add(candidate)
        return candidate

# SPDX-License-Identifier: Apache-2.0
"""Tells objects apart by what they are compiled from, without starting a compiler.

Preprocessing the whole runtime takes longer than compiling a model; reading it does not. Includes are followed here,
all of them, also those that a condition leaves out: an object may be compiled again without need, but never be taken
for another one.
"""

from __future__ import annotations

__all__ = ["ObjectKeys"]

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

# #include "name", #include <name> and #include NAME, where a define says what NAME is.
_INCLUDE = re.compile(rb'^[ \t]*#[ \t]*include[ \t]+(?:"([^"\n]+)"|<([^>\n]+)>|([A-Za-z_]\w*))', re.MULTILINE)


@dataclass(frozen=True)
class _File:
    """A file as it was read. quoted, angled: what it includes. named: the macros that stand for what it includes."""

    content: bytes
    digest: bytes
    quoted: tuple[str, ...]
    angled: tuple[str, ...]
    named: tuple[str, ...]


@dataclass(frozen=True)
class ObjectKeys:
    """Makes keys of objects. Every file is read once: for files that may have changed, make another one.

    includes: folders, in the order in which the compiler searches them. defines: "NAME" or "NAME=VALUE". Only those
    count whose names occur in what is compiled, so that other files share their objects with other defines.
    identity: whatever else objects depend on: the compiler with its own headers, and its flags.
    """

    includes: Sequence[Path]
    defines: Sequence[str]
    identity: Sequence[str]
    _files: dict[Path, _File | None] = field(default_factory=dict)

    def key(self, source: Path) -> str:
        """Of the object that this C file compiles to. A file that can't be read has a key too: compilers complain."""
        files = self._closure(source)
        mentioned = [d for d in self.defines if any(d.partition("=")[0].encode() in f.content for f in files)]
        digest = hashlib.sha256("\0".join((*self.identity, *mentioned)).encode())
        for file in files:
            digest.update(file.digest)
        return digest.hexdigest()[:32]

    def _closure(self, source: Path) -> list[_File]:
        """The file and all that it includes, in the order in which they are first met."""
        found: dict[Path, _File] = {}
        waiting = [source]
        while waiting:
            path = waiting.pop()
            file = None if path in found else self._read(path)
            if file is not None:
                found[path] = file
                waiting.extend(reversed(self._included(path.parent, file)))
        return list(found.values())

    def _included(self, folder: Path, file: _File) -> list[Path]:
        """Where the files are that a file includes. Those that are in none of the folders belong to the compiler."""
        values = dict(define.split("=", 1) for define in self.defines if "=" in define)
        own = [*file.quoted, *(values[name].strip('"') for name in file.named if name in values)]
        searched = [(name, (folder, *self.includes)) for name in own]
        searched += [(name, tuple(self.includes)) for name in file.angled]
        return [path for name, folders in searched if (path := self._first_of(name, folders)) is not None]

    def _first_of(self, name: str, folders: Sequence[Path]) -> Path | None:
        return next((path for each in folders if self._read(path := each / name) is not None), None)

    def _read(self, path: Path) -> _File | None:
        if path not in self._files:
            self._files[path] = _read(path)
        return self._files[path]


def _read(path: Path) -> _File | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    matches = _INCLUDE.findall(content)
    quoted, angled, named = (
        tuple(match[kind].decode(errors="replace") for match in matches if match[kind]) for kind in range(3)
    )
    return _File(content, hashlib.sha256(content).digest(), quoted, angled, named)

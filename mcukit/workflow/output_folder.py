# SPDX-License-Identifier: Apache-2.0
"""Folders that are written whole or not at all, and that replace only what was written in the same way before."""

from __future__ import annotations

__all__ = ["MANIFEST", "FolderKind", "check_output_folder", "json_bytes", "not_replaced", "write_output_folder"]

import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcukit.errors import McukitError, unwritable_output

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class FolderKind:
    """What a folder is for, and how an older one is told from folders of the user's.

    name: what it is, as in "a build". wrote: whether the content of a manifest.json is that of such a folder.
    leftovers: how paths begin that tools make in it again and again; these go with the folder.
    edited: files that are the user's once they were changed, so that the folder is not replaced then.
    """

    name: str
    wrote: Callable[[Mapping[str, Any]], bool]
    leftovers: re.Pattern[str] | None = None
    edited: re.Pattern[str] | None = None

    def with_manifest(self, files: Mapping[str, bytes], manifest: Mapping[str, Any]) -> dict[str, bytes]:
        """The files and manifest.json, which lists them with their hashes."""
        hashes = {name: _digest(data) for name, data in sorted(files.items())}
        return {**files, MANIFEST: json_bytes({**manifest, "files": hashes})}

    def foreign(self, manifest: object, found: Mapping[str, Callable[[], bytes]]) -> str | None:
        """Why a folder with this manifest and these files must stay, as a clause; None if it may be replaced."""
        listed = manifest.get("files") if isinstance(manifest, dict) and self.wrote(manifest) else None
        if not isinstance(listed, dict) or not listed:
            return f"it is not {self.name}"
        for name in sorted(found.keys() - {MANIFEST}):
            if self.leftovers is not None and self.leftovers.match(name):
                continue
            if name not in listed:
                return f"it holds '{name}', which is no part of {self.name}"
            if self.edited is not None and self.edited.match(name) and _digest(found[name]()) != listed[name]:
                return f"it holds '{name}', which was changed after it was written"
        return None


def write_output_folder(folder: Path, kind: FolderKind, files: Mapping[str, bytes]) -> None:
    """Writes all files to a temporary folder beside `folder`, then puts that in its place.

    A failure leaves an older folder untouched. A folder that holds something else is never replaced.
    Raises McukitError "unwritable-output".
    """
    what = f"the {kind.name.split()[-1]}"
    try:
        _check_replaceable(folder, kind)
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise unwritable_output(what, folder, error) from error
    try:
        for name, data in files.items():
            path = scratch / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        scratch.chmod(0o755)
        _put_in_place(scratch, folder)
    except OSError as error:
        raise unwritable_output(what, folder, error) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def check_output_folder(folder: Path, kind: FolderKind) -> None:
    """Refuses a folder that `write_output_folder` could not write, before minutes are spent on what goes into it."""
    try:
        _check_replaceable(folder, kind)
        existing = next(path for path in folder.absolute().parents if path.exists())
        if not existing.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not os.access(existing, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise unwritable_output(f"the {kind.name.split()[-1]}", folder, error) from error


def json_bytes(content: Any) -> bytes:
    """JSON as all files of a build have it."""
    return (json.dumps(content, indent=2, ensure_ascii=True, allow_nan=False) + "\n").encode()


def not_replaced(path: Path, reason: str) -> McukitError:
    """The error for an output that is there already and holds something else. reason: a clause."""
    return McukitError(
        "unwritable-output",
        f"it exists and {reason}",
        where=str(path),
        hint="choose another place with -o, or remove it",
    )


def _check_replaceable(folder: Path, kind: FolderKind) -> None:
    """Refuses a folder with anything that no manifest of this kind lists: replacing it would delete that."""
    if not folder.exists():
        return
    paths = [path for path in folder.rglob("*") if not path.is_dir()]
    if folder.is_dir() and not paths:
        return
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError, RecursionError):
        manifest = None
    reason = kind.foreign(manifest, {path.relative_to(folder).as_posix(): path.read_bytes for path in paths})
    if reason:
        raise not_replaced(folder, reason)


def _put_in_place(scratch: Path, folder: Path) -> None:
    """Renames `scratch` to `folder`; what was there is back if that fails, and deleted if it does not."""
    if not folder.exists():
        scratch.rename(folder)
        return
    old = scratch.with_name(f"{scratch.name}-old")
    folder.rename(old)
    try:
        scratch.rename(folder)
    except BaseException:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

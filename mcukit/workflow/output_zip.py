# SPDX-License-Identifier: Apache-2.0
"""Folders that are written as a zip, under the same rules."""

from __future__ import annotations

__all__ = ["write_output_zip"]

import contextlib
import io
import json
import secrets
import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from mcukit.errors import unwritable_output
from mcukit.export.archive import zip_bytes
from mcukit.workflow.output_folder import MANIFEST, FolderKind, not_replaced


def write_output_zip(path: Path, kind: FolderKind, files: Mapping[str, bytes], top: str) -> None:
    """Writes a zip whose files lie in one folder, `top`, in one step.

    A file that is no such zip, or holds something else, is never replaced. Raises McukitError "unwritable-output".
    """
    scratch = path.with_name(f".export-{secrets.token_hex(8)}")
    content = zip_bytes({f"{top}/{name}": data for name, data in files.items()})
    try:
        _check_replaceable(path, kind, top)
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_bytes(content)
        scratch.replace(path)
    except OSError as error:
        raise unwritable_output(f"the {kind.name.split()[-1]}", path, error) from error
    finally:
        with contextlib.suppress(OSError):
            scratch.unlink()


def _check_replaceable(path: Path, kind: FolderKind, top: str) -> None:
    """Refuses a file that is not such a zip, or that was changed."""
    if not path.exists():
        return
    found = _content(path, top) if path.is_file() else {}
    try:
        manifest = json.loads(found.get(MANIFEST, b""))
    except (ValueError, RecursionError):
        manifest = None
    reason = kind.foreign(manifest, {name: partial(found.__getitem__, name) for name in found})
    if reason:
        raise not_replaced(path, reason)


def _content(path: Path, top: str) -> dict[str, bytes]:
    """The files below `top` by path, others by their whole path; none if the file is no zip."""
    try:
        with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
            return {name.removeprefix(f"{top}/"): archive.read(name) for name in archive.namelist()}
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError):
        return {}

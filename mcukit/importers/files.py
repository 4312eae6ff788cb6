# SPDX-License-Identifier: Apache-2.0
"""Reads model files and the data files beside them, with their sizes checked first."""

from __future__ import annotations

__all__ = ["MAX_FILE_BYTES", "read_model_file"]

import os
from pathlib import Path

from mcukit.errors import McukitError

MAX_FILE_BYTES = 1 << 29
"""Larger files are refused unread: no microcontroller holds such a model."""


def read_model_file(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a regular file.

    Raises McukitError "no-such-file", "unreadable-file" or "file-too-large".
    """
    file = Path(path)
    try:
        if not file.exists():
            raise McukitError("no-such-file", "there is no such file", where=str(path), hint="check the path")
        if not file.is_file():
            raise McukitError("unreadable-file", "this is not a file", where=str(path), hint="give a model file")
        with file.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise McukitError("unreadable-file", reason, where=str(path), hint="check the path and its rights") from error
    if len(data) > MAX_FILE_BYTES:
        message = f"it is larger than {MAX_FILE_BYTES} bytes"
        raise McukitError("file-too-large", message, where=str(path), hint="give a smaller model")
    return data

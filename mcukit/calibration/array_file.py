# SPDX-License-Identifier: Apache-2.0
"""Arrays from .npy and .npz files: no pickle, and no allocation before the sizes are known to be sane."""

from __future__ import annotations

__all__ = ["LARGEST_ARRAY", "read_arrays"]

import math
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np
import numpy.typing as npt

from mcukit.errors import McukitError

LARGEST_ARRAY = 2 << 30
"""Bytes of one array: 14,000 images of 224 x 224 x 3 bytes, far more than calibration gains from."""

# Photographs shrink by less than 2 in a zip file, drawings by 50, zeros by 1,000: with those a small file
# could fill the memory.
_LARGEST_RATIO = 200
_HARMLESS = 64 << 20

_LARGEST_HEADER = 4096
_CHUNK = 1 << 20
_MOST_MEMBERS = 64

_HEADER_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_arrays(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    """The arrays of a .npz file by name, or the one of a .npy file as {"": array}, in C order.

    Raises McukitError "unreadable-data" for what can't be read, "unsafe-data" for what should not be.
    """
    if path.suffix.lower() == ".npz":
        return _read_archive(path)
    with _errors_reported(str(path)), path.open("rb") as stream:
        return {"": _read_array(stream, path.stat().st_size, str(path))}


def _read_archive(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    arrays = {}
    with _errors_reported(str(path)), zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        _check_archive(members, path)
        for member in members:
            name = member.filename.removesuffix(".npy")
            where = f"{path}: {name}"
            with _errors_reported(where), archive.open(member) as stream:
                arrays[name] = _read_array(stream, member.file_size, where)
    return arrays


def _check_archive(members: list[zipfile.ZipInfo], path: Path) -> None:
    """Refuses archives that would take much more memory than their size lets expect."""
    if len(members) > _MOST_MEMBERS:
        _refuse("unsafe-data", f"has {len(members)} arrays, more than {_MOST_MEMBERS}", str(path))
    unpacked = sum(member.file_size for member in members)
    # The size of the file and not what it says of its members, several of which can share the same bytes.
    packed = path.stat().st_size
    if unpacked > LARGEST_ARRAY:
        message = f"has {unpacked} bytes of arrays, more than {LARGEST_ARRAY}"
        _refuse("unsafe-data", message, str(path), "give fewer samples")
    if unpacked > max(_HARMLESS, _LARGEST_RATIO * packed):
        hint = "if this is meant, save it with np.savez instead of np.savez_compressed"
        _refuse("unsafe-data", f"{packed} bytes would become {unpacked}", str(path), hint)


def _read_array(stream: IO[bytes], size: int, where: str) -> npt.NDArray[np.generic]:
    """One array from a stream that claims to have `size` bytes."""
    shape, is_fortran, dtype = _read_header(stream, where)
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        _refuse(
            "unreadable-data",
            f"has values of type {dtype}",
            where,
            "save real numbers, for example x.astype(np.float32); objects and pickles are never loaded",
        )
    length = math.prod(shape) * dtype.itemsize
    if length > LARGEST_ARRAY:
        message = f"has {length} bytes, more than {LARGEST_ARRAY}"
        _refuse("unsafe-data", message, where, "give fewer samples")
    present = size - stream.tell()
    if length != present:
        _refuse("unreadable-data", f"should have {length} bytes of values, but has {present}", where)
    array = np.empty(math.prod(shape), dtype)
    values = array.view(np.uint8)
    done = 0
    while done < length:
        chunk = stream.read(min(_CHUNK, length - done))
        if not chunk:
            _refuse("unreadable-data", f"ends after {done} of {length} bytes of values", where)
        values[done : done + len(chunk)] = np.frombuffer(chunk, np.uint8)
        done += len(chunk)
    shaped = array.reshape(shape, order="F" if is_fortran else "C")
    return shaped.astype(dtype.newbyteorder("="), order="C", copy=False)


def _read_header(stream: IO[bytes], where: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        version = np.lib.format.read_magic(stream)
        if version not in _HEADER_READERS:
            _refuse("unreadable-data", f"is of version {version[0]}.{version[1]} of the npy format", where)
        with warnings.catch_warnings():
            # Written by Python 2: the values are read all the same.
            warnings.simplefilter("ignore", UserWarning)
            header = _HEADER_READERS[version](stream, max_header_size=_LARGEST_HEADER)
    except (McukitError, OSError, zipfile.BadZipFile, zlib.error):
        raise
    except Exception as error:  # noqa: BLE001 - hostile headers make NumPy raise nearly anything
        _refuse("unreadable-data", "has no valid npy header", where, "save it with np.save or np.savez", error)
    shape, is_fortran, dtype = header
    if any(length < 0 for length in shape):
        _refuse("unreadable-data", f"has the shape {shape}", where)
    return shape, is_fortran, dtype


@contextmanager
def _errors_reported(where: str) -> Iterator[None]:
    """Turns what reading a file can raise into a McukitError."""
    try:
        yield
    except OSError as error:
        _refuse("unreadable-data", f"can't be read: {error.strerror or error}", where, cause=error)
    except (zipfile.BadZipFile, zlib.error, EOFError, struct.error) as error:
        _refuse("unreadable-data", f"is damaged, or no .npz file: {error}", where, "np.savez(file, x=samples)", error)
    except (NotImplementedError, RuntimeError) as error:
        _refuse("unreadable-data", f"can't be unpacked: {error}", where, "save it with np.savez", error)


def _refuse(code: str, message: str, where: str, hint: str = "", cause: Exception | None = None) -> NoReturn:
    raise McukitError(code, message, where=where, hint=hint) from cause

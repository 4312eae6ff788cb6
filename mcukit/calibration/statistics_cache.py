# SPDX-License-Identifier: Apache-2.0
"""Calibration statistics kept from one run to the next, by the content that they follow from.

The key is a hash over the float network, the images and the versions of what computes. A file is never trusted: what
does not have the form that the network asks for is computed again, and written anew. Without a folder that can be
written nothing is lost but time.
"""

from __future__ import annotations

__all__ = ["cached_statistics", "statistics_key"]

import contextlib
import hashlib
import io
import os
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

import mcukit
from mcukit.calibration.float_model import FloatModel
from mcukit.calibration.statistics import BINS, MapStatistics, collect_statistics
from mcukit.errors import McukitError
from mcukit.graph.graph import Graph, Tensor
from mcukit.graph.serialize import graph_bytes
from mcukit.resources import cache_dir

FloatArray = npt.NDArray[np.float32]

FORMAT = 1
"""Raise it whenever statistics of the same network and images come out differently, or are stored differently."""

MOST_FILES = 16
"""Of more, the oldest are deleted: average maps take tens of megabytes for large networks."""

_HEADER_BYTES = 256
"""More than numpy puts in front of an array."""


def cached_statistics(
    model: FloatModel,
    inputs: FloatArray,
    progress: Callable[[int, int], None] | None = None,
    folder: Path | None = None,
) -> dict[str, MapStatistics]:
    """What collect_statistics gives for the same arguments, from `folder` if it is there.

    folder: by default "statistics" in the user's cache folder. Raises what collect_statistics raises.
    """
    place = _default_folder() if folder is None else folder
    path = None if place is None else place / f"{statistics_key(model.graph, inputs)}.npz"
    if path is not None:
        found = _read(path, model.graph, len(inputs))
        if found is not None:
            if progress:
                progress(2 * len(inputs), 2 * len(inputs))
            return found
    statistics = collect_statistics(model, inputs, progress)
    if path is not None:
        with contextlib.suppress(OSError):
            _write(path, model.graph, statistics)
    return statistics


def statistics_key(graph: Graph, inputs: FloatArray) -> str:
    """The hash, in hexadecimal, of all that statistics follow from."""
    digest = hashlib.sha256()
    versions = f"{FORMAT} {BINS} {mcukit.__version__} {onnxruntime.__version__} {np.__version__}"
    for part in (versions, f"{inputs.dtype.str} {inputs.shape}"):
        digest.update(part.encode() + b"\0")
    network = graph_bytes(graph)
    digest.update(len(network).to_bytes(8, "little"))
    digest.update(network)
    digest.update(np.ascontiguousarray(inputs).tobytes())
    return digest.hexdigest()


def _default_folder() -> Path | None:
    try:
        return cache_dir() / "statistics"
    except McukitError:
        return None


def _write(path: Path, graph: Graph, statistics: Mapping[str, MapStatistics]) -> None:
    """The whole file or none, whoever else is writing it. Raises OSError."""
    items = [statistics[tensor.name] for tensor in graph.maps()]
    arrays = {
        "extremes": np.array([(item.minimum, item.maximum) for item in items], np.float64),
        "counts": np.stack([item.counts for item in items]),
    } | {f"mean{index}": item.mean for index, item in enumerate(items)}
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, temporary = tempfile.mkstemp(suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name, array in arrays.items():
                buffer = io.BytesIO()
                np.lib.format.write_array(buffer, array, allow_pickle=False)
                archive.writestr(f"{name}.npy", buffer.getvalue())
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    _delete_oldest(path.parent)


def _delete_oldest(folder: Path) -> None:
    newest = sorted(folder.glob("*.npz"), key=lambda path: (path.stat().st_mtime, path.name), reverse=True)
    for path in newest[MOST_FILES:]:
        path.unlink(missing_ok=True)


def _read(path: Path, graph: Graph, images: int) -> dict[str, MapStatistics] | None:
    """What a file holds; None where there is none, or something else."""
    maps = list(graph.maps())
    try:
        with zipfile.ZipFile(path) as archive:
            extremes = _array(archive, "extremes", (len(maps), 2), np.float64)
            counts = _array(archive, "counts", (len(maps), BINS), np.int64)
            means = [_array(archive, f"mean{index}", _mean_shape(item), np.float32) for index, item in enumerate(maps)]
        return {
            tensor.name: _checked(tensor, images, extremes[index], counts[index], means[index])
            for index, tensor in enumerate(maps)
        }
    except Exception:  # noqa: BLE001 - a file can be wrong in any way, and then its content is computed again
        return None


def _mean_shape(tensor: Tensor) -> tuple[int, ...]:
    """(height, width, channels) or (elements,): the map of one image."""
    return tensor.shape[1:]


def _array(
    archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], dtype: type[np.generic]
) -> npt.NDArray[np.generic]:
    """One array of this very form. Raises ValueError for any other, before it takes more memory than it should."""
    member = archive.getinfo(f"{name}.npy")
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if member.compress_type != zipfile.ZIP_STORED or member.file_size > size + _HEADER_BYTES:
        raise ValueError(f"{name} is too large")
    stream = io.BytesIO(archive.read(member))
    np.lib.format.read_magic(stream)
    found = np.lib.format.read_array_header_1_0(stream)
    if found != (shape, False, np.dtype(dtype)):
        raise ValueError(f"{name} is {found}")
    data = stream.read()
    return np.frombuffer(data, dtype).reshape(shape).copy()


def _checked(
    tensor: Tensor,
    images: int,
    extremes: npt.NDArray[np.generic],
    counts: npt.NDArray[np.generic],
    mean: npt.NDArray[np.generic],
) -> MapStatistics:
    """Statistics of one map. Raises ValueError for what no images can have."""
    low, high = float(extremes[0]), float(extremes[1])
    numbers, average = np.asarray(counts, np.int64), np.asarray(mean, np.float32)
    possible = (
        np.isfinite([low, high]).all()
        and low <= high
        and (numbers >= 0).all()
        and int(numbers.sum()) == images * tensor.elements
        and np.isfinite(average).all()
    )
    if not possible:
        raise ValueError(f"impossible statistics of '{tensor.name}'")
    return MapStatistics(low, high, numbers, average)

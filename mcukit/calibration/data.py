# SPDX-License-Identifier: Apache-2.0
"""The samples that a network is calibrated and evaluated with."""

from __future__ import annotations

__all__ = ["Dataset", "load_inputs"]

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mcukit.calibration.array_file import read_arrays
from mcukit.calibration.image_folder import image_paths, read_images, read_labels
from mcukit.calibration.preprocessing import IDENTITY, Preprocessing
from mcukit.errors import McukitError

_MOST_NAMES_SHOWN = 10
_CHECKED_AT_ONCE = 1 << 22


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples as they are stored, and what makes network inputs of them.

    Indexed with a slice it gives network inputs, so that only a batch of them is ever in memory as float32:
    `dataset[0:16]` are the first 16.

    values: (N, ...), for images (N, height, width, channels); uint8 or float32, before preprocessing.
    labels: (N,) classes, or None. names: one for each sample, for messages.
    """

    values: npt.NDArray[np.uint8] | npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64] | None
    names: tuple[str, ...]
    preprocessing: Preprocessing = IDENTITY

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, samples: slice) -> npt.NDArray[np.float32]:
        return self.preprocessing.apply(self.values[samples])


def load_inputs(
    path: Path,
    shape: tuple[int, ...],
    preprocessing: Preprocessing | None = None,
    *,
    labels: Path | None = None,
) -> Dataset:
    """Samples from an .npz file, an .npy file or a folder of images.

    path: of the .npz, samples are the array `x`, or the only one, and labels the array `y`, if it has one.
    shape: of one sample: (height, width, channels).
    preprocessing: None leaves values as they are.
    labels: for a folder, a CSV file with the columns image and class.
    Raises McukitError with the file and the sample: "unreadable-data", "unsafe-data", "empty-data",
    "wrong-shape", "non-finite-values", "unreadable-labels", "wrong-labels".
    """
    chosen = preprocessing or IDENTITY
    if path.is_dir():
        paths = image_paths(path)
        names = tuple(image.name for image in paths)
        classes = read_labels(labels, names) if labels else None
        return Dataset(read_images(paths, shape), classes, names, chosen)
    if labels:
        raise McukitError(
            "wrong-labels",
            "a file of labels only goes with a folder of images",
            where=str(labels),
            hint=f"put the labels into {path.name} as the array y",
            exit_code=2,
        )
    if path.suffix.lower() not in (".npz", ".npy"):
        raise McukitError(
            "unreadable-data",
            "is neither an .npz or .npy file nor a folder" if path.exists() else "does not exist",
            where=str(path),
            hint="samples come from an .npz file with an array x, an .npy file or a folder of images",
        )
    return _from_arrays(path, shape, chosen)


def _from_arrays(path: Path, shape: tuple[int, ...], preprocessing: Preprocessing) -> Dataset:
    arrays = read_arrays(path)
    name = _samples_name(arrays, path)
    where = f"{path}: {name}" if name else str(path)
    values = _as_stored(_check_shape(arrays[name], shape, where), where)
    labels = _check_labels(arrays["y"], len(values), f"{path}: y") if "y" in arrays and name != "y" else None
    names = tuple(f"{name or path.name}[{index}]" for index in range(len(values)))
    return Dataset(values, labels, names, preprocessing)


def _samples_name(arrays: dict[str, npt.NDArray[np.generic]], path: Path) -> str:
    if "x" in arrays:
        return "x"
    candidates = [name for name in arrays if name != "y"]
    if len(candidates) == 1:
        return candidates[0]
    found = ", ".join(map(repr, list(arrays)[:_MOST_NAMES_SHOWN])) or "nothing"
    raise McukitError(
        "unreadable-data",
        f"has no array x; what it has: {found}",
        where=str(path),
        hint="np.savez(file, x=samples, y=labels)",
    )


def _check_shape(array: npt.NDArray[np.generic], shape: tuple[int, ...], where: str) -> npt.NDArray[np.generic]:
    if array.ndim > 0 and array.shape[0] == 0:
        raise McukitError("empty-data", "there are no samples", where=where)
    if array.shape[1:] == shape and array.ndim > 0:
        return array
    found = array.shape
    hint = f"the array's shape must be (samples, {', '.join(map(str, shape))})"
    if len(shape) == 3 and found[1:] == (shape[2], shape[0], shape[1]):
        hint = "the channels come first here: save x.transpose(0, 2, 3, 1)"
    elif found == shape:
        hint = "this is a single sample: save x[np.newaxis]"
    elif len(shape) == 3 and shape[2] == 1 and found[1:] == shape[:2]:
        hint = "the channel is missing: save x[..., np.newaxis]"
    raise McukitError(
        "wrong-shape", f"the model takes samples of shape {shape}, but found {found}", where=where, hint=hint
    )


def _as_stored(array: npt.NDArray[np.generic], where: str) -> npt.NDArray[np.uint8] | npt.NDArray[np.float32]:
    """uint8 as it is, all else as float32. Refuses NaN, infinities and what becomes infinite."""
    if array.dtype == np.uint8:
        return array.astype(np.uint8, copy=False)
    with np.errstate(over="ignore"):
        values = array.astype(np.float32, copy=False)
    step = max(1, _CHECKED_AT_ONCE // max(1, values[0].size))
    for start in range(0, len(values), step):
        finite = np.isfinite(values[start : start + step])
        if not finite.all():
            index = tuple(int(i) for i in np.argwhere(~finite)[0])
            place = (start + index[0], *index[1:])
            raise McukitError(
                "non-finite-values",
                f"the value at {list(place)} is {array[place]}, which is not a finite float32",
                where=where,
                hint="take the sample away or mend it",
            )
    return values


def _check_labels(labels: npt.NDArray[np.generic], count: int, where: str) -> npt.NDArray[np.int64]:
    hint = "there must be one class, an integer of 0 or more, for each sample"
    if labels.shape not in ((count,), (count, 1)):
        if labels.ndim == 2 and labels.shape[0] == count:
            hint = "these look like one column per class: save y.argmax(axis=1)"
        message = f"{count} samples need labels of shape ({count},), but found {labels.shape}"
        raise McukitError("wrong-labels", message, where=where, hint=hint)
    if not np.issubdtype(labels.dtype, np.integer):
        message = f"labels are of type {labels.dtype}"
        raise McukitError("wrong-labels", message, where=where, hint=f"{hint}: y.astype(np.int64)")
    classes = labels.astype(np.int64).reshape(count)
    if classes.min() < 0:
        index = int(np.argmax(classes < 0))
        message = f"the label at [{index}] is {labels.reshape(count)[index]}"
        raise McukitError("wrong-labels", message, where=where, hint=hint)
    return classes

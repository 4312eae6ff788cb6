# SPDX-License-Identifier: Apache-2.0
"""Operators of a network forwards and backwards, in NumPy: what an error at the output says about weights and inputs.

Maps are float32 of shape (height, width, images, channels). So a window's tap is a slice whose rows are long and lie in
one piece, and a convolution of 1 x 1 is one product of matrices. Weights have the shapes that the graph gives them.

Every `..._backward` takes the loss's gradient by the output and returns it by the map and, where there are weights, by
the weights. Windows read zeros outside of the map.
"""

from __future__ import annotations

__all__ = [
    "average_pool",
    "average_pool_backward",
    "convolve",
    "convolve_backward",
    "convolve_depthwise",
    "convolve_depthwise_backward",
    "max_pool",
    "max_pool_backward",
    "reshape_map",
    "sum_by_channel",
]

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from mcukit.ops.window import Window

FloatArray = npt.NDArray[np.float32]


def convolve(source: FloatArray, weights: FloatArray, window: Window, groups: int = 1) -> FloatArray:
    """weights: (output channels, rows, columns, input channels / groups)."""
    columns = _columns(_padded(source, window), window)
    parts = [
        _column_group(columns, groups, group) @ matrix for group, matrix in enumerate(_filter_matrices(weights, groups))
    ]
    joined = parts[0] if groups == 1 else np.concatenate(parts, axis=1)
    return joined.reshape(*columns.shape[:3], weights.shape[0])


def convolve_backward(
    source: FloatArray,
    weights: FloatArray,
    window: Window,
    gradient: FloatArray,
    groups: int = 1,
    *,
    source_needed: bool = True,
) -> tuple[FloatArray | None, FloatArray]:
    """None for the map's gradient unless source_needed."""
    padded = _padded(source, window)
    columns = _columns(padded, window)
    outputs = weights.shape[0] // groups
    by_column = np.empty_like(columns) if source_needed else None
    by_weights = []
    for group, matrix in enumerate(_filter_matrices(weights, groups)):
        part = gradient[..., group * outputs : (group + 1) * outputs].reshape(-1, outputs)
        by_weights.append(part.T @ _column_group(columns, groups, group))
        if by_column is not None:
            depth = weights.shape[3]
            found = (part @ matrix.T).reshape(*columns.shape[:3], -1, depth)
            by_column[..., group * depth : (group + 1) * depth] = found
    by_source = None if by_column is None else _uncolumned(by_column, padded.shape, window)
    return by_source, np.concatenate(by_weights).reshape(weights.shape)


def convolve_depthwise(source: FloatArray, weights: FloatArray, window: Window) -> FloatArray:
    """weights: (1, rows, columns, output channels), a multiple of the input's channels."""
    padded = _padded(_repeated(source, weights), window)
    taps = list(_taps(padded, window))
    images = source.shape[2]
    result = np.zeros(taps[0][1].shape, np.float32)
    flat, product = _flat(result), np.empty(_flat(result).shape, np.float32)
    for place, seen in taps:
        flat += np.multiply(_flat(seen), _tiled(weights[0][place], images), out=product)
    return result


def convolve_depthwise_backward(
    source: FloatArray, weights: FloatArray, window: Window, gradient: FloatArray, *, source_needed: bool = True
) -> tuple[FloatArray | None, FloatArray]:
    """None for the map's gradient unless source_needed."""
    padded = _padded(_repeated(source, weights), window)
    images, channels = source.shape[2:]
    by_padded = np.zeros_like(padded)
    by_weights = np.empty_like(weights)
    flat = _flat(gradient)
    product = np.empty(flat.shape, np.float32)
    for (place, seen), (_, spread) in zip(_taps(padded, window), _taps(by_padded, window), strict=True):
        by_weights[0][place] = sum_by_channel(np.multiply(_flat(seen), flat, out=product).reshape(gradient.shape))
        if source_needed:
            target = _flat(spread)
            target += np.multiply(flat, _tiled(weights[0][place], images), out=product)
    if not source_needed:
        return None, by_weights
    by_repeated = _unpadded(by_padded, window)
    if by_repeated.shape[3] != channels:
        by_repeated = by_repeated.reshape(*source.shape, -1).sum(axis=4)
    return by_repeated, by_weights


def average_pool(source: FloatArray, window: Window) -> FloatArray:
    """The mean of the pixels that exist."""
    total = np.zeros_like(next(_taps(_padded(source, window), window))[1])
    for _, seen in _taps(_padded(source, window), window):
        total += seen
    return total / _pixels_seen(source, window)


def average_pool_backward(source: FloatArray, window: Window, gradient: FloatArray) -> FloatArray:
    by_padded = np.zeros_like(_padded(source, window))
    share = gradient / _pixels_seen(source, window)
    for _, spread in _taps(by_padded, window):
        np.add(spread, share, out=spread)
    return _unpadded(by_padded, window)


def max_pool(source: FloatArray, window: Window) -> FloatArray:
    """The largest of the pixels that exist."""
    padded = _padded(source, window, -np.inf)
    largest: FloatArray = np.maximum.reduce([seen for _, seen in _taps(padded, window)])
    return largest


def max_pool_backward(source: FloatArray, window: Window, gradient: FloatArray) -> FloatArray:
    """Of equal values the first one gets all."""
    padded = _padded(source, window, -np.inf)
    by_padded = np.zeros_like(padded)
    largest, open_ = max_pool(source, window), np.ones(gradient.shape, bool)
    for (_, seen), (_, spread) in zip(_taps(padded, window), _taps(by_padded, window), strict=True):
        hit = open_ & (seen == largest)
        np.add(spread, np.where(hit, gradient, np.float32(0.0)), out=spread)
        open_ &= ~hit
    return _unpadded(by_padded, window)


def sum_by_channel(values: FloatArray) -> FloatArray:
    """(channels,): the sum over all pixels and images."""
    matrix = values.reshape(-1, values.shape[-1])
    total: FloatArray = np.ones(len(matrix), np.float32) @ matrix
    return total


def _padded(source: FloatArray, window: Window, value: float = 0.0) -> FloatArray:
    if window.is_valid():
        return source
    top, left, bottom, right = window.pads
    return np.pad(source, ((top, bottom), (left, right), (0, 0), (0, 0)), constant_values=value)


def _unpadded(padded: FloatArray, window: Window) -> FloatArray:
    top, left, bottom, right = window.pads
    return padded[top : padded.shape[0] - bottom, left : padded.shape[1] - right]


def _taps(padded: FloatArray, window: Window) -> Iterator[tuple[tuple[int, int], FloatArray]]:
    """(row, column) of each tap and a view of what it sees, (output height, output width, images, channels)."""
    sizes = [(padded.shape[axis] - window.span(axis)) // window.stride[axis] + 1 for axis in (0, 1)]
    for place in np.ndindex(*window.kernel):
        starts = [place[axis] * window.dilation[axis] for axis in (0, 1)]
        rows, columns = (
            slice(start, start + (size - 1) * stride + 1, stride)
            for start, size, stride in zip(starts, sizes, window.stride, strict=True)
        )
        yield (place[0], place[1]), padded[rows, columns]


def _columns(padded: FloatArray, window: Window) -> FloatArray:
    """(output height, output width, images, taps, channels)."""
    if window.kernel == (1, 1) and window.stride == (1, 1):
        return padded[..., np.newaxis, :]
    return np.stack([seen for _, seen in _taps(padded, window)], axis=3)


def _uncolumned(by_column: FloatArray, shape: tuple[int, ...], window: Window) -> FloatArray:
    """The gradient by the map, of that by all that its taps see. shape: of the padded map."""
    if window.kernel == (1, 1) and window.stride == (1, 1):
        return _unpadded(by_column[..., 0, :], window)
    by_padded = np.zeros(shape, np.float32)
    for index, (_, spread) in enumerate(_taps(by_padded, window)):
        np.add(spread, by_column[..., index, :], out=spread)
    return _unpadded(by_padded, window)


def _column_group(columns: FloatArray, groups: int, group: int) -> FloatArray:
    """(pixels, taps x channels of the group)."""
    depth = columns.shape[4] // groups
    part = columns[..., group * depth : (group + 1) * depth]
    return part.reshape(-1, columns.shape[3] * depth)


def _filter_matrices(weights: FloatArray, groups: int) -> list[FloatArray]:
    """(taps x channels, outputs) of each group."""
    return [part.reshape(len(part), -1).T for part in np.split(weights, groups)]


def _repeated(source: FloatArray, weights: FloatArray) -> FloatArray:
    multiplier = weights.shape[3] // source.shape[3]
    return source if multiplier == 1 else np.repeat(source, multiplier, axis=3)


def _flat(values: FloatArray) -> FloatArray:
    """Images and channels as one axis; a view, so that it can be written to."""
    return values.reshape(*values.shape[:2], -1)


def _tiled(per_channel: FloatArray, images: int) -> FloatArray:
    """One value for each image and channel: an operand with rows as long as the map's."""
    return np.tile(per_channel, images)


def _pixels_seen(source: FloatArray, window: Window) -> FloatArray:
    ones = _padded(np.ones((*source.shape[:2], 1, 1), np.float32), window)
    total: FloatArray = np.add.reduce([seen for _, seen in _taps(ones, window)])
    return total


def reshape_map(source: FloatArray, shape: tuple[int, int, int]) -> FloatArray:
    """(height, width, images, channels) of other sizes, elements in the order of memory; its own inverse."""
    images = source.shape[2]
    by_image = np.ascontiguousarray(source.transpose(2, 0, 1, 3)).reshape(images, *shape)
    return np.ascontiguousarray(by_image.transpose(1, 2, 0, 3))

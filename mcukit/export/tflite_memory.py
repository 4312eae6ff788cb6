# SPDX-License-Identifier: Apache-2.0
"""Where the tensors of a .tflite file lie in the arena of TensorFlow Lite Micro, decided here and not at run time.

The interpreter's own planner places whole tensors by their size and leaves gaps between them. It takes offsets from the
file's metadata instead, if there are any ("OfflineMemoryAllocation"). These know more: a tensor that is only read slice
by slice gives its rows free one after the other, and copies of whole rows can lie where these rows are.

The interpreter's planner takes offsets as constants, overlaps included, and fits scratch memory of kernels around the
tensors' whole lifetimes. A planner that keeps all tensors for debugging takes no offsets and refuses such a file.
"""

from __future__ import annotations

__all__ = ["METADATA_NAME", "TFLM_ALIGNMENT", "least_head_bytes", "planned_head_bytes", "with_memory_plan"]

from dataclasses import replace

import numpy as np

from mcukit.export.tflite_aliases import tensor_bytes, tensor_groups
from mcukit.export.tflite_placement import place_groups
from mcukit.planning.placement import Conflicts, live_bytes
from mcukit.tflite import schema

METADATA_NAME = "OfflineMemoryAllocation"
"""What the interpreter calls a memory plan that comes with the file."""

TFLM_ALIGNMENT = 16
"""TensorFlow Lite Micro's tensors start at multiples of this; kernels with vector instructions rely on it."""

_PLACEMENTS = 12
"""Sizes of the arena that are tried: the range is halved each time."""

_VERSION = 1
_MAIN_SUBGRAPH = 0
_HEADER_VALUES = 3
_NOT_PLANNED = -1


def with_memory_plan(model: schema.Model, *, tries: int = _PLACEMENTS) -> schema.Model:
    """The model with a place for each tensor that is computed, and for the input.

    The input's memory is used again as soon as it was read, as the interpreter does it too. Interpreters that don't
    know the metadata make a plan of their own. tries: sizes of the arena that are tried.

    Raises ValueError for a model with several subgraphs.
    """
    if len(model.subgraphs) != 1:
        raise ValueError("only models with one subgraph can be planned")
    groups = tensor_groups(model, TFLM_ALIGNMENT)
    places = place_groups(Conflicts([group.need for group in groups]), tries)
    planned = np.full(len(model.main.tensors), _NOT_PLANNED, np.int32)
    for group, place in zip(groups, places, strict=True):
        for index, offset in group.offsets.items():
            planned[index] = (place + offset) * TFLM_ALIGNMENT
    header = np.array([_VERSION, _MAIN_SUBGRAPH, len(planned)], np.int32)
    data = np.concatenate([header, planned]).astype("<i4").tobytes()
    entry = schema.Metadata(METADATA_NAME, len(model.buffers))
    return replace(model, buffers=(*model.buffers, schema.Buffer(data)), metadata=(*model.metadata, entry))


def planned_head_bytes(model: schema.Model) -> int:
    """The bytes that all tensors take where the model's memory plan puts them. Raises ValueError if it has none."""
    data = next((model.buffers[entry.buffer].data for entry in model.metadata if entry.name == METADATA_NAME), None)
    if data is None:
        raise ValueError("the model has no memory plan")
    offsets = np.frombuffer(data, "<i4")[_HEADER_VALUES:]
    tensors = zip(model.main.tensors, offsets.tolist(), strict=True)
    return max((offset + tensor_bytes(tensor) for tensor, offset in tensors if offset != _NOT_PLANNED), default=0)


def least_head_bytes(model: schema.Model) -> int:
    """The most bytes of tensors that are alive at once: no plan of the arena's head can go below."""
    return live_bytes([group.need for group in tensor_groups(model, 1)])

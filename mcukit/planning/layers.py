# SPDX-License-Identifier: Apache-2.0
"""The layer schedule: whole maps, one operator after the other, in an arena shared over lifetimes."""

from __future__ import annotations

__all__ = ["plan_layers"]

from mcukit.graph.graph import Tensor, map_shape
from mcukit.planning.memory import Buffer, place
from mcukit.planning.plan import Place, Plan
from mcukit.quantized.integer import IntegerModel, Layer


def plan_layers(model: IntegerModel) -> Plan:
    """Plans whole maps. A layer writes into its input's memory where its kernel allows it and no one else reads it."""
    owner = _owners(model)
    last_use = _last_uses(model, owner)
    tensors = {tensor.name: tensor for tensor in model.graph.maps()}
    buffers: dict[str, Buffer] = {}
    for step, name in enumerate(tensors, start=-1):
        root = owner[name]
        first = buffers[root].first if root in buffers else step
        size = max(tensors[name].elements, buffers[root].bytes if root in buffers else 0)
        buffers[root] = Buffer(root, size, first, last_use[root])
    scratch = _scratch_buffers(model)
    placed, arena_bytes = place([*buffers.values(), *scratch.values()])
    # By position and not by name: a model may call a map as this module calls a layer's scratch.
    offsets = dict(zip(buffers, placed, strict=False))
    maps = {name: _place(tensor, offsets[owner[name]]) for name, tensor in tensors.items()}
    working = {
        name: Place(offset, buffer.bytes, 0)
        for (name, buffer), offset in zip(scratch.items(), placed[len(buffers) :], strict=True)
    }
    return Plan("layers", maps, working, arena_bytes)


def _place(tensor: Tensor, offset: int) -> Place:
    return Place(offset, tensor.elements, map_shape(tensor.shape)[0])


def _owners(model: IntegerModel) -> dict[str, str]:
    """For every map the one whose memory it uses: itself, or an input's it is a view of or overwrites."""
    readers: dict[str, list[int]] = {}
    for step, layer in enumerate(model.layers):
        for name in layer.inputs:
            readers.setdefault(name, []).append(step)
    owner = {model.input.name: model.input.name}
    kept = set(model.graph.outputs)
    for step, layer in enumerate(model.layers):
        owner[layer.output] = layer.output
        shared = _shared_input(layer)
        for name in shared:
            aliases = [other for other, root in owner.items() if root == owner[name] and other != layer.output]
            reads = [read for alias in aliases for read in readers.get(alias, [])]
            view = layer.operator.kernel() is None
            if view or (max(reads) == step and not kept.intersection(aliases)):
                owner[layer.output] = owner[name]
                break
    return owner


def _shared_input(layer: Layer) -> tuple[str, ...]:
    """Inputs whose memory the output may use, as far as the layer itself is concerned."""
    kernel = layer.operator.kernel()
    if kernel is None:
        return layer.inputs[:1]
    return tuple(layer.inputs[index] for index in kernel.in_place)


def _last_uses(model: IntegerModel, owner: dict[str, str]) -> dict[str, int]:
    last = dict.fromkeys(owner.values(), -1)
    for step, layer in enumerate(model.layers):
        for name in (*layer.inputs, layer.output):
            last[owner[name]] = max(last[owner[name]], step)
    for name in model.graph.outputs:
        last[owner[name]] = len(model.layers)
    return last


def _scratch_buffers(model: IntegerModel) -> dict[str, Buffer]:
    buffers = {}
    for step, layer in enumerate(model.layers):
        kernel = layer.operator.kernel()
        if kernel is not None and kernel.scratch_bytes:
            buffers[layer.name] = Buffer(f"{layer.name}/scratch", kernel.scratch_bytes, step, step)
    return buffers

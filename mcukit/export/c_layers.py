# SPDX-License-Identifier: Apache-2.0
"""Layers as the templates of generated C print them: parameters, constants, and the kernel call."""

from __future__ import annotations

__all__ = ["Array", "LayerWriter"]

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from mcukit.export.c_maps import map_initializer, narrow_initializers, tile_initializers
from mcukit.export.c_names import ModelNames
from mcukit.export.names import comment_text
from mcukit.graph.graph import Tensor, map_shape
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import Plan
from mcukit.planning.tiles import StageTiles
from mcukit.quantized.integer import ConstantArray, Field, Kernel, Layer

_LINE_WIDTH = 112


@dataclass(frozen=True)
class Array:
    """A constant of the weights file. region: where it goes if not where all weights go, else ""."""

    name: str
    c_type: str
    length: int
    text: str
    layer: str
    meaning: str
    region: str


class LayerWriter:
    """Turns layers into what the templates print; collects their constants in `arrays` on the way."""

    def __init__(self, flow: Dataflow, plan: Plan, names: ModelNames) -> None:
        self._flow = flow
        self._plan = plan
        self._names = names
        self.arrays: list[Array] = []
        self._written: dict[int, list[tuple[str, ConstantArray]]] = {}

    def contexts(self, index: int, tiles: StageTiles) -> list[dict[str, Any]]:
        """A layer, and its narrow form if it has one."""
        forms = [False, True] if index < len(self._flow.narrow) else [False]
        return [self._context(index, tiles, narrow=narrow) for narrow in forms]

    def _context(self, index: int, tiles: StageTiles, *, narrow: bool) -> dict[str, Any]:
        layer = self._flow.narrow[index] if narrow else self._flow.layers[index]
        kernel = layer.kernel
        if kernel is None:
            raise ValueError(f"'{layer.name}' computes nothing")
        names, graph = self._names, self._flow.model.graph_of(layer)
        output = graph.tensors[layer.output]
        macs = self._flow.macs[index]
        identifier = names.narrow[index] if narrow else names.layers[index]
        constant_maps = self._constant_maps(index, layer, kernel, identifier)
        operands = list(self._operands(index, {m["position"]: m["identifier"] for m in constant_maps}, narrow=narrow))
        return {
            "index": index + len(self._flow.layers) if narrow else index,
            "identifier": identifier,
            "comment": comment_text(layer.name),
            "operator": layer.node.operator.op_name,
            "geometry": _geometry(layer),
            "input_shapes": ", ".join(_shape_text(graph.tensors[name]) for name in layer.inputs),
            "output_shape": _shape_text(output),
            "cost": f", {macs:,} MACs" if macs else "",
            "function": kernel.function,
            "bits": _bits(layer),
            "fields": list(self._fields(index, layer, kernel)),
            "constant_maps": constant_maps,
            "tiled": names.has_tiles(index),
            **self._maps(index, tiles, narrow=narrow),
            "height": map_shape(output.shape)[0],
            "output_map": names.output_map(index, narrow=narrow),
            "input_array": ", ".join(operands) if kernel.inputs_as_array else "",
            "call": self._call(index, kernel, operands, identifier, names.output_map(index, narrow=narrow)),
        }

    def _maps(self, index: int, tiles: StageTiles, *, narrow: bool) -> dict[str, Any]:
        """The mk_map of all that a layer computes, where someone asks for it, and those of its tiles."""
        flow, plan, names = self._flow, self._plan, self._names
        tiled, output = names.has_tiles(index), flow.layers[index].output
        if not narrow:
            whole = not tiled or names.is_read_whole(index)
            return {
                "tiles": tile_initializers(flow, plan, names, tiles, index) if tiled else [],
                "map": map_initializer(flow, plan, names, output) if whole else None,
            }
        # What leaves the stage is the same map for both forms.
        own = [] if names.is_outgoing(index) else narrow_initializers(flow, plan, names, tiles, index)
        return {"tiles": own if tiled else [], "map": own[0] if own and not tiled else None}

    def _fields(self, index: int, layer: Layer, kernel: Kernel) -> Iterator[dict[str, Any]]:
        """Members of the parameter struct; those of a struct inside it ("window.stride_x") become one initializer."""
        for prefix, members in itertools.groupby(kernel.fields, key=lambda field: field.name.rpartition(".")[0]):
            texts = [(field.name.rpartition(".")[2], self._field_text(index, field, layer)) for field in members]
            if prefix:
                yield {"name": prefix, "members": [f".{name} = {text}" for name, text in texts]}
            else:
                yield from ({"name": name, "value": text} for name, text in texts)

    def _field_text(self, index: int, field: Field, layer: Layer) -> str:
        return self._constant(index, field.value, layer) if isinstance(field.value, ConstantArray) else str(field.value)

    def _call(self, index: int, kernel: Kernel, operands: list[str], identifier: str, output: str) -> str:
        arguments = [f"&{identifier}_params"] if kernel.fields else []
        arguments += ["inputs", str(len(operands))] if kernel.inputs_as_array else operands
        arguments += [f"&{output}", "first_row", "last_row"]
        place = self._plan.scratch.get(self._flow.layers[index].name)
        if kernel.scratch_bytes and place is not None:
            arguments.append(self._names.address(place))
        elif kernel.takes_scratch or kernel.scratch_bytes:
            arguments.append("0")
        return f"{kernel.function}({', '.join(arguments)});"

    def _operands(self, index: int, constants: dict[int, str], *, narrow: bool) -> Iterator[str]:
        """Addresses of maps in the kernel's order: constants take their positions among the feature maps."""
        layer = self._flow.layers[index]
        feature_maps = iter([self._names.operand(name, index, narrow=narrow) for name in layer.inputs])
        for position in range(len(layer.inputs) + len(constants)):
            yield f"&{constants[position] if position in constants else next(feature_maps)}"

    def _constant_maps(self, index: int, layer: Layer, kernel: Kernel, identifier: str) -> list[dict[str, Any]]:
        """Constant operands that the kernel reads like maps. The cast drops const: kernels only read their inputs."""
        maps = []
        for position, array, (height, width, channels) in kernel.constant_maps:
            name = self._constant(index, array, layer)
            claimed = self._names.claim(f"{identifier}_{array.suffix}", f"constant_{position}")
            initializer = f"MK_WHOLE_MAP((int8_t *){name}, {height}, {width}, {channels}, 8)"
            maps.append({"position": position, "identifier": f"{claimed}_map", "initializer": initializer})
        return maps

    def _constant(self, index: int, array: ConstantArray, layer: Layer) -> str:
        """Remembers an array for the weights file; its name. What both forms of a layer have is there once."""
        identifier = self._names.layers[index]
        if layer is not self._flow.layers[index]:
            identifier = self._names.narrow[index]
            for name, earlier in self._written[index]:
                if array.same_as(earlier):
                    return name
        name = f"{self._names.model}_{identifier}_{array.suffix}"
        if layer is self._flow.layers[index]:
            self._written.setdefault(index, []).append((name, array))
        shape = "x".join(str(size) for size in array.values.shape)
        meaning = f"{array.suffix} {array.meaning}, {shape}"
        region = self._plan.weights.get(self._flow.layers[index].name, "")
        text = _wrap(array.values)
        self.arrays.append(
            Array(name, array.c_type, array.values.size, text, comment_text(layer.name), meaning, region)
        )
        return name


def _geometry(layer: Layer) -> str:
    window = getattr(layer.node.operator, "window", None)
    if window is None:
        return ""
    text = f" {window.kernel[0]}x{window.kernel[1]}"
    if window.stride != (1, 1):
        text += f" stride {window.stride[0]}x{window.stride[1]}"
    if window.dilation != (1, 1):
        text += f" dilation {window.dilation[0]}x{window.dilation[1]}"
    return text + (f" pads {','.join(map(str, window.pads))}" if any(window.pads) else "")


def _bits(layer: Layer) -> str:
    """Bits of maps and weights, where they are not 8 throughout."""
    if not layer.is_packed:
        return ""
    sources = " and ".join(str(form.bits) for form in layer.forms)
    weights = f", weights {layer.operator.weight_bits}" if layer.node.operator.has_weights else ""
    return f", bits {sources} -> {layer.output_form.bits}{weights}"


def _shape_text(tensor: Tensor) -> str:
    return "x".join(str(size) for size in map_shape(tensor.shape))


def _wrap(values: np.ndarray[Any, np.dtype[Any]]) -> str:
    """Comma-separated integers, filled into lines. INT32_MIN needs a form of its own in C."""
    text = ", ".join(map(str, values.ravel().tolist())) + ", "
    if values.dtype.itemsize > 2 and (values == -(1 << 31)).any():
        text = text.replace(str(-(1 << 31)), "(-2147483647 - 1)")
    lines = []
    start = 0
    # Line by line and not word by word: networks have millions of weights.
    while start < len(text):
        end = text.rfind(", ", start, start + _LINE_WIDTH - 4) + 2
        lines.append(f"    {text[start : end - 1]}")
        start = end
    return "\n".join(lines)

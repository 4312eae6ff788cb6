# SPDX-License-Identifier: Apache-2.0
"""Readable C of a planned integer model: NAME.h, NAME.c and NAME_weights.{h,c}."""

from __future__ import annotations

__all__ = ["generate_c"]

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jinja2
import numpy as np

import mcukit
from mcukit.calibration.preprocessing import Preprocessing
from mcukit.export.names import IdentifierTable, comment_text, file_stem
from mcukit.graph.graph import Tensor, map_shape
from mcukit.planning.plan import Plan
from mcukit.quantized.integer import ConstantArray, Field, IntegerModel, Kernel, Layer

_LINE_WIDTH = 112


@dataclass(frozen=True)
class _Array:
    """A constant as the templates print it."""

    name: str
    c_type: str
    length: int
    text: str
    layer: str
    meaning: str


def generate_c(model: IntegerModel, plan: Plan, preprocessing: Preprocessing | None = None) -> dict[str, str]:
    """File contents by file name. Identifiers are made from the model's names; comments hold these as they were."""
    writer = _Writer(model, plan)
    context = writer.context() | {"formula": None if preprocessing is None else preprocessing.formula()}
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mcukit.export"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # this is C: every name from the model passes export/names.py
    )
    name = writer.name
    files = {
        f"{name}.h": "model.h.j2",
        f"{name}.c": "model.c.j2",
        f"{name}_weights.h": "weights.h.j2",
        f"{name}_weights.c": "weights.c.j2",
    }
    return {file: environment.get_template(template).render(context) for file, template in files.items()}


class _Writer:
    """Turns model and plan into what the templates print."""

    def __init__(self, model: IntegerModel, plan: Plan) -> None:
        self.model = model
        self.plan = plan
        self.name = file_stem(model.name)
        self.computed = [(layer, kernel) for layer in model.layers if (kernel := layer.operator.kernel()) is not None]
        # A layer called "input" would have the map of the network's input.
        self.table = IdentifierTable(("input",))
        self.identifiers = {
            layer.name: self.table.claim(layer.name, f"{layer.node.operator.op_name}_{index}")
            for index, (layer, _) in enumerate(self.computed)
        }
        self.view_identifiers = {
            layer.output: f"{self.table.claim(f'{layer.name}_view', f'view_{index}')}_map"
            for index, layer in enumerate(model.layers)
            if layer.operator.kernel() is None
        }
        self.arrays: list[_Array] = []

    def context(self) -> dict[str, Any]:
        layers = [self._layer(layer, kernel) for layer, kernel in self.computed]
        headers = {"mcukit_nn.h", *(f"{kernel.function}.h" for _, kernel in self.computed)}
        maps = [self._map(self.model.input, "input_map"), *(layer["map"] for layer in layers)]
        model_name = comment_text(self.model.name)
        macs = sum(layer["macs"] for layer in layers)
        return {
            "banner": f"Written by mcukit {mcukit.__version__}. Do not edit: quantize the model again instead.",
            "title": f"{model_name}: {len(layers)} layers, {macs:,} multiply-accumulates.",
            "name": self.name,
            "macro": self.name.upper(),
            "headers": sorted(headers),
            "arena_bytes": self.plan.arena_bytes,
            "last_place": max(
                (*self.plan.maps.values(), *self.plan.scratch.values()), key=lambda place: place.offset + place.bytes
            ),
            "weight_bytes": self.model.weight_bytes,
            "layers": layers,
            "arrays": self.arrays,
            "input_map": maps[0],
            "input_is_read": any(self.model.input.name in layer.inputs for layer, _ in self.computed),
            "views": [
                self._map(self.model.graph.tensors[name], identifier) | {"comment": comment_text(name)}
                for name, identifier in self.view_identifiers.items()
                if any(name in layer.inputs for layer, _ in self.computed)
            ],
            "input": self._interface(self.model.input, 0, 1),
            "outputs": [
                self._interface(tensor, index, len(self.model.outputs))
                for index, tensor in enumerate(self.model.outputs)
            ],
        }

    def _interface(self, tensor: Tensor, index: int, count: int) -> dict[str, Any]:
        """An input or output of the network. With several outputs each has its number."""
        if tensor.quantization is None:
            raise ValueError(f"'{tensor.name}' is not quantized")
        height, width, channels = map_shape(tensor.shape)
        suffix = "" if index == 0 or count == 1 else f"_{index}"
        return {
            "height": height,
            "width": width,
            "channels": channels,
            "bytes": tensor.elements,
            "scale": f"{tensor.quantization.tensor_scale!r}f",
            "zero_point": tensor.quantization.zero_point,
            "suffix": suffix,
            "suffix_macro": suffix,
            "comment": comment_text(tensor.name),
            "data": f"arena + {self.plan.maps[tensor.name].offset}",
        }

    def _map(self, tensor: Tensor, identifier: str) -> dict[str, Any]:
        place = self.plan.maps[tensor.name]
        height, width, channels = map_shape(tensor.shape)
        return {
            "identifier": identifier,
            "data": f"arena + {place.offset}",
            "height": height,
            "width": width,
            "channels": channels,
        }

    def _layer(self, layer: Layer, kernel: Kernel) -> dict[str, Any]:
        identifier = self.identifiers[layer.name]
        inputs = [self.model.graph.tensors[name] for name in layer.node.inputs]
        output = self.model.graph.tensors[layer.output]
        macs = layer.node.operator.macs(inputs, output)
        constant_maps = self._constant_maps(layer, kernel)
        operands = [
            f"&{name}" for name in self._operands(layer, {m["position"]: m["identifier"] for m in constant_maps})
        ]
        return {
            "identifier": identifier,
            "comment": comment_text(layer.name),
            "operator": layer.node.operator.op_name,
            "geometry": _geometry(layer),
            "input_shapes": ", ".join(_shape_text(self.model.graph.tensors[name]) for name in layer.inputs),
            "output_shape": _shape_text(output),
            "cost": f", {macs:,} MACs" if macs else "",
            "macs": macs,
            "function": kernel.function,
            "fields": list(self._fields(layer, kernel)),
            "constant_maps": constant_maps,
            "map": self._map(output, f"{identifier}_map"),
            "input_array": ", ".join(operands) if kernel.inputs_as_array else "",
            "call": self._call(layer, kernel, operands),
        }

    def _fields(self, layer: Layer, kernel: Kernel) -> Iterator[dict[str, Any]]:
        """Members of the parameter struct; those of a struct inside it ("window.stride_x") become one initializer."""
        for prefix, members in itertools.groupby(kernel.fields, key=lambda field: field.name.rpartition(".")[0]):
            texts = [(field.name.rpartition(".")[2], self._field_text(field, layer)) for field in members]
            if prefix:
                yield {"name": prefix, "members": [f".{name} = {text}" for name, text in texts]}
            else:
                yield from ({"name": name, "value": text} for name, text in texts)

    def _field_text(self, field: Field, layer: Layer) -> str:
        return self._constant(field.value, layer) if isinstance(field.value, ConstantArray) else str(field.value)

    def _call(self, layer: Layer, kernel: Kernel, operands: list[str]) -> str:
        identifier = self.identifiers[layer.name]
        arguments = [f"&{identifier}_params"] if kernel.fields else []
        arguments += ["inputs", str(len(operands))] if kernel.inputs_as_array else operands
        arguments += [f"&{identifier}_map", "first_row", "last_row"]
        if layer.name in self.plan.scratch:
            arguments.append(f"arena + {self.plan.scratch[layer.name].offset}")
        elif kernel.takes_scratch:
            arguments.append("0")
        return f"{kernel.function}({', '.join(arguments)});"

    def _operands(self, layer: Layer, constants: dict[int, str]) -> Iterator[str]:
        """Map identifiers in the kernel's order: constants take their positions among the feature maps."""
        feature_maps = iter([self._map_identifier(name) for name in layer.inputs])
        for position in range(len(layer.inputs) + len(constants)):
            yield constants[position] if position in constants else next(feature_maps)

    def _map_identifier(self, tensor_name: str) -> str:
        """The C map that describes a tensor; a view of another shape has one of its own."""
        if tensor_name == self.model.input.name:
            return "input_map"
        if tensor_name in self.view_identifiers:
            return self.view_identifiers[tensor_name]
        producer = self.model.graph.producers()[tensor_name]
        return f"{self.identifiers[producer.name]}_map"

    def _constant_maps(self, layer: Layer, kernel: Kernel) -> list[dict[str, Any]]:
        """Constant operands that the kernel reads like maps. The cast drops const: kernels only read their inputs."""
        maps = []
        for position, array, (height, width, channels) in kernel.constant_maps:
            name = self._constant(array, layer)
            identifier = self.table.claim(f"{self.identifiers[layer.name]}_{array.suffix}", f"constant_{position}")
            maps.append(
                {
                    "position": position,
                    "identifier": f"{identifier}_map",
                    "data": f"(int8_t *){name}",
                    "height": height,
                    "width": width,
                    "channels": channels,
                }
            )
        return maps

    def _constant(self, array: ConstantArray, layer: Layer) -> str:
        """Remembers an array for the weights file; its name."""
        name = f"{self.name}_{self.identifiers[layer.name]}_{array.suffix}"
        shape = "x".join(str(size) for size in array.values.shape)
        meaning = f"{array.suffix} {array.meaning}, {shape}"
        text = _wrap(array.values)
        self.arrays.append(_Array(name, array.c_type, array.values.size, text, comment_text(layer.name), meaning))
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


def _shape_text(tensor: Tensor) -> str:
    return "x".join(str(size) for size in map_shape(tensor.shape))


def _wrap(values: np.ndarray[Any, np.dtype[Any]]) -> str:
    """Comma-separated integers, filled into lines. INT32_MIN needs a form of its own in C."""
    words = ["(-2147483647 - 1)" if value == -(1 << 31) else str(value) for value in values.ravel().tolist()]
    lines: list[str] = []
    line: list[str] = []
    width = 0
    for word in words:
        if width + len(word) + 2 > _LINE_WIDTH - 4:
            lines.append("    " + ", ".join(line) + ",")
            line, width = [], 0
        line.append(word)
        width += len(word) + 2
    lines.append("    " + ", ".join(line) + ",")
    return "\n".join(lines)

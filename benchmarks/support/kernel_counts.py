# SPDX-License-Identifier: Apache-2.0
"""Counts the instructions of a kernel on many shapes: one network with a layer for each shape, run in the emulator."""

from __future__ import annotations

__all__ = ["Sample", "count_kernel", "count_layers", "count_shapes", "network_of"]

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.support.kernel_shapes import Shaped
from mcukit.calibration.ranges import Range
from mcukit.emulation.build import CSources
from mcukit.emulation.runner import run_on_target
from mcukit.export.c_code import generate_c
from mcukit.graph.graph import Graph, Node, Shape, Tensor, map_shape
from mcukit.graph.region import whole_region
from mcukit.ops.conv2d import Conv2d
from mcukit.ops.operator import Operator
from mcukit.ops.requantize import Requantize
from mcukit.ops.reshape import Reshape
from mcukit.ops.resize_nearest import ResizeNearest
from mcukit.ops.window import Window
from mcukit.planning.kernel_features import KERNEL_FEATURES
from mcukit.planning.planner import plan_layers
from mcukit.quantized.integer import IntegerModel, Layer, with_kernels
from mcukit.quantized.kernel_sets import KernelSet, first_set_with
from mcukit.quantized.lower import lower
from mcukit.quantized.precision import Precision
from mcukit.quantized.quantize import quantize_graph

_INPUT = (1, 24, 24, 4)
_SEED = 0
_SPREADS = (3.0, 5.0)
"""How far from zero maps reach. Weights are scaled so that few values lie farther."""

_NAME = "shapes"


@dataclass(frozen=True)
class Sample:
    """One shape. function: the kernel that was called. work: multiply-accumulates, or values where there are none.

    features: how often the kernel's features occur, in their order. classes: what the emulator counted, by class.
    """

    shaped: Shaped
    function: str
    work: int
    features: tuple[int, ...]
    classes: Mapping[str, int]

    @property
    def instructions(self) -> int:
        return sum(self.classes.values())


@dataclass
class _Network:
    """A network under construction: each shape is a branch of its own, and maps of equal shape are shared."""

    tensors: dict[str, Tensor] = field(default_factory=lambda: {"input": Tensor("input", _INPUT)})
    nodes: list[Node] = field(default_factory=list)
    generator: np.random.Generator = field(default_factory=lambda: np.random.default_rng(_SEED))
    map_bits: dict[str, int] = field(default_factory=dict)
    weight_bits: dict[str, int] = field(default_factory=dict)

    def constant(self, name: str, shape: Shape) -> str:
        scale = 1.0 if len(shape) == 1 else 1.5 / np.sqrt(max(np.prod(shape[1:]), 1))
        self.tensors[name] = Tensor(name, shape, (self.generator.standard_normal(shape) * scale).astype(np.float32))
        return name

    def node(self, name: str, operator: Operator, inputs: Sequence[str]) -> str:
        if name not in self.tensors:
            self.tensors[name] = Tensor(name, operator.output_shape([self.tensors[i] for i in inputs]))
            self.nodes.append(Node(name, operator, tuple(inputs), name))
        return name

    def map(self, shape: Shape, number: int, bits: int = 8) -> str:
        """A map of that shape with varied values; another one for each number, and for each width."""
        if bits != 8:
            wide = self.map(shape, number)
            narrow = self.node(f"{wide}/{bits} bits", Requantize(), [wide])
            self.map_bits[narrow] = bits
            return narrow
        height, width, channels = map_shape(shape)
        name = f"{'x'.join(map(str, shape))}/{number}"
        if name in self.tensors:
            return name
        resized = self.node(f"resized/{height}x{width}", ResizeNearest((height, width)), ["input"])
        weights = self.constant(f"{name}/weights", (channels, 1, 1, _INPUT[3]))
        bias = self.constant(f"{name}/bias", (channels,))
        spread = self.node(
            name if len(shape) == 4 else f"{name}/spread", Conv2d(Window((1, 1))), [resized, weights, bias]
        )
        return spread if len(shape) == 4 else self.node(name, Reshape(shape), [spread])

    def branch(self, position: int, shaped: Shaped) -> str:
        maps = [
            self.map(shape, i, bits) for i, (shape, bits) in enumerate(zip(shaped.maps, shaped.map_bits, strict=True))
        ]
        constants = [self.constant(f"{position}/constant{i}", shape) for i, shape in enumerate(shaped.constants)]
        name = self.node(f"{position}", shaped.operator, [*maps, *constants])
        self.map_bits[name] = shaped.output_bits
        self.weight_bits[name] = shaped.weight_bits
        return name

    def graph(self, last: str) -> Graph:
        """The network. Its output, which must have 8 bits, is `last`, if it has."""
        if self.map_bits[last] != 8:
            last = self.node("output", Requantize(), [last])
        return Graph(_NAME, self.tensors, tuple(self.nodes), ("input",), (last,))

    def precision(self) -> Precision:
        weighted = {node.name for node in self.nodes if node.operator.has_weights}
        return Precision(self.map_bits, {name: bits for name, bits in self.weight_bits.items() if name in weighted})


def count_kernel(function: str, shapes: Sequence[Shaped], target: str) -> tuple[Sample, ...]:
    """Exact counts of one kernel for every shape. Raises what run_on_target raises."""
    samples = count_shapes(shapes, first_set_with(function), target)
    for sample in samples:
        if sample.function != function:
            raise ValueError(f"{sample.shaped} does not call {function}")
    return samples


def count_shapes(shapes: Sequence[Shaped], kernels: KernelSet, target: str) -> tuple[Sample, ...]:
    """Exact counts for every shape, of whichever kernel of the set computes it. Raises what run_on_target raises."""
    model, names = network_of(shapes)
    model = with_kernels(model, kernels)
    counted = count_layers(model, target)
    by_name = {layer.name: layer for layer in model.steps}
    return tuple(
        _sample(model, shaped, by_name[name], counted[name]) for name, shaped in zip(names, shapes, strict=True)
    )


def network_of(shapes: Sequence[Shaped]) -> tuple[IntegerModel, tuple[str, ...]]:
    """A network with a layer for each shape, and the names of these layers."""
    network = _Network()
    names = tuple(network.branch(position, shaped) for position, shaped in enumerate(shapes))
    return _quantize(network.graph(names[-1]), network.precision()), names


def _quantize(graph: Graph, precision: Precision) -> IntegerModel:
    """The integer model. Ranges are not calibrated: float libraries differ in the last bits from machine to machine."""
    generator = np.random.default_rng(_SEED)
    limits = {node.output: node.operator.output_limits() for node in graph.nodes}
    ranges = {}
    for tensor in graph.maps():
        # No two alike: operands of equal scale would take a shorter way through the additions.
        spread = Range.around_zero(-generator.uniform(*_SPREADS), generator.uniform(*_SPREADS))
        ranges[tensor.name] = spread.clipped(*limits.get(tensor.name, (-1.0, 1.0)))
    return lower(quantize_graph(graph, ranges, precision))


def count_layers(model: IntegerModel, target: str) -> dict[str, Mapping[str, int]]:
    """Instructions of each layer by class, for an input of random bytes. Raises what run_on_target raises."""
    layers = model.steps
    inputs = np.random.default_rng(_SEED).integers(-128, 128, (1, model.input.elements)).astype(np.int8)
    with tempfile.TemporaryDirectory(prefix="mcukit-kernels-") as folder:
        for file, text in generate_c(model, plan_layers(model)).items():
            Path(folder, file).write_text(text, encoding="utf-8")
        sources = CSources(_NAME, Path(folder), len(layers), model.input.elements, model.outputs[0].elements)
        run = run_on_target(sources, target, inputs, profile=True)
    if run.layer_instructions is None:
        raise ValueError(f"instructions are not counted on {target}")
    return dict(zip((layer.name for layer in layers), run.layer_instructions, strict=True))


def _sample(model: IntegerModel, shaped: Shaped, layer: Layer, classes: Mapping[str, int]) -> Sample:
    if layer.kernel is None:
        raise ValueError(f"{shaped} calls no kernel")
    output = model.graph.tensors[layer.output]
    count = KERNEL_FEATURES[layer.kernel.function].counter(layer, model.graph)
    macs = layer.node.operator.macs(model.graph.node_inputs(layer.node), output)
    work = macs if layer.node.operator.has_weights else output.elements
    return Sample(shaped, layer.kernel.function, work, count(whole_region(output), 1), classes)

# SPDX-License-Identifier: Apache-2.0
"""Runs tables of operator cases through every executor and compares bytes.

A case becomes a network of its own, quantized and written as C and as .tflite like any other. Operators with several
maps get them from 1x1 convolutions of one input, because a network has one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mcukit.calibration.float_model import FloatModel
from mcukit.calibration.ranges import Range
from mcukit.emulation.build import CSources
from mcukit.emulation.reference import run_reference
from mcukit.emulation.runner import run_on_target
from mcukit.export.c_code import generate_c
from mcukit.export.tflite import build_tflite
from mcukit.graph.graph import Graph, Node, Shape, Tensor, map_shape
from mcukit.graph.validate import validate
from mcukit.ops.average_pool import AveragePool
from mcukit.ops.conv2d import Conv2d
from mcukit.ops.operator import Operator
from mcukit.ops.requantize import Requantize
from mcukit.ops.reshape import Reshape
from mcukit.ops.window import Window
from mcukit.planning.planner import plan_layers
from mcukit.quantized.integer import IntegerModel, with_kernels
from mcukit.quantized.kernel_sets import KernelSet
from mcukit.quantized.lower import lower
from mcukit.quantized.packing import map_of_bytes
from mcukit.quantized.precision import INT8, Precision
from mcukit.quantized.quantize import quantize_graph
from mcukit.tflite.micro import run_tflm_tensors
from mcukit.tflite.reader import read_tflite
from mcukit.tflite.writer import write_tflite
from tests.planning.batch import Job, require_all_right

INPUTS = 3


@dataclass(frozen=True)
class Case:
    """One operator on maps of the given shapes; constants follow the maps among its inputs.

    bits: of the maps that it reads, of the one that it computes, and of its weights. Where one is not 8, the operator
    stands between requantizations, because what enters and leaves a network has 8 bits.
    later_bits: of the maps that it reads behind the first one, where they differ from its bits.
    """

    operator: Operator
    maps: tuple[Shape, ...]
    constants: tuple[Shape, ...] = ()
    seed: int = 0
    bits: tuple[int, int, int] = (8, 8, 8)
    later_bits: int | None = None

    def __str__(self) -> str:
        shapes = ",".join("x".join(map(str, shape)) for shape in (*self.maps, *self.constants))
        packed = "-{}to{}w{}".format(*self.bits) if self.is_packed else ""
        packed += "" if self.later_bits is None else f"later{self.later_bits}"
        return f"{self.operator.op_name}-{shapes}-{self.seed}{packed}"

    @property
    def is_packed(self) -> bool:
        return self.bits != (8, 8, 8) or self.later_bits not in (None, 8)

    def precision(self, graph: Graph) -> Precision:
        """Bits of the maps and weights of `case_graph`."""
        if not self.is_packed:
            return INT8
        node = graph.producers()["output"]
        source, target, weights = self.bits
        first, *later = graph.map_inputs(node)
        maps = {first: source, **dict.fromkeys(later, self.later_bits or source), node.output: target}
        return Precision(maps, {node.name: weights} if node.operator.has_weights else {})


def check(cases: Sequence[Case], folder: Path, kernels: KernelSet = KernelSet.PORTABLE) -> None:
    """Reference, C on the host and TensorFlow Lite Micro: equal bytes in every map, in no memory but what is in use.

    Beside that the float network must agree within a few quantization steps, or all executors could be wrong alike.
    folder: empty. The C runs under sanitizers; kernels of other sets than the portable one over equals of their
    instructions, and TensorFlow Lite Micro, which knows no sets, not again.
    """
    jobs = []
    for case in cases:
        graph = case_graph(case)
        validate(graph)
        model, inputs = quantize_case(case, graph)
        if kernels is KernelSet.PORTABLE:
            expected = run_reference(model, inputs, keep_maps=True).maps
            compare(case, "TFLM", expected, run_micro(model, inputs))
        model = with_kernels(model, kernels)
        jobs.append(Job(f"{case} ({kernels})", model, plan_layers(model), inputs))
    require_all_right(jobs, folder)


def compare(case: Case, executor: str, expected: dict[str, np.ndarray], found: dict[str, np.ndarray]) -> None:
    assert found, f"{case}: {executor} shows no map"
    for name, values in found.items():
        np.testing.assert_array_equal(expected[name], values, err_msg=f"{case}: '{name}' in {executor}", strict=True)


def case_graph(case: Case) -> Graph:
    """The float network of a case."""
    generator = np.random.default_rng(case.seed)
    tensors: dict[str, Tensor] = {}
    nodes: list[Node] = []

    def constant(name: str, shape: Shape) -> str:
        fan_in = max(1, int(np.prod(shape[1:])) if len(shape) > 1 else 1)
        scale = 1.0 if len(shape) == 1 else 1.5 / np.sqrt(fan_in)
        tensors[name] = Tensor(name, shape, (generator.standard_normal(shape) * scale).astype(np.float32))
        return name

    def node(name: str, operator: Operator, inputs: tuple[str, ...]) -> str:
        shape = operator.output_shape([tensors[i] for i in inputs])
        tensors[name] = Tensor(name, shape)
        nodes.append(Node(name, operator, inputs, name))
        return name

    if len(case.maps) == 1:
        tensors["input"] = Tensor("input", case.maps[0])
        maps = [node("first", Requantize(), ("input",)) if case.is_packed else "input"]
    else:
        height = max(map_shape(shape)[0] for shape in case.maps)
        width = max(map_shape(shape)[1] for shape in case.maps)
        tensors["input"] = Tensor("input", (1, height, width, 3))
        maps = []
        for index, shape in enumerate(case.maps):
            channels = map_shape(shape)[2]
            weights = constant(f"weights{index}", (channels, 1, 1, 3))
            bias = constant(f"bias{index}", (channels,))
            name = node(f"map{index}", Conv2d(Window((1, 1))), ("input", weights, bias))
            if map_shape(shape)[:2] != (height, width):
                assert map_shape(shape)[:2] == (1, 1), "a case's maps are of full size or one pixel"
                name = node(f"pooled{index}", AveragePool(Window((height, width))), (name,))
            if len(shape) != 4:
                name = node(f"shaped{index}", Reshape(shape), (name,))
            maps.append(node(f"narrow{index}", Requantize(), (name,)) if case.is_packed else name)
    constants = [constant(f"constant{index}", shape) for index, shape in enumerate(case.constants)]
    output = node("output", case.operator, (*maps, *constants))
    if case.is_packed:
        output = node("last", Requantize(), (output,))
    return Graph("probe", tensors, tuple(nodes), ("input",), (output,))


def quantize_case(case: Case, graph: Graph) -> tuple[IntegerModel, np.ndarray]:
    """Ranges from a float run on random input; the integer model and the same input as bytes."""
    generator = np.random.default_rng(case.seed + 1)
    shape = graph.tensors["input"].shape
    low, high = -generator.uniform(0.3, 4.0), generator.uniform(0.3, 4.0)
    real = generator.uniform(low, high, (INPUTS, *shape[1:])).astype(np.float32)
    maps = FloatModel(graph).run_nhwc(real)
    ranges = {name: Range.around_zero(float(values.min()), float(values.max())) for name, values in maps.items()}
    model = lower(quantize_graph(graph, ranges, case.precision(graph)))
    assert model.input.quantization is not None
    inputs = model.input.quantization.quantize(real)
    expected = run_reference(model, inputs, keep_maps=True).maps
    output = model.outputs[0]
    assert output.quantization is not None
    found = output.quantization.dequantize(expected[output.name]).reshape(maps[output.name].shape)
    span = max(float(np.ptp(maps[output.name])), output.quantization.tensor_scale)
    worst = float(np.abs(found - maps[output.name]).max())
    # Coarse steps add up; the arithmetic is that of 8 bits.
    assert case.is_packed or worst < 0.12 * span + 4 * output.quantization.tensor_scale, (
        f"{case}: {worst} from float over a span of {span}"
    )
    return model, inputs


def run_c(model: IntegerModel, inputs: np.ndarray, target: str) -> dict[str, np.ndarray]:
    """Every map that the generated C computes."""
    plan = plan_layers(model)
    layers = model.steps
    with tempfile.TemporaryDirectory() as folder:
        for name, text in generate_c(model, plan).items():
            Path(folder, name).write_text(text)
        sources = CSources("probe", Path(folder), len(layers), model.input.elements, model.outputs[0].elements)
        fed = inputs.reshape(len(inputs), -1)
        run = run_on_target(sources, target, fed, trace=True, sanitize=target == "host")
    assert run.traces is not None
    maps = {}
    for index, layer in enumerate(layers):
        form = layer.output_form
        shape = (form.height, form.width, form.channels)
        maps[layer.output] = np.stack([map_of_bytes(t[index], shape, form.bits) for t in run.traces])
    return maps


def run_micro(model: IntegerModel, inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Every map of the exported .tflite that the graph knows, as TensorFlow Lite Micro computes it."""
    pytest.importorskip("tflite_micro", reason="the tflite-micro package is not installed")
    data = write_tflite(build_tflite(model.graph))
    described = read_tflite(data, "case").main.tensors
    known = {tensor.name: map_shape(tensor.shape) for tensor in model.graph.maps()}
    return {
        described[index].name: values.reshape(len(inputs), *known[described[index].name])
        for index, values in run_tflm_tensors(data, inputs).items()
        if described[index].name in known
    }

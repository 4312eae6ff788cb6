# SPDX-License-Identifier: Apache-2.0
"""Which maps share a scale, which must not, and what becomes of constants that several nodes read."""

from __future__ import annotations

import numpy as np

from mcukit.calibration.ranges import Range, quantization_of
from mcukit.graph.graph import Graph, Node, Quantization, Tensor
from mcukit.graph.validate import validate
from mcukit.ops.activation import RELU
from mcukit.ops.average_pool import AveragePool
from mcukit.ops.concat import Concat
from mcukit.ops.conv2d import Conv2d
from mcukit.ops.lookup import SIGMOID_OUTPUT
from mcukit.ops.operator import Operator
from mcukit.ops.relu import Clip
from mcukit.ops.requantize import Requantize
from mcukit.ops.reshape import Reshape
from mcukit.ops.sigmoid import Sigmoid
from mcukit.ops.window import Window
from mcukit.quantized.lower import lower
from mcukit.quantized.precision import Precision
from mcukit.quantized.quantize import quantize_graph, with_map_quantizations, with_weights_of
from tests.planning.networks import Network

Step = tuple[str, Operator, tuple[str, ...]]
POOL = AveragePool(Window((2, 2), (2, 2)))
CLIP = Clip(RELU)
POINT = Window((1, 1))
IMAGE = (1, 4, 4, 1)


def quantized(steps: list[Step], ranges: dict[str, tuple[float, float]], output: str) -> Graph:
    """The quantized network on an input "in"; constants "w" and "b" are there for 1x1 convolutions."""
    tensors = {
        "in": Tensor("in", IMAGE),
        "w": Tensor("w", (1, 1, 1, 1), np.full((1, 1, 1, 1), 0.5, np.float32)),
        "b": Tensor("b", (1,), np.full(1, 0.25, np.float32)),
    }
    nodes = []
    for name, operator, inputs in steps:
        tensors[name] = Tensor(name, operator.output_shape([tensors[i] for i in inputs]))
        nodes.append(Node(name, operator, inputs, name))
    graph = Graph("net", tensors, tuple(nodes), ("in",), (output,)).replace()
    spans = {tensor.name: Range(*ranges.get(tensor.name, (-1.0, 1.0))) for tensor in graph.maps()}
    result = quantize_graph(graph, spans)
    validate(result)
    lower(result)
    return result


def quantization(graph: Graph, name: str) -> Quantization:
    found = graph.tensors[name].quantization
    assert found is not None
    return found


def test_maps_whose_bytes_are_moved_share_the_widest_range() -> None:
    steps: list[Step] = [("a", CLIP, ("in",)), ("p", POOL, ("a",)), ("v", Reshape((1, 4)), ("p",))]
    graph = quantized(steps, {"a": (0.0, 2.0), "p": (0.0, 5.1), "v": (0.0, 1.0)}, "v")
    assert quantization(graph, "a").tensor_scale == np.float32(5.1 / 255)
    assert all(quantization(graph, name).same_as(quantization(graph, "a")) for name in "pv")
    assert not quantization(graph, "in").same_as(quantization(graph, "a"))


def test_all_operands_of_a_concatenation_share_a_scale() -> None:
    steps: list[Step] = [("a", CLIP, ("in",)), ("b2", CLIP, ("in",)), ("c", Concat(), ("a", "b2"))]
    graph = quantized(steps, {"a": (0.0, 1.0), "b2": (0.0, 4.0)}, "c")
    assert [node.operator.op_name for node in graph.nodes] == ["clip", "clip", "concat"]
    assert all(quantization(graph, name).same_as(quantization(graph, "c")) for name in ("a", "b2"))


def test_prescribed_maps_and_the_input_are_requantized_before_a_concatenation() -> None:
    steps: list[Step] = [
        ("s", Sigmoid(), ("in",)),
        ("p", CLIP, ("s",)),
        ("c", Concat(), ("s", "in", "p")),
        ("again", Concat(), ("s", "c")),
    ]
    graph = quantized(steps, {"in": (-3.0, 3.0), "c": (-3.0, 8.0), "again": (-3.0, 8.0)}, "again")
    assert quantization(graph, "s").same_as(SIGMOID_OUTPUT)
    assert quantization(graph, "in").tensor_scale == np.float32(6 / 255)
    converted = [node.inputs[0] for node in graph.nodes if isinstance(node.operator, Requantize)]
    assert (converted.count("s"), converted.count("in"), converted.count("p")) == (2, 1, 0)
    for node in graph.nodes:
        if node.operator.ties_quantization:
            assert all(quantization(graph, name).same_as(quantization(graph, node.output)) for name in node.inputs)


def test_one_map_twice_in_a_concatenation_is_requantized_once() -> None:
    steps: list[Step] = [("s", Sigmoid(), ("in",)), ("c", Concat(), ("s", "s"))]
    graph = quantized(steps, {}, "c")
    assert [node.operator.op_name for node in graph.nodes] == ["sigmoid", "requantize", "concat"]
    assert graph.nodes[-1].inputs == (graph.nodes[1].output,) * 2


def test_the_range_of_a_concatenation_is_its_own() -> None:
    steps: list[Step] = [("s", Sigmoid(), ("in",)), ("c", Concat(), ("s", "in")), ("d", Concat(), ("c", "p"))]
    steps.insert(2, ("p", CLIP, ("in",)))
    graph = quantized(steps, {}, "d")
    requantized = [node.inputs[0] for node in graph.nodes if isinstance(node.operator, Requantize)]
    assert requantized == ["s", "in"]


def test_new_tensors_do_not_take_names_of_the_model() -> None:
    steps: list[Step] = [
        ("s", Sigmoid(), ("in",)),
        ("s/requantized/c", CLIP, ("in",)),
        ("c", Concat(), ("s", "s/requantized/c")),
    ]
    graph = quantized(steps, {}, "c")
    assert [node.operator.op_name for node in graph.nodes] == ["sigmoid", "clip", "requantize", "concat"]
    assert len({node.output for node in graph.nodes}) == 4


def test_a_view_of_a_prescribed_map_keeps_what_is_prescribed() -> None:
    steps: list[Step] = [("s", Sigmoid(), ("in",)), ("v", Reshape((1, 16)), ("s",))]
    assert quantization(quantized(steps, {"v": (0.0, 0.1)}, "v"), "v").same_as(SIGMOID_OUTPUT)


def test_shared_constants_get_integers_for_each_reader() -> None:
    """A bias has its input's scale: two readers with different inputs need two of them."""
    steps: list[Step] = [
        ("first", Conv2d(Window((1, 1))), ("in", "w", "b")),
        ("second", Conv2d(Window((1, 1))), ("first", "w", "b")),
    ]
    graph = quantized(steps, {"in": (-1.0, 1.0), "first": (-10.0, 10.0)}, "second")
    assert graph.nodes[0].inputs[1:] != graph.nodes[1].inputs[1:]
    for node in graph.nodes:
        source, weights, bias = (quantization(graph, name) for name in node.inputs)
        assert bias.bits == 32
        assert bias.tensor_scale == np.float32(source.tensor_scale * weights.tensor_scale)
        integers = graph.tensors[node.inputs[2]].data
        assert integers is not None
        assert abs(float(integers[0]) * bias.tensor_scale - 0.25) <= 0.51 * bias.tensor_scale


def test_what_an_operator_can_not_give_narrows_the_range() -> None:
    graph = quantized([("a", CLIP, ("in",))], {"a": (-7.0, 2.55)}, "a")
    assert (quantization(graph, "a").tensor_scale, quantization(graph, "a").zero_point) == (np.float32(0.01), -128)


def test_other_bits_of_a_map_leave_weights_and_biases_as_they_are_meant() -> None:
    steps: list[Step] = [("a", Conv2d(POINT), ("in", "w", "b")), ("c", Conv2d(POINT), ("a", "w", "b"))]
    before = quantized(steps, {"a": (-1.0, 2.0)}, "c")
    narrow = quantization_of(Range(-0.5, 1.0), 4)

    after = with_map_quantizations(before, {"a": narrow})

    assert after.tensors["a"].quantization is narrow
    first, second = (node.inputs for node in before.nodes)
    assert after.tensors[first[2]] is before.tensors[first[2]], "its layer reads another map"
    assert after.tensors[second[1]] is before.tensors[second[1]], "weights have no part in it"
    old, new = before.tensors[second[2]], after.tensors[second[2]]
    meant = [quantization(g, second[2]).dequantize(np.asarray(t.data)) for g, t in ((before, old), (after, new))]
    step = float(quantization(after, second[2]).scale[0])
    np.testing.assert_allclose(meant[0], meant[1], atol=step / 2, rtol=0)
    assert np.asarray(new.data).tolist() != np.asarray(old.data).tolist()


def test_weights_of_another_form_keep_scales_of_maps_and_meaning_of_biases() -> None:
    net = Network(4, 4, 2)
    graph = net.graph(net.conv(net.conv("input", 3), 2, Window((1, 1))))
    spans = {tensor.name: Range(-2.0, 2.0) for tensor in graph.maps()}
    wider = {name: Range(-3.0, 3.0) for name in spans}
    ours = quantize_graph(graph, spans)
    other = quantize_graph(graph, wider, Precision(weights={"conv2d0": 4}))

    mixed = with_weights_of(ours, other)

    for tensor in graph.maps():
        assert quantization(mixed, tensor.name) == quantization(ours, tensor.name)
    for node in graph.nodes:
        weights, bias = node.inputs[1:3]
        np.testing.assert_array_equal(mixed.tensors[weights].data, other.tensors[weights].data)
        assert mixed.tensors[weights].quantization == other.tensors[weights].quantization
        # A bias counts in steps of its layer's products: those of our map and the other form's weights.
        step = np.float32(quantization(ours, node.inputs[0]).tensor_scale) * quantization(other, weights).scale
        np.testing.assert_array_equal(quantization(mixed, bias).scale, step)
        real = np.asarray(other.tensors[bias].data) * quantization(other, bias).scale.astype(np.float64)
        found = np.asarray(mixed.tensors[bias].data) * step.astype(np.float64)
        assert (np.abs(found - real) <= step / 2).all()
    assert quantization(mixed, graph.nodes[0].inputs[1]).bits == 4
    lower(mixed)

# SPDX-License-Identifier: Apache-2.0
"""No file, however damaged or malicious, leads to anything but a valid graph or a McukitError, and that soon."""

from __future__ import annotations

import random
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, defs, helper, numpy_helper

from mcukit.errors import McukitError
from mcukit.graph.validate import validate
from mcukit.importers.load import load_model
from mcukit.importers.onnx import import_onnx
from mcukit.passes import run_passes
from tests.importers.onnx_text import network
from tests.importers.test_onnx import NETWORKS, REAL_MODELS

SECONDS = 5.0
"""No small file may take longer; ordinary ones take milliseconds."""

FILES = [network(signature, nodes, constants) for signature, nodes, constants, _ in NETWORKS.values()]
SMALL = network("(float[1,2] x) => (float[1,2] y)", "y = Gemm(x, w, b)", {"w": (2, 2), "b": (2,)})
CONV = network("(float[N,3,8,8] x) => (float[N,4,6,6] y)", "y = Conv(x, w, b)", {"w": (4, 3, 3, 3), "b": (4,)})


def survives(file: bytes) -> bool:
    """Whether the file imports. Fails the test for any exception but McukitError, and if it takes long."""
    start = time.process_time()
    try:
        graph = run_passes(import_onnx(file))
        validate(graph)
    except McukitError:
        return False
    finally:
        assert time.process_time() - start < SECONDS
    return True


def codes(file: bytes | Path) -> set[str]:
    """Codes of the problems of a file that can't be imported."""
    with pytest.raises(McukitError) as caught:
        load_model(file) if isinstance(file, Path) else import_onnx(file)
    return {problem.code for problem in caught.value.problems}


def test_every_truncation_of_a_small_file() -> None:
    assert survives(SMALL)
    for length in range(len(SMALL)):
        assert not survives(SMALL[:length])


def test_truncations_of_a_real_file() -> None:
    path = REAL_MODELS / "vww" / "vww_96_float.onnx"
    if not path.is_file():
        pytest.skip("the real models in ../shared/models are absent")
    file = path.read_bytes()
    for length in random.Random(1).sample(range(len(file)), 100):
        assert not survives(file[:length])


def test_damaged_bytes() -> None:
    chance = random.Random(2)
    outcomes = set()
    for _ in range(1500):
        file = bytearray(chance.choice(FILES))
        for _ in range(chance.choice((1, 1, 2, 8))):
            file[chance.randrange(len(file))] ^= 1 << chance.randrange(8)
        outcomes.add(survives(bytes(file)))
    assert outcomes == {False, True}


def test_damaged_structure() -> None:
    chance = random.Random(3)
    outcomes = set()
    for _ in range(1000):
        model = onnx.load_from_string(chance.choice(FILES))
        for _ in range(chance.choice((1, 1, 2, 4))):
            damage(model, chance)
        outcomes.add(survives(model.SerializeToString()))
    assert outcomes == {False, True}


NUMBERS = (-(1 << 63), -(1 << 31), -2, -1, 0, 1, 2, 3, 5, 7, 255, 1 << 15, 1 << 26, 1 << 31, (1 << 63) - 1)
REALS = (0.0, -1.0, 1e-30, 1e30, float("inf"), float("nan"))


def damage(model: onnx.ModelProto, chance: random.Random) -> None:
    """Changes one thing in a model so that it stays a message of the right type."""
    graph = model.graph
    node, tensor = chance.choice(graph.node), chance.choice([*graph.initializer, TensorProto()])
    values = [value for other in graph.node for value in (*other.input, *other.output)]
    kind = chance.randrange(8)
    if kind == 0:
        node.op_type = chance.choice([schema.name for schema in defs.get_all_schemas()])
    elif kind == 1:
        schema = defs.get_schema(node.op_type, 17) if defs.has(node.op_type, 17, "") else None
        names = list(schema.attributes) if schema is not None else []
        if names:
            node.attribute.append(helper.make_attribute(chance.choice(names), chance.choice((*NUMBERS, *REALS))))
    elif kind == 2 and node.attribute:
        attribute = chance.choice(node.attribute)
        attribute.i, attribute.f = chance.choice(NUMBERS), chance.choice(REALS)
        for index in range(len(attribute.ints)):
            attribute.ints[index] = chance.choice((attribute.ints[index], chance.choice(NUMBERS)))
        attribute.ints.extend(chance.choices(NUMBERS, k=chance.choice((0, 0, 1))))
    elif kind == 3 and node.input:
        node.input[chance.randrange(len(node.input))] = chance.choice([*values, ""])
    elif kind == 4 and node.output:
        node.output.append(chance.choice([*values, "extra", ""]))
    elif kind == 5 and tensor.data_type == TensorProto.INT64:
        array = numpy_helper.to_array(tensor).copy()
        array.reshape(-1)[: chance.randrange(3)] = chance.choice(NUMBERS)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    elif kind == 6 and tensor.data_type == TensorProto.FLOAT:
        array = numpy_helper.to_array(tensor).copy()
        array = array.reshape(chance.choice([array.shape, array.shape[::-1], (-1,), (1, *array.shape)]))
        array.reshape(-1)[: chance.randrange(2)] = chance.choice(REALS)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    else:
        dimensions = graph.input[0].type.tensor_type.shape.dim
        dimensions[chance.randrange(len(dimensions))].dim_value = chance.choice(NUMBERS)


@pytest.mark.parametrize(
    "file",
    [b"", b"\x00", b"ONNX", b"\xff" * 100, b"\x08\x08", bytes(1 << 16), b"TFL3TFL3"],
    ids=["empty", "zero", "text", "ones", "only a version", "many zeros", "TFL3 too early"],
)
def test_no_model_at_all(file: bytes) -> None:
    assert codes(file) == {"not-an-onnx-model"}


# name: (signature, nodes, constants): networks that are refused, and the code.
REFUSED: dict[str, tuple[str, str, dict[str, np.ndarray | tuple[int, ...]], set[str]]] = {
    "NaN": (
        "(float[1,2] x) => (float[1,2] y)",
        "y = Gemm(x, w)",
        {"w": np.array([[1, np.nan], [0, 1]], np.float32)},
        {"non-finite-weights"},
    ),
    "infinity from float16": (
        "(float[1,2] x) => (float[1,2] y)",
        "c = Cast<to = 1>(w)  y = Gemm(x, c)",
        {"w": np.array([[1, np.inf], [0, 1]], np.float16)},
        {"non-finite-weights"},
    ),
    "variance below zero": (
        "(float[1,2,3,3] x) => (float[1,2,3,3] y)",
        "y = BatchNormalization(x, o, o, o, v)",
        {"o": (2,), "v": np.array([1, -1], np.float32)},
        {"non-finite-weights"},
    ),
    "cycle": ("(float[1,2] x) => (float[1,2] y)", "a = Add(x, b)  b = Relu(a)  y = Relu(b)", {}, {"invalid-model"}),
    "value without producer": ("(float[1,2] x) => (float[1,2] y)", "y = Add(x, gone)", {}, {"invalid-model"}),
    "output without producer": ("(float[1,2] x) => (float[1,2] z)", "y = Relu(x)", {}, {"invalid-model"}),
    "value defined twice": (
        "(float[1,2] x) => (float[1,2] y)",
        "y = Relu(x)  y = Sigmoid(x)",
        {},
        {"invalid-model"},
    ),
    "constant that is an output as well": (
        "(float[1,2] x) => (float[1,2] y)",
        "w = Relu(x)  y = Add(x, w)",
        {"w": (1, 2)},
        {"invalid-model"},
    ),
    "no node": ("(float[1,2] x) => (float[1,2] x)", "", {}, {"invalid-model"}),
    "huge input": (
        "(float[1,3,65536,65536] x) => (float[1,3,65536,65536] y)",
        "y = Relu(x)",
        {},
        {"invalid-model"},
    ),
    "huge padding": (
        "(float[1,3,8,8] x) => (float[1,4,N,M] y)",
        "y = Conv<pads = [0, 0, 1000000000, 1000000000]>(x, w)",
        {"w": (4, 3, 1, 1)},
        {"invalid-model"},
    ),
    "constant that grows": (
        "(float[1,2] x) => (float[1,2] y)",
        "k = ConstantOfShape(s)  y = Add(x, k)",
        {"s": np.array([1 << 40, 1 << 20], np.int64)},
        {"invalid-model"},
    ),
    "dynamic rows": ("(float[1,3,H,8] x) => (float[1,3,H,8] y)", "y = Relu(x)", {}, {"dynamic-shape"}),
    "batch of 2": ("(float[2,3,8,8] x) => (float[2,3,8,8] y)", "y = Relu(x)", {}, {"unsupported-batch"}),
    "bytes as input": ("(uint8[1,2] x) => (float[1,2] y)", "y = Relu(x)", {}, {"unsupported-type"}),
    "two inputs": (
        "(float[1,2] x, float[1,2] z) => (float[1,2] y)",
        "y = Add(x, z)",
        {},
        {"unsupported-inputs"},
    ),
    "quantized": (
        "(float[1,2] x) => (float[1,2] y)",
        "q = QuantizeLinear(x, s, z)  y = DequantizeLinear(q, s, z)",
        {"s": np.float32(0.1), "z": np.int8(0)},
        {"quantized-model"},
    ),
    "weights that do not fit": (
        "(float[1,3,8,8] x) => (float[1,4,6,6] y)",
        "y = Conv(x, w)",
        {"w": (4, 5, 3, 3)},
        {"invalid-model"},
    ),
    "too few inputs": ("(float[1,3,8,8] x) => (float[1,4,6,6] y)", "y = Conv(x)", {}, {"invalid-model"}),
    "computed weights": (
        "(float[1,3,8,8] x) => (float[1,3,1,1] y)",
        "y = Conv(x, x)",
        {},
        {"unsupported-operator"},
    ),
    "a transposed map": (
        "(float[1,3,8,8] x) => (float[1,4,6,6] y)",
        "t = Transpose<perm = [0, 1, 3, 2]>(x)  y = Conv(t, w)",
        {"w": (4, 3, 3, 3)},
        {"unsupported-operator"},
    ),
    "an output in another order": (
        "(float[1,3,8,8] x) => (float[1,192] y)",
        "r = Relu(x)  y = Flatten(r)",
        {},
        {"unsupported-operator"},
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    signature, nodes, constants, expected = REFUSED[name]
    assert codes(network(signature, nodes, constants)) == expected


def altered(file: bytes = CONV) -> Iterator[tuple[str, onnx.ModelProto, set[str]]]:
    """Models with one fault that ONNX text can't express."""

    def fresh() -> onnx.ModelProto:
        return onnx.load_from_string(file)

    model = fresh()
    model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:-4]
    yield "constant that is too short", model, {"invalid-model"}
    model = fresh()
    model.graph.initializer[0].dims[:] = [1 << 31, 1 << 31, 1 << 31]
    yield "constant that claims to be huge", model, {"invalid-model"}
    model = fresh()
    model.graph.initializer[0].dims[0] = -4
    yield "negative dimension", model, {"invalid-model"}
    model = fresh()
    model.graph.initializer[0].data_type = TensorProto.COMPLEX64
    yield "complex weights", model, {"unsupported-type"}
    model = fresh()
    model.graph.initializer.append(model.graph.initializer[0])
    yield "constant named twice", model, {"invalid-model"}
    model = fresh()
    model.opset_import[0].version = 7
    yield "old operator set", model, {"unsupported-opset"}
    model = fresh()
    model.opset_import[0].version = 1 << 40
    yield "operator set of the future", model, {"unsupported-opset"}
    model = fresh()
    model.graph.node[0].attribute.append(helper.make_attribute("strides", "two"))
    yield "attribute of the wrong type", model, {"invalid-model"}
    model = fresh()
    model.graph.node[0].attribute.extend([helper.make_attribute("group", 1)] * 2)
    yield "attribute given twice", model, {"invalid-model"}
    model = fresh()
    model.graph.node[0].domain = "com.example"
    model.functions.append(
        helper.make_function("com.example", "Conv", ["a"], ["b"], [helper.make_node("Conv", ["a"], ["b"])], [])
    )
    yield "function that calls itself", model, {"unsupported-operator"}
    model = fresh()
    branch = helper.make_graph([helper.make_node("Relu", ["x"], ["r"])], "branch", [], [])
    loop = helper.make_node("If", ["x"], ["z"], name="choice", then_branch=branch, else_branch=branch)
    model.graph.node.append(loop)
    model.graph.output[0].name = "z"
    yield "subgraph", model, {"unsupported-operator"}


@pytest.mark.parametrize(("model", "expected"), [pytest.param(m, c, id=name) for name, m, c in altered()])
def test_altered(model: onnx.ModelProto, expected: set[str]) -> None:
    assert codes(model.SerializeToString()) == expected


def test_all_problems_at_once() -> None:
    nodes = """[first] a = Conv(x, w)  [second] b = LSTM(a, w, w)  [third] c = Softplus(a)
               [fourth] d = Elu<alpha = 0.3>(c)  [fifth] y = MaxPool<kernel_shape = [2, 2], dilations = [2, 2]>(d)"""
    bad = {"w": np.full((4, 3, 3, 3), np.nan, np.float32)}
    with pytest.raises(McukitError) as caught:
        import_onnx(network("(float[N,3,8,8] x) => (float[N,4,4,4] y, float[N,4,6,6] b)", nodes, bad))
    problems = {problem.where: problem for problem in caught.value.problems}
    assert set(problems) == {
        "node 'first' (Conv)",
        "node 'second' (LSTM)",
        "node 'third' (Softplus)",
        "node 'fourth' (Elu)",
        "node 'fifth' (MaxPool)",
    }
    assert problems["node 'first' (Conv)"].code == "non-finite-weights"
    assert all(problem.hint for problem in problems.values())


def test_an_unsupported_attribute_is_named() -> None:
    nodes = '[up] y = Resize<mode = "cubic", coordinate_transformation_mode = "asymmetric">(x, , s)'
    scales = {"s": np.array([1, 1, 2, 2], np.float32)}
    with pytest.raises(McukitError, match=r"up.*cubic"):
        import_onnx(network("(float[1,3,8,8] x) => (float[1,3,16,16] y)", nodes, scales))


def test_memory_is_bounded_by_what_the_file_holds() -> None:
    file = network(
        "(float[1,2] x) => (float[1,2] y)",
        "k = ConstantOfShape(s)  " + " ".join(f"k{i} = Add(k, k)" for i in range(60)) + "  y = Add(x, k0)",
        {"s": np.array([1 << 24], np.int64)},
    )
    tracemalloc.start()
    try:
        survives(file)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1 << 30


class TestExternalData:
    """Constants in files beside the model."""

    def model(self, location: str, **entries: str) -> onnx.ModelProto:
        model = onnx.load_from_string(CONV)
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, **entries}.items():
            tensor.external_data.add(key=key, value=value)
        return model

    def write(self, folder: Path, model: onnx.ModelProto, data: bytes) -> Path:
        (folder / "weights.bin").write_bytes(data)
        path = folder / "network.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    def test_inside_the_folder(self, tmp_path: Path) -> None:
        weights = np.arange(108, dtype=np.float32)
        path = self.write(tmp_path, self.model("weights.bin", offset="4", length="432"), b"skip" + weights.tobytes())
        graph = load_model(path)
        data = graph.tensors[graph.nodes[0].inputs[1]].data
        assert data is not None
        np.testing.assert_array_equal(data, weights.reshape(4, 3, 3, 3).transpose(0, 2, 3, 1))

    @pytest.mark.parametrize(
        ("location", "entries", "code"),
        [
            ("../weights.bin", {}, "external-data"),
            ("/etc/passwd", {}, "external-data"),
            ("", {}, "external-data"),
            ("link.bin", {}, "external-data"),
            ("with\0zero", {}, "external-data"),
            ("missing.bin", {}, "no-such-file"),
            (".", {}, "unreadable-file"),
            ("weights.bin", {"offset": "1"}, "invalid-model"),
            ("weights.bin", {"offset": "-1"}, "invalid-model"),
            ("weights.bin", {"length": "431"}, "invalid-model"),
            ("weights.bin", {"length": "9" * 5000}, "invalid-model"),
        ],
    )
    def test_refused(self, tmp_path: Path, location: str, entries: dict[str, str], code: str) -> None:
        folder = tmp_path / "model"
        folder.mkdir()
        (tmp_path / "weights.bin").write_bytes(bytes(432))
        (folder / "link.bin").symlink_to(tmp_path / "weights.bin")
        assert codes(self.write(folder, self.model(location, **entries), bytes(432))) == {code}

    def test_needs_a_path(self) -> None:
        assert codes(self.model("weights.bin").SerializeToString()) == {"external-data"}


def test_files_that_are_none(tmp_path: Path) -> None:
    assert codes(tmp_path / "absent.onnx") == {"no-such-file"}
    assert codes(tmp_path) == {"unreadable-file"}


def test_the_content_decides_not_the_suffix(tmp_path: Path) -> None:
    path = tmp_path / "network.tflite"
    path.write_bytes(CONV)
    assert load_model(path).name == "network"

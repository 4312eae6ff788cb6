# SPDX-License-Identifier: Apache-2.0
"""Graphs survive a file unchanged; files that are no graphs are refused with one message."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mcukit.errors import McukitError
from mcukit.graph.graph import Graph, Node, Quantization, Tensor
from mcukit.graph.serialize import load_graph, save_graph
from mcukit.ops.activation import RELU, Clamp
from mcukit.ops.add import Add
from mcukit.ops.conv2d import Conv2d
from mcukit.ops.leaky_relu import LeakyRelu
from mcukit.ops.relu import Clip
from mcukit.ops.reshape import Reshape
from mcukit.ops.softmax import Softmax
from mcukit.ops.window import Window


def example() -> Graph:
    """Constants of every type, a scalar, quantization per channel, infinite limits, and a name of Greek letters."""
    per_channel = Quantization(np.array([0.5, 0.25], np.float32), 0, 0)
    bias = Quantization(np.array([0.05, 0.025], np.float32), 0, 0, bits=32)
    tensors = [
        Tensor("φ/*", (1, 4, 4, 1), None, Quantization.per_tensor(0.1, -128)),
        Tensor("w", (2, 3, 3, 1), np.arange(-9, 9, dtype=np.int8).reshape(2, 3, 3, 1), per_channel),
        Tensor("b", (2,), np.array([-(1 << 31), 7], np.int32), bias),
        Tensor("scalar", (), np.array(0.5, np.float32)),
        *(Tensor(name, (1, 2, 2, 2), None, Quantization.per_tensor(0.2, 3)) for name in ("c", "clip", "l", "sum")),
        Tensor("flat", (1, 8), None, Quantization.per_tensor(0.2, 3)),
        Tensor("p", (1, 8), None, Quantization.per_tensor(1 / 256, -128)),
    ]
    nodes = (
        Node("conv", Conv2d(Window((3, 3)), 1, RELU), ("φ/*", "w", "b"), "c"),
        Node("clip", Clip(Clamp(-0.1)), ("c",), "clip"),
        Node("leaky", LeakyRelu(0.1), ("clip",), "l"),
        Node("add", Add(), ("l", "scalar"), "sum"),
        Node("flat", Reshape((1, 8)), ("sum",), "flat"),
        Node("softmax", Softmax(1.5), ("flat",), "p"),
    )
    return Graph("example", {tensor.name: tensor for tensor in tensors}, nodes, ("φ/*",), ("p", "c"))


def test_a_graph_survives_unchanged(tmp_path: Path) -> None:
    graph = example()
    save_graph(graph, tmp_path / "graph.npz")
    again = load_graph(tmp_path / "graph.npz")
    assert (again.name, again.nodes, again.inputs, again.outputs) == (
        graph.name, graph.nodes, graph.inputs, graph.outputs,
    )  # fmt: skip
    assert list(again.tensors) == list(graph.tensors)
    for before, after in zip(graph.tensors.values(), again.tensors.values(), strict=True):
        assert (after.name, after.shape) == (before.name, before.shape)
        if before.data is None:
            assert after.data is None
        else:
            np.testing.assert_array_equal(after.data, before.data, strict=True)
        if before.quantization is None:
            assert after.quantization is None
        else:
            assert after.quantization is not None
            assert after.quantization.same_as(before.quantization)
            assert after.quantization.axis == before.quantization.axis


def test_the_same_graph_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_graph(example(), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def changed_description(**changes: object) -> bytes:
    """The description of the example with entries replaced."""
    with zipfile.ZipFile(_written) as archive:
        stored = archive.read("graph.npy")
    description = json.loads(stored[stored.index(b"{", 60) :]) | changes
    return json.dumps(description).encode()


@pytest.fixture(scope="module", autouse=True)
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    global _written  # noqa: PLW0603 - parameters are made before fixtures run
    _written = tmp_path_factory.mktemp("graph") / "graph.npz"
    save_graph(example(), _written)
    return _written


_written = Path()


def write_description(path: Path, text: bytes, compression: int = zipfile.ZIP_STORED) -> None:
    """The example's arrays with another description."""
    with zipfile.ZipFile(_written) as source, zipfile.ZipFile(path, "w", compression) as target:
        for name in source.namelist():
            if name != "graph.npy":
                target.writestr(name, source.read(name))
        with target.open("graph.npy", "w") as stream:
            np.lib.format.write_array(stream, np.frombuffer(text, np.uint8))


CHANGES: tuple[dict[str, object], ...] = (
    {"format": 2},
    {"nodes": [{"name": "x", "inputs": ["w"], "output": "c", "operator": {"type": "os.system"}}]},
    {"nodes": [{"name": "x", "inputs": [], "output": "c", "operator": {"type": "relu"}}]},
    {"nodes": [{"name": "x", "inputs": [], "output": "c", "operator": {"type": "conv2d", "window": {"kernel": [0]}}}]},
    {"nodes": None},
    {"tensors": [{"name": "a", "shape": [1 << 40], "data": None, "quantization": None}]},
    {"tensors": [{"name": "a", "shape": [4], "data": "array99", "quantization": None}]},
    {"inputs": ["missing"]},
    {"outputs": ["w"]},
)


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_descriptions_that_make_no_sense_are_refused(changes: dict[str, object], tmp_path: Path) -> None:
    write_description(tmp_path / "graph.npz", changed_description(**changes))
    refuse(tmp_path / "graph.npz")


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{", b"\xff", b"[" * 100_000], ids=["empty", "list", "open", "binary", "deep"]
)
def test_descriptions_that_are_no_json_objects_are_refused(text: bytes, tmp_path: Path) -> None:
    write_description(tmp_path / "graph.npz", text)
    refuse(tmp_path / "graph.npz")


def test_an_unchanged_description_is_accepted(tmp_path: Path) -> None:
    write_description(tmp_path / "graph.npz", changed_description())
    assert load_graph(tmp_path / "graph.npz").nodes == example().nodes


def test_compressed_files_are_refused(tmp_path: Path) -> None:
    write_description(tmp_path / "graph.npz", changed_description(), zipfile.ZIP_DEFLATED)
    refuse(tmp_path / "graph.npz")


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06", b"\x93NUMPY\x01\x00", b"PK\x03\x04" + bytes(100)], ids=repr)
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "graph.npz").write_bytes(content)
    refuse(tmp_path / "graph.npz")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    refuse(tmp_path / "missing.npz")
    refuse(tmp_path)


def test_a_header_that_promises_more_than_the_file_holds_is_refused_before_it_is_allocated(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "graph.npz", "w") as archive, archive.open("graph.npy", "w") as stream:
        header = {"descr": "|u1", "fortran_order": False, "shape": (1 << 45,)}
        np.lib.format.write_array_header_1_0(stream, header)
    refuse(tmp_path / "graph.npz")


def test_every_cut_and_every_flipped_byte_is_refused_or_harmless(tmp_path: Path) -> None:
    data = _written.read_bytes()
    generator = np.random.default_rng(0)
    path = tmp_path / "graph.npz"
    codes = []
    for position in generator.integers(0, len(data), 150):
        for damaged in (data[:position], data[:position] + bytes([data[position] ^ 0x41]) + data[position + 1 :]):
            path.write_bytes(damaged)
            try:
                load_graph(path)
            except McukitError as error:
                codes.append(error.problems[0].code)
    assert set(codes) == {"invalid-build"}
    assert len(codes) > 150


def test_a_graph_that_breaks_the_rules_is_refused(tmp_path: Path) -> None:
    graph = example()
    wrong = replace(graph.tensors["flat"], shape=(1, 9))
    save_graph(graph.replace(tensors={**graph.tensors, "flat": wrong}), tmp_path / "graph.npz")
    refuse(tmp_path / "graph.npz")


def refuse(path: Path) -> None:
    with pytest.raises(McukitError) as caught:
        load_graph(path)
    problem = caught.value.problems[0]
    assert problem.code == "invalid-build"
    assert str(path) in problem.where
    assert problem.hint

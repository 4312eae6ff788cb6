# SPDX-License-Identifier: Apache-2.0
"""The generated C compiles everywhere without a warning, whatever the model calls its parts."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from mcukit.calibration.preprocessing import Preprocessing
from mcukit.calibration.ranges import Range
from mcukit.emulation.build import CSources
from mcukit.emulation.reference import run_reference
from mcukit.emulation.runner import run_on_target
from mcukit.emulation.toolchain import find_tool
from mcukit.errors import McukitError
from mcukit.export.c_code import generate_c
from mcukit.export.names import file_stem
from mcukit.graph.graph import Graph, Node, Tensor
from mcukit.ops.add import Add
from mcukit.ops.average_pool import AveragePool
from mcukit.ops.concat import Concat
from mcukit.ops.conv2d import Conv2d
from mcukit.ops.operator import Operator
from mcukit.ops.reshape import Reshape
from mcukit.ops.sigmoid import Sigmoid
from mcukit.ops.window import Window
from mcukit.planning.planner import plan_layers
from mcukit.quantized.integer import IntegerModel
from mcukit.quantized.lower import lower
from mcukit.quantized.quantize import quantize_graph
from mcukit.resources import firmware_dir

STRICT = ["-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-pedantic", "-c"]
TARGETS = {
    "x86-64": ["cc"],
    "cortex-m4": ["arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb"],
    "cortex-m0plus": ["arm-none-eabi-gcc", "-mcpu=cortex-m0plus", "-mthumb"],
    "cortex-m55": ["arm-none-eabi-gcc", "-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard"],
    "rv32imc": ["riscv64-unknown-elf-gcc", "-march=rv32imc", "-mabi=ilp32", "-ffreestanding"],
}
HOSTILE = (
    "*/ int x; /*", "*\\", "???/", "line\nbreak", "\N{SNOWMAN}", "", "a" * 300, "while", "tanh", "memcpy", "int8_t",
    "input", "inputs", "arena", "first_row", "a", "A", "a_map", "a_params", "net_init", "net_output", "net_a_weights",
    "a_table", "add_constant", "run_a", "mk_map", "true", "NULL",
)  # fmt: skip
NETWORKS = ("net", "main", "1 2 3", "../x", "", "string", "model", "class", "run", "*/", "x" * 99)


class Writer:
    """Adds steps to a network whose names come from a list, and quantizes it."""

    def __init__(self, name: str = "net") -> None:
        self.name = name
        self.tensors = {"image": Tensor("image", (1, 4, 4, 2))}
        self.nodes: list[Node] = []

    def step(self, name: str, operator: Operator, *inputs: str) -> str:
        shape = operator.output_shape([self.tensors[i] for i in inputs])
        # Nodes and their maps have different names in many files.
        output = f"{name}:0"
        self.tensors[output] = Tensor(output, shape)
        self.nodes.append(Node(name, operator, inputs, output))
        return output

    def constant(self, name: str, values: np.ndarray) -> str:
        self.tensors[name] = Tensor(name, values.shape, values.astype(np.float32))
        return name

    def model(self, *outputs: str) -> IntegerModel:
        graph = Graph(self.name, self.tensors, tuple(self.nodes), ("image",), outputs)
        return lower(quantize_graph(graph, {tensor.name: Range(-1.0, 2.0) for tensor in graph.maps()}))


def convolution(writer: Writer, name: str, source: str) -> str:
    depth = writer.tensors[source].shape[3]
    weights = writer.constant(f"{name}:w", np.linspace(-1, 1, 2 * depth).reshape(2, 1, 1, depth))
    return writer.step(name, Conv2d(Window((1, 1))), source, weights, writer.constant(f"{name}:b", np.ones(2)))


def hostile_model(network: str = "net") -> IntegerModel:
    """A chain in which every layer has a hostile name, as convolution, table, sum with a constant and view."""
    writer = Writer(network)
    last = "image"
    for index, name in enumerate(HOSTILE):
        kind = index % 4
        if kind == 0:
            last = convolution(writer, name, last)
        elif kind == 1:
            last = writer.step(name, Sigmoid(), last)
        elif kind == 2:
            last = writer.step(name, Add(), last, writer.constant(f"{name}:c", np.full((1, 1, 1, 2), 0.5)))
        else:
            flat = writer.step(name, Reshape((1, 32)), last)
            last = writer.step(f"{name} back", Reshape((1, 4, 4, 2)), flat)
    joined = writer.step("add", Add(), last, writer.constant("add:c", np.full((1, 1, 1, 2), 0.5)))
    return writer.model(writer.step("join", Concat(), joined, last))


def two_outputs() -> IntegerModel:
    writer = Writer("two")
    first = convolution(writer, "first", "image")
    second = writer.step("second", AveragePool(Window((4, 4))), first)
    return writer.model(first, second)


def only_views() -> IntegerModel:
    writer = Writer("views")
    return writer.model(writer.step("flat", Reshape((1, 32)), "image"))


def view_first() -> IntegerModel:
    """No layer reads the input's own map."""
    writer = Writer("flat")
    return writer.model(convolution(writer, "conv", writer.step("flat", Reshape((1, 1, 16, 2)), "image")))


MODELS = {"hostile": hostile_model, "two outputs": two_outputs, "only views": only_views, "view first": view_first}


def write(model: IntegerModel, folder: Path) -> list[Path]:
    """The generated C files."""
    for name, text in generate_c(model, plan_layers(model), Preprocessing(1 / 255)).items():
        assert "/" not in name
        text.encode("ascii")
        (folder / name).write_text(text)
    return sorted(folder.glob("*.c"))


def compile_files(command: list[str], files: list[Path], folder: Path) -> None:
    try:
        compiler = str(find_tool(command[0]))
    except McukitError:
        pytest.skip(f"{command[0]} is not installed")
    includes = [f"-I{folder}", f"-I{firmware_dir() / 'mcukit_nn' / 'src'}"]
    run = subprocess.run(
        [compiler, *command[1:], *includes, *map(str, files)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=folder,
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", MODELS)
def test_compiles_without_a_warning(kind: str, target: str, tmp_path: Path) -> None:
    compile_files([*TARGETS[target], *STRICT], write(MODELS[kind](), tmp_path), tmp_path)


def test_an_arena_smaller_than_planned_does_not_compile(tmp_path: Path) -> None:
    files, model = write(two_outputs(), tmp_path), two_outputs()
    header, planned = tmp_path / "two.h", plan_layers(model).arena_bytes
    command = [*TARGETS["x86-64"], *STRICT]
    compile_files(command, files, tmp_path)
    header.write_text(header.read_text().replace(f"ARENA_BYTES {planned}", f"ARENA_BYTES {planned - 4}"))
    with pytest.raises(AssertionError, match="the_last_buffer_fits"):
        compile_files(command, files, tmp_path)


@pytest.mark.parametrize("network", NETWORKS)
def test_any_name_of_a_network_compiles(network: str, tmp_path: Path) -> None:
    writer = Writer(network)
    files = write(writer.model(convolution(writer, "weights", "image")), tmp_path)
    assert [file.name for file in files] == [f"{file_stem(network)}.c", f"{file_stem(network)}_weights.c"]
    compile_files([*TARGETS["x86-64"], *STRICT], files, tmp_path)


@pytest.mark.parametrize("kind", MODELS)
def test_the_header_is_c_plus_plus_too(kind: str, tmp_path: Path) -> None:
    model = MODELS[kind]()
    write(model, tmp_path)
    name = file_stem(model.name)
    (tmp_path / "use.cc").write_text(
        f'#include "{name}.h"\nint main() {{ {name}_init(); {name}_invoke(); return {name}_output()[0]; }}\n'
    )
    flags = ["-std=c++11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-c"]
    compile_files(["g++", *flags], [tmp_path / "use.cc"], tmp_path)


def test_hostile_names_change_no_byte(tmp_path: Path) -> None:
    model = hostile_model()
    write(model, tmp_path)
    layers = len(model.steps)
    inputs = np.random.default_rng(0).integers(-128, 128, (2, 32)).astype(np.int8)
    run = run_on_target(CSources("net", tmp_path, layers, 32, model.outputs[0].elements), "host", inputs)
    np.testing.assert_array_equal(run.outputs, run_reference(model, inputs).outputs[0].reshape(2, -1))


@pytest.mark.parametrize("kind", MODELS)
def test_the_same_model_gives_the_same_text(kind: str) -> None:
    first, second = (generate_c(model, plan_layers(model)) for model in (MODELS[kind](), MODELS[kind]()))
    assert first == second


def test_every_output_has_its_function_and_constants() -> None:
    model = two_outputs()
    plan = plan_layers(model)
    files = generate_c(model, plan)
    header = files["two.h"]
    assert "#define TWO_OUTPUT_BYTES 32\n" in header
    assert "#define TWO_OUTPUT_1_BYTES 2\n" in header
    for suffix, output in zip(("", "_1"), model.outputs, strict=True):
        assert f"const int8_t *two_output{suffix}(void);" in header
        offset = plan.maps[output.name].offset
        definition = rf"\*two_output{suffix}\(void\)\n\{{\n    return arena \+ {offset};"
        assert re.search(definition, files["two.c"])

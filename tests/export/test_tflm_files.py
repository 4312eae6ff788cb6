# SPDX-License-Identifier: Apache-2.0
"""The C++ for TensorFlow Lite Micro: bytes and resolver are those of the file."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from mcukit.emulation.toolchain import find_tool
from mcukit.errors import McukitError
from mcukit.export.tflite import build_tflite
from mcukit.export.tflm_files import tflm_files
from mcukit.ops.activation import RELU6
from mcukit.ops.average_pool import AveragePool
from mcukit.ops.conv2d import Conv2d
from mcukit.ops.relu import Clip
from mcukit.ops.reshape import Reshape
from mcukit.ops.softmax import Softmax
from mcukit.ops.window import Window
from mcukit.tflite.enums import BuiltinOperator
from mcukit.tflite.schema import Model, Operator, OperatorCode, SubGraph
from mcukit.tflite.writer import write_tflite
from tests.export.test_c_code import Writer

RESOLVER_STUB = """
enum TfLiteStatus {{ kTfLiteOk, kTfLiteError }};
namespace tflite {{
template <unsigned count> struct MicroMutableOpResolver {{
  {methods}
}};
}}
"""


def example() -> tuple[Model, bytes]:
    writer = Writer("net")
    pads = (1, 0, 1, 0)
    weights = writer.constant("w", np.ones((3, 3, 1, 2)))
    convolved = writer.step(
        "conv", Conv2d(Window((3, 1), pads=pads)), "image", weights, writer.constant("b", np.ones(3))
    )
    pooled = writer.step("pool", AveragePool(Window((4, 4))), writer.step("clip", Clip(RELU6), convolved))
    output = writer.step("softmax", Softmax(), writer.step("flat", Reshape((1, 3)), pooled))
    model = build_tflite(writer.model(output).graph)
    return model, write_tflite(model)


def test_the_resolver_holds_exactly_the_operators_of_the_file() -> None:
    model, data = example()
    resolver = tflm_files("net", model, data, 1234)["net_op_resolver.h"]
    found = re.findall(r"resolver\.(\w+)\(\)", resolver)
    names = {operator.builtin.name.replace("_", "").lower() for operator in model.main.operators}
    assert {method.removeprefix("Add").lower() for method in found} == names
    assert len(found) == len(set(found))
    assert f"MicroMutableOpResolver<{len(found)}>" in resolver


def test_the_array_is_the_file() -> None:
    model, data = example()
    text = tflm_files("net", model, data, None)["net_model_data.cc"]
    assert bytes(int(byte, 16) for byte in re.findall(r"0x([0-9a-f]{2}),", text)) == data
    assert f"net_model_data_len = {len(data)};" in text


@pytest.mark.parametrize("arena", [None, 1234])
def test_the_arena_is_named_only_where_it_was_measured(arena: int | None) -> None:
    header = tflm_files("net", *example(), arena)["net_model_data.h"]
    assert ("#define NET_TFLM_ARENA_BYTES 1234" in header) == (arena is not None)


def test_all_files_compile(tmp_path: Path) -> None:
    """Against a resolver of the same methods: TensorFlow Lite Micro itself is not at hand."""
    files = tflm_files("net", *example(), 1234)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    methods = re.findall(r"resolver\.(\w+)\(\)", files["net_op_resolver.h"])
    stub = tmp_path / "tensorflow" / "lite" / "micro" / "micro_mutable_op_resolver.h"
    stub.parent.mkdir(parents=True)
    bodies = "\n  ".join(f"TfLiteStatus {method}() {{ return kTfLiteOk; }}" for method in methods)
    stub.write_text(RESOLVER_STUB.format(methods=bodies))
    (tmp_path / "use.cc").write_text(
        '#include "net_model_data.h"\n#include "net_op_resolver.h"\n'
        "int main() { net_op_resolver resolver; return net_register_ops(resolver) + net_model_data[0]"
        " + static_cast<int>(net_model_data_len); }\n"
    )
    try:
        compiler = str(find_tool("g++"))
    except McukitError:
        pytest.skip("g++ is not installed")
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-pedantic", f"-I{tmp_path}"]
    sources = [str(tmp_path / name) for name in ("net_model_data.cc", "use.cc")]
    run = subprocess.run(
        [compiler, *flags, *sources, "-o", str(tmp_path / "use")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr


def test_an_operator_without_a_method_is_refused() -> None:
    graph = SubGraph((), (), (), (Operator(OperatorCode(BuiltinOperator.LSTM), (), ()),), "main")
    with pytest.raises(McukitError, match="LSTM") as caught:
        tflm_files("net", Model((graph,), ()), b"", None)
    assert caught.value.problems[0].code == "unsupported-operator"

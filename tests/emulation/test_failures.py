# SPDX-License-Identifier: Apache-2.0
"""How programs that fail, missing tools and damaged files are reported."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest

from mcukit.emulation import toolchain
from mcukit.emulation.elf import read_elf
from mcukit.emulation.runner import run_on_target
from mcukit.emulation.targets import TARGETS
from mcukit.emulation.trace import read_trace
from mcukit.errors import McukitError, Problem
from tests.emulation.conftest import EMULATED, ModelWriter

ONE_INPUT = np.zeros((1, 4), np.int8)

STRAY_STORE = "void tiny_invoke(void) {{ *(volatile int32_t *){address}ul = 1; }}"
UNDEFINED = "void tiny_invoke(void) { __builtin_trap(); }"
STACK_OVERFLOW = """
int burn(volatile int *below);
int __attribute__((noinline)) burn(volatile int *below)
{
    volatile int frame[64];
    frame[0] = *below;
    return *below > 0 ? burn(frame) + frame[0] : 0;
}
void tiny_invoke(void) { volatile int first = 1; arena[0] = (int8_t)burn(&first); }
"""
ENDLESS = "void tiny_invoke(void) { for (volatile int i = 1; i;) { } }"
WRONG_LAYER = "void tiny_invoke(void) { MK_LAYER_BEGIN(7); }"
OUT_OF_BOUNDS = "void tiny_invoke(void) { int8_t *volatile end = arena + TINY_ARENA_BYTES; *end = 1; }"
SIGNED_OVERFLOW = "void tiny_invoke(void) { volatile int big = 2147483647; arena[0] = (int8_t)(big + 1); }"
UNUSED_VARIABLE = "void tiny_invoke(void) { int unused_thing; }"
NOTHING = "void tiny_invoke(void) { }"


def problem_of(caught: pytest.ExceptionInfo[McukitError]) -> Problem:
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("target", "invoke", "said"),
    [
        (
            "cortex-m4",
            STRAY_STORE.format(address="0x90000000"),
            "access to an address where nothing is in tiny_invoke",
        ),
        ("cortex-m3", STRAY_STORE.format(address="0x90000000"), "address 0x90000000"),
        ("cortex-m7", STRAY_STORE.format(address="0x90000000"), "address 0x90000000"),
        ("cortex-m33", STRAY_STORE.format(address="0x9a000000"), "address 0x9a000000"),
        (
            "riscv32",
            STRAY_STORE.format(address="0x00f00000"),
            "store to an address where nothing is in tiny_invoke",
        ),
        ("cortex-m4", UNDEFINED, "undefined instruction in tiny_invoke"),
        ("cortex-m33", UNDEFINED, "undefined instruction in tiny_invoke"),
        ("cortex-m55", UNDEFINED, "undefined instruction in tiny_invoke"),
        ("riscv32", UNDEFINED, "in tiny_invoke"),
        ("cortex-m4", STACK_OVERFLOW, "stack overflow"),
        ("cortex-m3", STACK_OVERFLOW, "stack overflow"),
        ("cortex-m7", STACK_OVERFLOW, "stack overflow"),
        ("cortex-m33", STACK_OVERFLOW, "stack overflow"),
        ("cortex-m55", STACK_OVERFLOW, "stack overflow"),
        ("riscv32", STACK_OVERFLOW, "stack overflow"),
    ],
)
def test_a_hard_fault_is_explained(target: str, invoke: str, said: str, write_model: ModelWriter) -> None:
    with pytest.raises(McukitError) as caught:
        run_on_target(write_model(invoke), target, ONE_INPUT, timeout_seconds=30)
    assert problem_of(caught).code == "emulation-failed"
    assert "hard fault" in problem_of(caught).message
    assert said in problem_of(caught).message


@pytest.mark.parametrize("target", ["host", "cortex-m4", "riscv32"])
def test_an_endless_model_is_stopped(target: str, write_model: ModelWriter) -> None:
    with pytest.raises(McukitError) as caught:
        run_on_target(write_model(ENDLESS), target, ONE_INPUT, timeout_seconds=0.5)
    assert problem_of(caught).code == "emulation-timeout"
    assert "0.5 seconds" in problem_of(caught).message


@pytest.mark.parametrize("target", ["host", "cortex-m4"])
def test_a_layer_that_does_not_exist_is_reported(target: str, write_model: ModelWriter) -> None:
    with pytest.raises(McukitError, match="a layer beyond its 1"):
        run_on_target(write_model(WRONG_LAYER), target, ONE_INPUT, profile=True)


@pytest.mark.parametrize(
    ("invoke", "said"), [(OUT_OF_BOUNDS, "AddressSanitizer"), (SIGNED_OVERFLOW, "signed integer overflow")]
)
def test_sanitizers_stop_what_a_plain_run_misses(invoke: str, said: str, write_model: ModelWriter) -> None:
    model = write_model(invoke)
    run_on_target(model, "host", ONE_INPUT)
    with pytest.raises(McukitError, match=said):
        run_on_target(model, "host", ONE_INPUT, sanitize=True)


def test_a_crash_on_the_host_names_the_signal(write_model: ModelWriter) -> None:
    with pytest.raises(McukitError, match=r"SIGSEGV|SIGBUS"):
        run_on_target(write_model(STRAY_STORE.format(address="65536")), "host", ONE_INPUT)


def test_the_compiler_is_quoted(write_model: ModelWriter) -> None:
    with pytest.raises(McukitError) as caught:
        run_on_target(write_model(UNUSED_VARIABLE), "host", ONE_INPUT)
    assert problem_of(caught).code == "compile-failed"
    assert problem_of(caught).where == "tiny.c"
    assert "unused_thing" in problem_of(caught).message


def test_a_model_larger_than_the_machine_is_refused(write_model: ModelWriter) -> None:
    with pytest.raises(McukitError) as caught:
        run_on_target(write_model(NOTHING, arena_bytes=5_000_000), "cortex-m4", ONE_INPUT)
    assert problem_of(caught).code == "too-large"


def test_a_header_with_another_number_of_layers_is_refused(write_model: ModelWriter) -> None:
    model = write_model(NOTHING, layers=2)
    header = model.model_dir / "tiny.h"
    header.write_text(header.read_text().replace("TINY_LAYERS 2", "TINY_LAYERS 3"))
    with pytest.raises(McukitError) as caught:
        run_on_target(model, "cortex-m4", ONE_INPUT)
    assert problem_of(caught).code == "layers-differ"


def test_an_incomplete_model_is_refused(write_model: ModelWriter) -> None:
    model = write_model(NOTHING)
    (model.model_dir / "tiny.c").unlink()
    with pytest.raises(McukitError) as caught:
        run_on_target(model, "host", ONE_INPUT)
    assert problem_of(caught).code == "missing-file"


ARM = {
    "arm-none-eabi-gcc": "gcc-arm-none-eabi libnewlib-arm-none-eabi",
    "qemu-system-arm": "qemu-system-arm",
}
RISCV = {
    "riscv64-unknown-elf-gcc": "gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf",
    "qemu-system-riscv32": "qemu-system-misc",
}


@pytest.mark.parametrize(
    ("target", "packages"), [("host", {"cc": "gcc"}), ("cortex-m4", ARM), ("cortex-m7", ARM), ("riscv32", RISCV)]
)
def test_all_missing_tools_are_named_with_their_packages(
    target: str, packages: dict[str, str], write_model: ModelWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write_model(NOTHING)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(McukitError) as caught:
        run_on_target(model, target, ONE_INPUT)
    problems = caught.value.problems
    assert {problem.code for problem in problems} == {"missing-tool"}
    assert [problem.message for problem in problems] == [f"{tool} is not installed" for tool in packages]
    for problem, package in zip(problems, packages.values(), strict=True):
        assert f"apt-get install {package}" in problem.hint


def test_an_emulator_without_plugins_is_refused(
    tmp_path: Path, write_model: ModelWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator = tmp_path / "qemu-system-arm"
    emulator.write_text("#!/bin/sh\necho '-plugin: invalid option' >&2\nexit 1\n")
    emulator.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(McukitError, match="invalid option") as caught:
        run_on_target(write_model(NOTHING), "cortex-m4", ONE_INPUT)
    assert problem_of(caught).code == "unsupported-tool"


@pytest.mark.parametrize("target", TARGETS)
def test_a_missing_compiler_is_named_with_its_package(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = TARGETS[target]
    monkeypatch.setenv("PATH", "")
    with pytest.raises(McukitError) as caught:
        toolchain.compile_objects([tmp_path / "absent.c"], machine)
    assert problem_of(caught).message == f"{machine.compiler} is not installed"
    assert "apt-get install gcc" in problem_of(caught).hint


def test_a_missing_c_library_is_a_missing_tool(tmp_path: Path) -> None:
    source = tmp_path / "needs_library.c"
    source.write_text("int main(void) { return 0; }\n")
    with pytest.raises(McukitError) as caught:
        toolchain.compile_objects([source], TARGETS["riscv32"], extra_flags=["--specs=absent.specs"])
    assert problem_of(caught).code == "missing-tool"
    assert "picolibc-riscv64-unknown-elf" in problem_of(caught).hint


def test_an_unknown_target_is_a_usage_error(write_model: ModelWriter) -> None:
    with pytest.raises(McukitError, match="cortex-m4") as caught:
        run_on_target(write_model(NOTHING), "avr", ONE_INPUT)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("target", EMULATED)
def test_sanitizers_are_for_the_host(target: str, write_model: ModelWriter) -> None:
    with pytest.raises(McukitError, match="target host only"):
        run_on_target(write_model(NOTHING), target, ONE_INPUT, sanitize=True)


@pytest.mark.parametrize(
    "content",
    [
        b"\0" * 35,
        struct.pack("<9I", 0, 0, 0, 1, 0, 2, 1, 2, 2) + b"\0",
        struct.pack("<9I", 0, 0, 1, 2, 0, 2, 1, 2, 2) + b"\0\0",
        struct.pack("<9I", 0, 0, 0, 1, 1, 2, 1, 2, 2) + b"\0\0",
        struct.pack("<9I", 0, 0, 0, 2, 0, 2, 2, 2, 3) + b"\0\0\0",
        struct.pack("<9I", 0, 0, 0, 1, 0, 2, 1, 4, 1) + b"\0",
    ],
    ids=["short header", "short rows", "row outside", "column outside", "uneven rows", "split bytes"],
)
def test_damaged_traces_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "trace.bin").write_bytes(content)
    with pytest.raises(McukitError) as caught:
        read_trace(tmp_path / "trace.bin")
    assert problem_of(caught).code == "bad-trace"


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"MZ" * 40, b"\x7fELF\x01\x01" + b"\xff" * 46])
def test_damaged_elf_files_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "program").write_bytes(content)
    with pytest.raises(McukitError) as caught:
        read_elf(tmp_path / "program")
    assert problem_of(caught).code == "bad-elf"

# SPDX-License-Identifier: Apache-2.0
"""The table of what is supported, read from the operators' own files so that it can't fall behind them."""

from __future__ import annotations

__all__ = ["OperatorSupport", "support_table"]

import ast
import importlib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from mcukit.importers.onnx_views import VIEWS
from mcukit.ops.operator import ONNX_IMPORTERS, TFLITE_IMPORTERS, Operator, load_operators
from mcukit.quantized.kernel_sets import KernelSet, first_set_with

_KERNEL = re.compile(r"mk_[a-z0-9_]+_s8")
_FASTER = re.compile(r"mk_[a-z0-9_]+_s8_(?:dsp|mve)")


@dataclass(frozen=True)
class OperatorSupport:
    """One operator file, and how networks reach it.

    file: the module's last name. names: of its operators in reports; none if what it imports becomes other
    operators, or nothing at all. onnx, tflite: the operators in model files that it imports. kernels: C functions of
    the portable set. sets: those of mcukit.quantized.kernel_sets that have functions of their own for it.
    """

    file: str
    summary: str
    names: tuple[str, ...]
    onnx: tuple[str, ...]
    tflite: tuple[str, ...]
    kernels: tuple[str, ...]
    sets: tuple[str, ...]


def support_table() -> tuple[OperatorSupport, ...]:
    """Every file that imports an operator or defines one, by name."""
    load_operators()
    onnx = _by_module({**ONNX_IMPORTERS, **VIEWS})
    tflite = _by_module({builtin.name: function for builtin, function in TFLITE_IMPORTERS.items()})
    operators: dict[str, list[str]] = {}
    for operator in _subclasses(Operator):
        name = getattr(operator, "op_name", None)
        if isinstance(name, str) and operator.__module__.startswith("mcukit."):
            operators.setdefault(operator.__module__, []).append(name)
    modules = sorted({*onnx, *tflite, *operators}, key=lambda module: module.rpartition(".")[2])
    return tuple(_row(name, operators.get(name, []), onnx.get(name, []), tflite.get(name, [])) for name in modules)


def _row(name: str, operators: list[str], onnx: list[str], tflite: list[str]) -> OperatorSupport:
    module = importlib.import_module(name)
    kernels = _kernels(module, _KERNEL) if name.startswith("mcukit.ops.") else ()
    faster = _kernels(module, _FASTER) if kernels else ()
    with_functions = {first_set_with(function) for function in (*kernels, *faster)}
    return OperatorSupport(
        file=name.rpartition(".")[2],
        summary=(module.__doc__ or "").strip().partition("\n")[0].partition(" Kernel: ")[0],
        names=tuple(sorted(set(operators))),
        onnx=tuple(sorted(onnx)),
        tflite=tuple(sorted(tflite)),
        kernels=kernels,
        sets=tuple(kernel_set.value for kernel_set in KernelSet if kernel_set in with_functions),
    )


def _by_module(importers: dict[str, Callable[..., Any]]) -> dict[str, list[str]]:
    modules: dict[str, list[str]] = {}
    for name, function in importers.items():
        modules.setdefault(function.__module__, []).append(name)
    return modules


def _subclasses(base: type[Any]) -> set[type[Any]]:
    found: set[type[Any]] = set()
    derived: type[Any]
    for derived in base.__subclasses__():
        found |= {derived, *_subclasses(derived)}
    return found


def _kernels(module: ModuleType, pattern: re.Pattern[str]) -> tuple[str, ...]:
    """The C functions that the module's source names, or else those of the operator files that it imports."""
    tree = ast.parse(inspect.getsource(module))
    literals = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    names = {text for text in literals if isinstance(text, str) and pattern.fullmatch(text)}
    if not names:
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        for imported in _operator_modules(imports):
            names |= set(_kernels(importlib.import_module(imported), pattern))
    return tuple(sorted(names))


def _operator_modules(imports: list[ast.ImportFrom]) -> set[str]:
    """Modules of mcukit.ops, from `from mcukit.ops.x import y` and `from mcukit.ops import x`."""
    named = {node.module for node in imports if node.module}
    from_package = [node for node in imports if node.module == "mcukit.ops"]
    named |= {f"mcukit.ops.{alias.name}" for node in from_package for alias in node.names}
    return {name for name in named if name.startswith("mcukit.ops.") and name != Operator.__module__}

# SPDX-License-Identifier: Apache-2.0
"""Budgets: the most that a network may take of a device. They can stand in mcukit.toml.

[check]
max_sram = "64K"                # bytes, or text with K or M
max_flash = "300K"
max_instructions = "40M"        # of one inference
max_l2r = 0.05                  # of the outputs, as in the report
on = "cortex-m4"                # where they are counted; by default on the core of the build's board
"""

from __future__ import annotations

__all__ = ["Budgets", "CheckSettings", "check_table", "read_check"]

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from mcukit.errors import McukitError, Problem
from mcukit.quantities import LARGEST_QUANTITY, parse_count, parse_size
from mcukit.toml_table import TomlTable, read_toml

_LARGEST_ERROR = 1e6


@dataclass(frozen=True)
class Budgets:
    """The most that a build may take; None where nothing is said.

    sram: bytes of the arenas, of all other static RAM of network and kernels, and of the deepest stack of an inference.
    flash: bytes of weights, and of code and constants of network, kernels and what these use of the C library. Neither
    has the application and its startup code in it. instructions: of one inference. stack: bytes of that alone.
    arena: bytes of maps and scratch memory in all regions. weights: bytes of the network's constants.
    l2r: relative L2 error of the network's outputs (norm of the difference over norm of the float network's values) on
    the calibration data, as the report has it; of several outputs the largest.
    """

    sram: int | None = None
    flash: int | None = None
    instructions: int | None = None
    stack: int | None = None
    arena: int | None = None
    weights: int | None = None
    l2r: float | None = None

    @property
    def given(self) -> dict[str, int | float]:
        """Those that say something, by name."""
        return {name: value for name in self.names() if (value := getattr(self, name)) is not None}

    @classmethod
    def names(cls) -> tuple[str, ...]:
        return tuple(each.name for each in fields(cls))

    def merged(self, over: Budgets) -> Budgets:
        """These, and in their place those of `over` where it says something."""
        values: dict[str, Any] = self.given | over.given
        return Budgets(**values)

    def require_valid(self) -> None:
        """Raises McukitError "wrong-option" with all budgets that are no numbers above zero."""
        problems = [
            Problem("wrong-option", f"{value!r} is no budget", f"--max-{name}", "give a number above zero")
            for name, value in self.given.items()
            if not _is_budget(name, value)
        ]
        if problems:
            raise McukitError.collect(problems, exit_code=2)


@dataclass(frozen=True)
class CheckSettings:
    """The table [check] of mcukit.toml. on: where instructions, stack and code are counted; None for the board's."""

    budgets: Budgets = field(default_factory=Budgets)
    on: str | None = None


def read_check(path: Path) -> CheckSettings:
    """The table [check] of a file; nothing else in it is looked at.

    Raises McukitError "unreadable-file", or "invalid-file" with all that is wrong in it.
    """
    table = read_toml(path)
    settings = check_table(table)
    table.raise_problems()
    return settings


def check_table(table: TomlTable) -> CheckSettings:
    """[check] of a file that is being read; problems are noted there."""
    check = table.table("check")
    known = {f"max_{name}": name for name in Budgets.names()}
    values: dict[str, Any] = {name: _budget(check, key, name) for key, name in known.items() if check.has(key)}
    on = check.text("on", hint='give a target, such as "cortex-m4"') if check.has("on") else None
    check.refuse_unknown()
    return CheckSettings(Budgets(**values), on)


def _budget(table: TomlTable, key: str, name: str) -> float | None:
    """One number of [check]; None and a problem if it isn't one."""
    value = table.value(key)
    parse: Callable[[str], int | None] = parse_count if name == "instructions" else parse_size
    parsed = parse(value) if isinstance(value, str) and name != "l2r" else value
    if isinstance(parsed, int | float) and _is_budget(name, parsed):
        return parsed
    example = {"l2r": "0.05", "instructions": '"40M" or 40_000_000'}.get(name, '"64K" or 65_536')
    table.problem(key, f"{str(value)[:60]!r} is no budget above zero", f"write for example {key} = {example}")
    return None


def _is_budget(name: str, value: object) -> bool:
    # True is an instance of int.
    if isinstance(value, bool):
        return False
    if name == "l2r":
        return isinstance(value, int | float) and math.isfinite(value) and 0 < value <= _LARGEST_ERROR
    return isinstance(value, int) and 0 < value <= LARGEST_QUANTITY

# SPDX-License-Identifier: Apache-2.0
"""TOML files that people write by hand, read with every mistake reported at once."""

from __future__ import annotations

__all__ = ["TomlTable", "read_toml"]

import math
import re
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path

from mcukit.errors import McukitError, Problem

LARGEST_FILE = 64 * 1024
"""Bytes. The files that are read here are a page or two long."""


class TomlTable:
    """One table of a TOML file.

    The getters note what is wrong in `problems`, which all tables of a file share, and return a value of the
    right type nevertheless, so that reading goes on: call `raise_problems` before any of these is used.
    """

    def __init__(self, values: Mapping[str, object], where: str, problems: list[Problem]) -> None:
        self.where = where
        self.problems = problems
        self._values = values
        self._known: set[str] = set()

    def has(self, key: str) -> bool:
        self._known.add(key)
        return key in self._values

    def value(self, key: str, hint: str = "") -> object:
        """What the file says, or None and a problem if it doesn't."""
        if not self.has(key):
            self.problem(key, "is missing", hint)
        return self._values.get(key)

    def text(self, key: str, default: str | None = None, *, pattern: str = r".{1,300}", hint: str = "") -> str:
        """A string that matches `pattern` as a whole."""
        if default is not None and not self.has(key):
            return default
        hint = hint or "write a string in quotation marks"
        value = self.value(key, hint)
        if isinstance(value, str) and re.fullmatch(pattern, value):
            return value
        if isinstance(value, str):
            self.problem(key, f"{_shown(value)} is not allowed", hint)
        elif value is not None:
            self.problem(key, f"{_shown(value)} is not a string", hint)
        return ""

    def choice(self, key: str, choices: Collection[str]) -> str:
        """One of `choices`."""
        hint = f"choose one of {', '.join(choices)}"
        value = self.text(key, hint=hint)
        if value and value not in choices:
            self.problem(key, f"{_shown(value)} is not known", hint)
        return value

    def boolean(self, key: str, default: bool | None = None) -> bool:
        """True or false. default: what a file that says nothing means; without it the key must be there."""
        if default is not None and not self.has(key):
            return default
        value = self.value(key, "write true or false")
        if isinstance(value, bool):
            return value
        if value is not None:
            self.problem(key, f"{_shown(value)} is neither true nor false", "write true or false")
        return default or False

    def integer(self, key: str, minimum: int, maximum: int) -> int:
        """An integer of minimum to maximum, both included."""
        hint = f"write an integer of {minimum} to {maximum}"
        value = self.value(key, hint)
        # True is an instance of int.
        if isinstance(value, int) and not isinstance(value, bool):
            if minimum <= value <= maximum:
                return value
            self.problem(key, f"{_shown(value)} is not in the range {minimum} to {maximum}", hint)
        elif value is not None:
            self.problem(key, f"{_shown(value)} is not an integer", hint)
        return minimum

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings, at least one."""
        hint = 'write a list such as ["one", "two"]'
        value = self.value(key, hint)
        if isinstance(value, list) and value and all(isinstance(item, str) and item for item in value):
            return tuple(value)
        if value is not None:
            self.problem(key, f"{_shown(value)} is not a list of strings", hint)
        return ()

    def table(self, key: str) -> TomlTable:
        """The table `[key]`."""
        hint = f"write [{key}]"
        value = self.value(key, hint)
        if value is not None and not isinstance(value, dict):
            self.problem(key, f"{_shown(value)} is not a table", hint)
        return TomlTable(value if isinstance(value, dict) else {}, self._place(key), self.problems)

    def tables(self, key: str) -> tuple[TomlTable, ...]:
        """The tables `[[key]]`, at least one."""
        hint = f"write [[{key}]]"
        value = self.value(key, hint)
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            place = self._place(key)
            return tuple(TomlTable(item, f"{place}[{index}]", self.problems) for index, item in enumerate(value))
        if value is not None:
            self.problem(key, f"{_shown(value)} is not a list of tables", hint)
        return ()

    def number(self, value: object, key: str) -> float:
        """`value` as a finite float; NaN and a problem if it isn't one."""
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                number = float(value)
            except OverflowError:
                number = math.inf
            if math.isfinite(number):
                return number
        self.problem(key, f"{_shown(value)} is not a number")
        return math.nan

    def refuse_unknown(self) -> None:
        """Notes every key that no getter was asked for. Call it last."""
        for key in self._values.keys() - self._known:
            self.problem(key, "is not known", f"known here: {', '.join(sorted(self._known))}")

    def problem(self, key: str, message: str, hint: str = "") -> None:
        self.problems.append(Problem("invalid-file", message, self._place(key), hint))

    def has_problem(self, *keys: str) -> bool:
        """Whether something is wrong with one of these keys, or with what stands below them."""
        places = tuple(self._place(key) for key in keys)
        below = tuple(f"{place}{mark}" for place in places for mark in ".[")
        return any(problem.where in places or problem.where.startswith(below) for problem in self.problems)

    def raise_problems(self) -> None:
        """Raises McukitError "invalid-file" with all problems of the file, if there are any."""
        if self.problems:
            raise McukitError.collect(sorted(self.problems, key=lambda problem: problem.where))

    def _place(self, key: str) -> str:
        key = _shown(key) if re.search(r"[^\w.-]", key) or len(key) > 60 else key
        return f"{self.where}.{key}" if ": " in self.where else f"{self.where}: {key}"


def read_toml(path: Path) -> TomlTable:
    """The top table of a file.

    Raises McukitError "unreadable-file", or "invalid-file" for files that aren't TOML or are much too large.
    """
    try:
        # Opening a pipe or a device could wait for ever.
        if path.exists() and not path.is_file():
            raise McukitError("unreadable-file", "this is not a file", where=str(path))
        with path.open("rb") as stream:
            content = stream.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "the name is not allowed"
        raise McukitError("unreadable-file", f"can't be read: {reason}", where=str(path)) from error
    if len(content) > LARGEST_FILE:
        raise McukitError("invalid-file", f"has more than {LARGEST_FILE} bytes", where=str(path))
    try:
        values = tomllib.loads(content.decode("utf-8"))
    except RecursionError as error:
        raise McukitError("invalid-file", "is nested too deeply", where=str(path)) from error
    except ValueError as error:  # not UTF-8, not TOML, or an integer with thousands of digits
        raise McukitError("invalid-file", f"is not valid TOML: {error}", where=str(path)) from error
    return TomlTable(values, str(path), [])


def _shown(value: object) -> str:
    """`value` for a message, cut short."""
    try:
        text = repr(value)
    except ValueError:  # a hexadecimal integer may have too many digits to be written in decimal ones
        return "this integer"
    return text if len(text) <= 60 else f"{text[:57]}..."

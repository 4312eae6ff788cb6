# SPDX-License-Identifier: Apache-2.0
"""JSON files that people edit by hand, read with every mistake reported at once."""

from __future__ import annotations

__all__ = ["JsonObject", "read_json"]

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from mcukit.errors import McukitError, Problem

LARGEST_FILE = 1 << 22
"""Bytes. The files that are read here have a line for each layer or map of a network."""

_HINT = "give a file like the one that mcukit writes"


class JsonObject:
    """One object of a JSON file.

    The getters note what is wrong in `problems`, which all objects of a file share, and return a value of the right
    type nevertheless, so that reading goes on: call `raise_problems` before any of these is used.
    """

    def __init__(self, values: object, place: str, problems: list[Problem]) -> None:
        self.place = place
        self.problems = problems
        self._known: set[str] = set()
        self._values: Mapping[str, object] = values if isinstance(values, dict) else {}
        if not isinstance(values, dict):
            self._note(place, f"{_shown(values)} is not an object", "write { ... }")
        self._is_object = isinstance(values, dict)

    def has(self, key: str) -> bool:
        self._known.add(key)
        return key in self._values

    def value(self, key: str, expected: str) -> object:
        """What the file says, or None and a problem if it doesn't. expected: for the hint."""
        if not self.has(key) and self._is_object:
            self.problem(key, "is missing", f"give {expected}")
        return self._values.get(key)

    def text(self, key: str, pattern: str = r"(?s).{1,1000}", expected: str = "a string") -> str:
        """A string that matches `pattern` as a whole."""
        value = self.value(key, expected)
        if isinstance(value, str) and re.fullmatch(pattern, value):
            return value
        self._refuse(key, value, expected)
        return ""

    def choice(self, key: str, choices: Iterable[str], default: str) -> str:
        """One of `choices`, the default if the file says nothing."""
        if not self.has(key):
            return default
        expected = f"one of {', '.join(choices)}"
        value = self.value(key, expected)
        if isinstance(value, str) and value in choices:
            return value
        self.problem(key, f"{_shown(value)} is not {expected}", f"give {expected}")
        return default

    def boolean(self, key: str, *, default: bool) -> bool:
        if not self.has(key):
            return default
        value = self._values[key]
        if isinstance(value, bool):
            return value
        self.problem(key, f"{_shown(value)} is not true or false", "give true or false")
        return default

    def integer(self, key: str, minimum: int, maximum: int) -> int:
        """An integer of minimum to maximum, both included."""
        return self._integer(key, self.value(key, _range(minimum, maximum)), minimum, maximum)

    def integer_of(self, key: str, choices: Sequence[int]) -> int:
        """One of several integers."""
        first, *rest = (str(choice) for choice in choices)
        expected = " or ".join([", ".join([first, *rest[:-1]]), *rest[-1:]])
        value = self.value(key, expected)
        if isinstance(value, int) and not isinstance(value, bool) and value in choices:
            return value
        self._refuse(key, value, expected)
        return choices[0]

    def integers(self, key: str, count: int, maximum: int, default: tuple[int, ...]) -> tuple[int, ...]:
        """A list of `count` integers of 1 to maximum, the default if the file says nothing."""
        if not self.has(key):
            return default
        value = self._values[key]
        if not isinstance(value, list) or len(value) != count:
            expected = f"a list of {count} integers"
            self.problem(key, f"{_shown(value)} is not {expected}", f"give {expected}")
            return default
        return tuple(self._integer(f"{key}[{index}]", item, 1, maximum) for index, item in enumerate(value))

    def counts(self, key: str, maximum: int) -> tuple[int, ...]:
        """A list of integers of 0 to maximum."""
        expected = "a list of integers"
        value = self.value(key, expected)
        if not isinstance(value, list):
            self._refuse(key, value, expected)
            return ()
        return tuple(self._integer(f"{key}[{index}]", item, 0, maximum) for index, item in enumerate(value))

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings, at least one."""
        expected = "a list of strings"
        value = self.value(key, expected)
        if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
            return tuple(value)
        self._refuse(key, value, expected)
        return ()

    def nested(self, key: str) -> JsonObject:
        """An object in the object."""
        return JsonObject(self.value(key, "an object"), self._place(key), self.problems)

    def objects(self, key: str) -> tuple[JsonObject, ...]:
        """A list of objects."""
        expected = "a list of objects"
        value = self.value(key, expected)
        if isinstance(value, list):
            place = self._place(key)
            return tuple(JsonObject(item, f"{place}[{index}]", self.problems) for index, item in enumerate(value))
        self._refuse(key, value, expected)
        return ()

    def refuse_unknown(self) -> None:
        """Notes every key that no getter was asked for. Call it last."""
        for key in self._values.keys() - self._known:
            self.problem(key, "is not known", f"known here: {', '.join(sorted(self._known))}")

    def problem(self, key: str, message: str, hint: str) -> None:
        self._note(self._place(key), message, hint)

    def raise_problems(self) -> None:
        """Raises McukitError "invalid-file" with all problems of the file, if there are any."""
        if self.problems:
            raise McukitError.collect(sorted(self.problems, key=lambda problem: problem.where))

    def _integer(self, key: str, value: object, minimum: int, maximum: int) -> int:
        # True is an instance of int.
        if isinstance(value, int) and not isinstance(value, bool) and minimum <= value <= maximum:
            return value
        self._refuse(key, value, _range(minimum, maximum))
        return minimum

    def _refuse(self, key: str, value: object, expected: str) -> None:
        """Notes a value of the wrong kind; what is missing was noted before."""
        if key.partition("[")[0] in self._values:
            self.problem(key, f"{_shown(value)} is not {expected}", f"give {expected}")

    def _note(self, place: str, message: str, hint: str) -> None:
        self.problems.append(Problem("invalid-file", message, place or "the file", hint))

    def _place(self, key: str) -> str:
        key = key if re.fullmatch(r"[\w\[\]-]{1,60}", key) else _shown(key)
        return f"{self.place}.{key}" if self.place else key


def read_json(path: Path) -> object:
    """The content of a file.

    Raises McukitError "unreadable-file", or "invalid-file" for files that aren't JSON (nor are NaN, infinity and a key
    twice in one object), are nested too deeply or much too large.
    """
    try:
        # Opening a pipe or a device could wait for ever.
        if path.exists() and not path.is_file():
            raise McukitError("unreadable-file", "this is not a file", where=str(path), hint=_HINT)
        with path.open("rb") as stream:
            content = stream.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "the name is not allowed"
        raise McukitError("unreadable-file", f"can't be read: {reason}", where=str(path), hint=_HINT) from error
    if len(content) > LARGEST_FILE:
        raise McukitError("invalid-file", f"has more than {LARGEST_FILE} bytes", where=str(path), hint=_HINT)
    try:
        return json.loads(content.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_distinct)
    except RecursionError as error:
        raise McukitError("invalid-file", "is nested too deeply", where=str(path), hint=_HINT) from error
    except ValueError as error:  # not UTF-8, not JSON, or an integer with thousands of digits
        raise McukitError("invalid-file", f"is not valid JSON: {error}", where=str(path), hint=_HINT) from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object whose keys differ: of two equal ones only the last would count, unnoticed."""
    result = dict(pairs)
    if len(result) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {_shown(twice)} stands twice in one object")
    return result


def _range(minimum: int, maximum: int) -> str:
    return f"an integer of {minimum} to {maximum}" if minimum < maximum else str(minimum)


def _shown(value: object) -> str:
    """`value` for a message, cut short."""
    if isinstance(value, list | dict):
        return f"a list of {len(value)}" if isinstance(value, list) else "an object"
    try:
        text = json.dumps(value)
    except (TypeError, ValueError):  # no JSON, or an integer with thousands of digits
        return "this value"
    return text if len(text) <= 60 else f"{text[:57]}..."

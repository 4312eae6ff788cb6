# SPDX-License-Identifier: Apache-2.0
"""One exception type for everything a user can get wrong.

Every problem has a stable code for scripts, a message for people, the place where it was found and a way out. Where
a file has several problems they are reported together, so that nobody has to fix them one run at a time.
"""

from __future__ import annotations

__all__ = ["McukitError", "Problem", "unwritable_output"]

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with what the user gave.

    code: stable, lower case with dashes, e.g. "unsupported-operator".
    message: what is wrong, one sentence.
    where: the place: a file, a node, an option.
    hint: what to do about it.
    """

    code: str
    message: str
    where: str = ""
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text}\n  hint: {self.hint}" if self.hint else text


class McukitError(Exception):
    """Bad input, a missing tool or a budget that can't be met: `problems` says all that is wrong.

    exit_code: what a command line should exit with: 1 if the model or a check failed, 2 for usage.
    """

    def __init__(self, code: str, message: str, *, where: str = "", hint: str = "", exit_code: int = 1) -> None:
        self.problems: tuple[Problem, ...] = (Problem(code, message, where, hint),)
        self.exit_code = exit_code
        super().__init__(str(self.problems[0]))

    @classmethod
    def collect(cls, problems: Sequence[Problem], *, exit_code: int = 1) -> McukitError:
        """One error for several problems found in one go. `problems` must not be empty."""
        if not problems:
            raise ValueError("an error needs at least one problem")
        first = problems[0]
        error = cls(first.code, first.message, where=first.where, hint=first.hint, exit_code=exit_code)
        error.problems = tuple(problems)
        error.args = ("\n".join(str(problem) for problem in problems),)
        return error


def unwritable_output(
    what: str, folder: Path, error: OSError, hint: str = "choose a folder you can write to with -o"
) -> McukitError:
    """The error for a folder that can't be written. what: the subject of the sentence, such as "the build"."""
    return McukitError(
        "unwritable-output",
        f"{what} can't be written: {error.strerror or error}",
        where=str(folder),
        hint=hint,
    )

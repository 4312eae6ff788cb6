# SPDX-License-Identifier: Apache-2.0
"""The sink of every command: results on stdout, everything else on stderr.

On a terminal rich draws; into a pipe or a file goes plain text. With --json stdout carries one JSON document and
nothing else, whatever happens.
"""

from __future__ import annotations

__all__ = ["JSON_SCHEMA", "PIPE_CLOSED", "Output", "Progress"]

import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, TextIO

from mcukit.errors import McukitError, Problem
from mcukit.report.blocks import Block, Facts, Line, Tone, plain_text, printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

JSON_SCHEMA = 1
"""Raised when a field of any command's JSON changes its meaning."""

PIPE_CLOSED = 141
"""The exit code of a program whose reader went away, as shells report it: 128 + SIGPIPE."""

Progress = Callable[[str, int, int], None]
"""Called with the stage's name, the steps done and the steps in all."""

_STYLES: dict[Tone, str] = {
    "plain": "",
    "title": "bold",
    "good": "green",
    "bad": "bold red",
    "warning": "yellow",
    "faint": "dim",
}


class Output:
    """Where one command's results, warnings and progress go. as_json: whether --json was given."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self._warnings: list[Problem] = []

    def result(self, fields: Mapping[str, Any], view: Callable[[], Sequence[Block]]) -> None:
        """The command's result: `fields` as JSON, or what `view` makes for people."""
        if not self.as_json:
            _show(sys.stdout, view())
            return
        warnings = {"warnings": [_problem_fields(problem) for problem in self._warnings]}
        _write(sys.stdout, _json_text({"schema": JSON_SCHEMA, **fields, **warnings}))

    def warn(self, problem: Problem) -> None:
        """A warning on stderr; a result printed later carries it in its JSON."""
        self._warnings.append(problem)
        _show(sys.stderr, [Line("", "plain"), *_problem_lines("WARNING", problem, "warning"), Line("", "plain")])

    def error(self, error: McukitError) -> None:
        """Every problem of an error: on stderr, or with --json as one document on stdout."""
        if self.as_json:
            problems = [_problem_fields(problem) for problem in error.problems]
            _write(sys.stdout, _json_text({"schema": JSON_SCHEMA, "error": problems[0], "errors": problems}))
            return
        for problem in error.problems:
            _show(sys.stderr, _problem_lines("error", problem, "bad"))

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """Bars on stderr while the block runs, if stderr is a terminal; otherwise nothing."""
        if not _interactive(sys.stderr):
            yield _unseen
            return
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Bars(*columns, console=_console(sys.stderr), transient=True) as bars:
            tasks: dict[str, Any] = {}

            def update(stage: str, done: int, total: int) -> None:
                if stage not in tasks:
                    tasks[stage] = bars.add_task(printable(stage), total=total)
                bars.update(tasks[stage], completed=done, total=total)

            yield update


def _unseen(stage: str, done: int, total: int) -> None:  # noqa: ARG001 - progress that nobody watches
    return


def _problem_fields(problem: Problem) -> dict[str, str]:
    return {"code": problem.code, "message": problem.message, "where": problem.where, "hint": problem.hint}


def _problem_lines(label: str, problem: Problem, tone: Tone) -> list[Line]:
    # Messages may quote a compiler over several lines; each becomes a line of its own, so that none is escaped.
    return [
        Line(line, tone if index == 0 else "plain") for index, line in enumerate(f"{label}: {problem}".splitlines())
    ]


def _json_text(fields: Mapping[str, Any]) -> str:
    return json.dumps(_strict(fields), indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def _strict(value: Any) -> Any:
    """The value in JSON's own types; what is not finite is null, because JSON has no word for it."""
    if isinstance(value, Mapping):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    if hasattr(value, "tolist"):  # arrays and numbers of NumPy, which is not imported for this
        return _strict(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _interactive(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def _console(stream: TextIO) -> Console:
    from rich.console import Console

    # https://no-color.org: any value that is not empty.
    return Console(file=stream, no_color=bool(os.environ.get("NO_COLOR")), highlight=False, markup=False, emoji=False)


def _show(stream: TextIO, blocks: Sequence[Block]) -> None:
    if not _interactive(stream):
        _write(stream, plain_text(blocks))
        return
    console = _console(stream)
    with console.capture() as capture:
        for block in blocks:
            # A long line is not broken: it may be a path or a command to copy.
            console.print(_drawn(block), soft_wrap=isinstance(block, Line))
    _write(stream, capture.get())


def _drawn(block: Block) -> RenderableType:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    if isinstance(block, Line):
        return Text(printable(block.text), style=_STYLES[block.tone])
    if isinstance(block, Facts):
        grid = Table.grid(padding=(0, 2))
        for name, value in block.pairs:
            grid.add_row(Text(f"  {printable(name)}", style="dim"), Text(printable(value)))
        return grid
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in block.columns:
        # Where the terminal is narrow, names are broken over lines before any number is.
        justify: Literal["left", "right"] = "right" if column.right else "left"
        whole = column.right or column.whole
        table.add_column(Text(column.title), justify=justify, overflow="fold", no_wrap=whole)
    for row in block.rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    return table


def _write(stream: TextIO, text: str) -> None:
    """Writes and flushes. A reader that went away ends the program without noise."""
    encoding = stream.encoding or "utf-8"
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except BrokenPipeError:
        _abandon(stream)
        raise SystemExit(PIPE_CLOSED) from None


def _abandon(stream: TextIO) -> None:
    """Lets what is still buffered go nowhere: Python flushes standard streams once more when it ends."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)

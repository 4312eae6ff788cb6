# SPDX-License-Identifier: Apache-2.0
"""The sink: terminals, pipes, colours, JSON."""

from __future__ import annotations

import io
import json
import re
from contextlib import redirect_stderr, redirect_stdout

import numpy as np
import pytest

from mcukit.cli.output import Output
from mcukit.errors import Problem
from mcukit.report.blocks import Block, Column, Facts, Line, Table

BLOCKS: list[Block] = [
    Line("title", "title"),
    Facts((("name", "[red]value[/red]"),)),
    Table((Column("layer"), Column("MACs", right=True)), (("conv", "5"), ("\x1b[31mred", "1,000"))),
    Line("wrong", "bad"),
]
COLOUR = "\x1b[1;31m"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def shown(self, *blocks: Block) -> str:
        """What a person sees of a result of these blocks."""
        with redirect_stdout(self):
            Output(as_json=False).result({}, lambda: blocks)
        return self.getvalue()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    stream = Terminal()
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    return stream


def test_a_terminal_gets_colours(terminal: Terminal) -> None:
    text = terminal.shown(*BLOCKS)
    assert COLOUR in text
    assert "[red]value[/red]" in text
    assert "\\x1b[31mred" in text


def test_no_color_is_honoured(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    text = terminal.shown(*BLOCKS)
    assert "title" in text
    assert not re.search("\x1b\\[[0-9;]*3[0-9]", text)


def test_a_dumb_terminal_gets_plain_text(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    with redirect_stderr(terminal), Output(as_json=False).progress() as progress:
        progress("work", 1, 2)
    assert terminal.shown(*BLOCKS) == (
        "title\n  name  [red]value[/red]\nlayer         MACs\nconv             5\n\\x1b[31mred  1,000\nwrong\n"
    )


def test_a_long_line_is_not_broken(terminal: Terminal) -> None:
    command = f"mcukit verify {'folder/' * 30} --on host"
    assert command in terminal.shown(Line(command))


def test_progress_is_drawn_on_terminals_only(terminal: Terminal, capsys: pytest.CaptureFixture[str]) -> None:
    with redirect_stderr(terminal), Output(as_json=False).progress() as progress:
        progress("calibrate", 1, 2)
        progress("calibrate", 2, 2)
    assert "calibrate" in terminal.getvalue()
    with Output(as_json=False).progress() as progress:
        progress("calibrate", 1, 2)
    assert capsys.readouterr() == ("", "")


def test_json_has_plain_types_and_carries_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(as_json=True)
    output.warn(Problem("odd", "beware"))
    fields = {"bytes": np.int64(3), "outputs": np.array([[-128, 127]], np.int8), "error": float("nan"), "all": (1, 2)}
    output.result(fields, lambda: BLOCKS)
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {
        "schema": 1,
        "bytes": 3,
        "outputs": [[-128, 127]],
        "error": None,
        "all": [1, 2],
        "warnings": [{"code": "odd", "message": "beware", "where": "", "hint": ""}],
    }
    assert captured.err == "\nWARNING: beware\n\n"

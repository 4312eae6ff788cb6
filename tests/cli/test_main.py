# SPDX-License-Identifier: Apache-2.0
"""How the command line starts, fails and ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from mcukit import __version__
from mcukit.errors import McukitError, Problem

Run = Callable[..., Result]

MCUKIT = (sys.executable, "-m", "mcukit")


def test_version(run: Run) -> None:
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"mcukit {__version__}\n")


def test_help_lists_commands_in_order_of_use(run: Run) -> None:
    result = run("--help")
    commands = ["inspect", "quantize", "evaluate", "emulate", "verify", "boards", "ops", "demo"]
    positions = [result.stdout.index(f"\n  {command} ") for command in commands]
    assert result.exit_code == 0
    assert positions == sorted(positions)


@pytest.mark.parametrize("command", ["inspect", "quantize", "evaluate", "emulate", "verify", "boards", "ops", "demo"])
def test_every_command_has_help_and_json(run: Run, command: str) -> None:
    result = run(command, "-h")
    assert result.exit_code == 0
    assert "--json" in result.stdout


def test_no_command_shows_help(run: Run) -> None:
    result = run()
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Commands:" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("fly",), "error: mcukit: No such command 'fly'"),
        (("inspect",), "error: mcukit inspect: Missing argument 'MODEL'"),
        (("emulate", "x"), "error: mcukit emulate: Give --on TARGET or --board ID"),
        (("ops", "--loud"), "error: mcukit ops: No such option"),
        (("bench", "--baud"), "error: mcukit bench: Option '--baud' requires an argument"),
    ],
)
def test_usage_errors(run: Run, words: tuple[str, ...], message: str) -> None:
    result = run(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(message)
    assert "\n  hint: see mcukit" in result.stderr
    as_json = run(*words, "--json")
    assert (as_json.exit_code, as_json.stderr) == (2, "")
    assert json.loads(as_json.stdout)["error"]["code"] == "usage"


def test_every_problem_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    problems = [Problem("first", "one", "here", "do this"), Problem("second", "two")]
    error = McukitError.collect(problems)
    monkeypatch.setattr("mcukit.boards.list_boards", failing(error))
    result = run("boards")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "error: here: one\n  hint: do this\nerror: two\n"
    fields = json.loads(run("boards", "--json").stdout)
    assert fields["error"] == {"code": "first", "message": "one", "where": "here", "hint": "do this"}
    assert [problem["code"] for problem in fields["errors"]] == ["first", "second"]


def test_a_bug_is_one_clear_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MCUKIT_TRACEBACK", raising=False)
    monkeypatch.setattr("mcukit.boards.list_boards", failing(ZeroDivisionError("by zero")))
    result = run("boards")
    assert (result.exit_code, result.stdout) == (70, "")
    assert result.stderr.startswith("error: this is a bug in mcukit: ZeroDivisionError: by zero\n  hint: ")
    assert "MCUKIT_TRACEBACK=1" in result.stderr
    assert "Traceback" not in result.stderr
    monkeypatch.setenv("MCUKIT_TRACEBACK", "1")
    assert "Traceback" in run("boards").stderr


def test_an_interrupt_leaves_no_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcukit.boards.list_boards", failing(KeyboardInterrupt()))
    result = run("boards")
    assert result.exit_code == 130
    assert "Traceback" not in result.stderr


def failing(error: BaseException) -> Callable[[], None]:
    def function() -> None:
        raise error

    return function


def test_names_cannot_command_the_terminal(run: Run, tmp_path: Path) -> None:
    result = run("inspect", tmp_path / "\x1b[2J\u202eevil.onnx")
    assert result.exit_code == 1
    assert "\x1b" not in result.stderr
    assert "\\x1b[2J\\u202eevil.onnx" in result.stderr


def test_help_is_quick_and_loads_no_model_library() -> None:
    heavy = {"numpy", "onnx", "rich", "jinja2"}
    script = f"import sys, mcukit.cli.command_line; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_pipe_that_closes_early_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run([*MCUKIT, "ops"], stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_json_is_ascii_whatever_the_locale(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    words = ["inspect", str(tmp_path / "größe.onnx")]
    as_json = subprocess.run([*MCUKIT, *words, "--json"], capture_output=True, check=False, env=environment)
    assert json.loads(as_json.stdout)["error"]["where"].endswith("größe.onnx")
    text = subprocess.run([*MCUKIT, *words], capture_output=True, check=False, env=environment)
    assert text.returncode == 1
    assert b"gr\\xf6\\xdfe.onnx" in text.stderr


def test_an_interrupt_during_work() -> None:
    script = (
        "import signal, sys, time, mcukit.boards as boards\n"
        "from mcukit.cli.main import main\n"
        # Whoever runs tests in the background may have it ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "boards.list_boards = lambda: (print('ready', flush=True), time.sleep(60))\n"
        "sys.argv = ['mcukit', 'boards']\n"
        "main()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout) == (130, "")
    assert stderr.strip() == "error: stopped before it was done; nothing was left half-written"


@pytest.mark.parametrize(
    ("module", "message"),
    [("click", ""), ("numpy", "error: stopped before it was done; nothing was left half-written")],
)
def test_an_interrupt_while_modules_are_loaded(module: str, message: str, model: Path) -> None:
    """Loading may turn it into an error of its own, as NumPy does."""
    script = (
        "import importlib.abc, os, signal, sys, time\n"
        "class Interrupting(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        f"        if name == {module!r}:\n"
        "            try:\n"
        "                os.kill(os.getpid(), signal.SIGINT)\n"
        "                time.sleep(60)\n"
        "            except KeyboardInterrupt:\n"
        "                raise ImportError(name)\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "from mcukit.cli.main import main\n"
        "main()\n"
    )
    words = [sys.executable, "-c", script, "inspect", str(model)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.strip()) == (130, "", message)

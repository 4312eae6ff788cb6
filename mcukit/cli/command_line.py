# SPDX-License-Identifier: Apache-2.0
"""The `mcukit` command: its subcommands, and how every failure ends.

Exit codes: 0 success, 1 the check or the model failed, 2 usage, 70 a bug in mcukit, 130 interrupted.
"""

from __future__ import annotations

__all__ = ["INTERNAL_ERROR", "CommandLine", "Interrupts", "cli", "interrupts"]

import os
import sys
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import Any, NoReturn

import click

from mcukit import __version__
from mcukit.cli.bench import bench
from mcukit.cli.boards import boards
from mcukit.cli.check import check
from mcukit.cli.demo import demo
from mcukit.cli.emulate import emulate
from mcukit.cli.evaluate import evaluate
from mcukit.cli.explore import explore
from mcukit.cli.export import export
from mcukit.cli.flash import flash
from mcukit.cli.inspect import inspect
from mcukit.cli.main import INTERRUPTED
from mcukit.cli.ops import ops
from mcukit.cli.output import Output
from mcukit.cli.quantize import quantize
from mcukit.cli.verify import verify
from mcukit.errors import McukitError

INTERNAL_ERROR = 70
"""EX_SOFTWARE of sysexits.h."""


class Interrupts:
    """seen: whether there was a Ctrl-C. What it hits may make another error of it, such as a module that is loaded."""

    def __init__(self) -> None:
        self.seen = False

    def interrupt(self, number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG002 - what signals give
        self.seen = True
        raise KeyboardInterrupt


interrupts = Interrupts()


class CommandLine(click.Group):
    """A group that turns every outcome into one exit code and one clear message."""

    def main(self, args: Sequence[str] | None = None, *positional: Any, **options: Any) -> Any:
        arguments = list(sys.argv[1:] if args is None else args)
        options["standalone_mode"] = False
        output = Output(as_json="--json" in arguments)
        try:
            code = super().main(arguments, *positional, **options)
        except KeyboardInterrupt:
            code = _report(click.Abort(), output, self._named(arguments))
        except Exception as error:  # noqa: BLE001 - users get one line, developers the traceback on demand
            code = _report(click.Abort() if interrupts.seen else error, output, self._named(arguments))
        sys.exit(code if isinstance(code, int) else 0)

    def _named(self, arguments: Sequence[str]) -> str:
        """The command line as far as it names a command."""
        return f"mcukit {arguments[0]}" if arguments and arguments[0] in self.commands else "mcukit"

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's interface
        """In the order in which they are used, not by name."""
        return list(self.commands)


def _report(error: Exception, output: Output, command: str) -> int:
    """Says what went wrong; returns the exit code. command: what was called, for errors that don't know it."""
    if isinstance(error, McukitError):
        output.error(error)
        return error.exit_code
    if isinstance(error, click.Abort):
        output.error(McukitError("interrupted", "stopped before it was done; nothing was left half-written"))
        return INTERRUPTED
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return error.exit_code
    if isinstance(error, click.ClickException):
        output.error(_usage_error(error, command))
        return error.exit_code
    if os.environ.get("MCUKIT_TRACEBACK"):
        traceback.print_exception(error, file=sys.stderr)
    output.error(
        McukitError(
            "internal-error",
            f"this is a bug in mcukit: {type(error).__name__}: {error}",
            hint="run it again with MCUKIT_TRACEBACK=1 in the environment for a traceback to report",
        )
    )
    return INTERNAL_ERROR


def _usage_error(error: click.ClickException, command: str) -> McukitError:
    context = error.ctx if isinstance(error, click.UsageError) else None
    command = context.command_path if context else command
    hint = f"see {command} --help"
    return McukitError("usage", error.format_message(), where=command, hint=hint, exit_code=2)


@click.group(cls=CommandLine, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mcukit", message="%(prog)s %(version)s")
def cli() -> None:
    """Brings a trained CNN onto a microcontroller.

    From an ONNX or TFLite file to int8, readable C and proof that every target computes the same bytes. Try it
    without a model of your own: mcukit demo
    """


_COMMANDS = (inspect, quantize, explore, evaluate, emulate, verify, check, flash, bench, export, boards, ops, demo)

for _command in _COMMANDS:
    cli.add_command(_command)

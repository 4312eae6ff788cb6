# SPDX-License-Identifier: Apache-2.0
"""Options and types of values that several commands share."""

from __future__ import annotations

__all__ = [
    "COUNT",
    "PATH",
    "SIZE",
    "TARGETS_HELP",
    "baud_option",
    "json_option",
    "on_option",
    "port_option",
    "preprocessing_from",
    "warn_if_uncalibrated",
]

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mcukit.errors import Problem
from mcukit.quantities import parse_count, parse_size

if TYPE_CHECKING:
    from mcukit.calibration.preprocessing import Preprocessing
    from mcukit.cli.output import Output

_Command = TypeVar("_Command", bound=Callable[..., Any])

TARGETS_HELP = "host, cortex-m3, cortex-m4, cortex-m7, cortex-m33, cortex-m55 or riscv32"

PATH = click.Path(path_type=Path)
"""Whether a path exists and is what it should be is checked where it is read: the message is better there."""


class _Size(click.ParamType[int]):
    """Bytes: 262144, 256K, 1M."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        size = parse_size(str(value))
        if size is None:
            self.fail(f"{value!r} is not a size above zero, such as 131072, 128K or 1M", param, ctx)
        return size


class _Count(click.ParamType[int]):
    """A number of things: 40000000, 40M, 1.5G."""

    name = "count"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        count = parse_count(str(value))
        if count is None:
            self.fail(f"{value!r} is not a whole number above zero, such as 40000000, 40M or 1.5G", param, ctx)
        return count


COUNT = _Count()
SIZE = _Size()

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, nothing else.")

port_option = click.option(
    "--port",
    metavar="PORT",
    help="The board: a serial port (/dev/ttyACM0, COM3), socket://HOST:PORT, or emulated:NAME, with NAME stm32f405, "
    f"{TARGETS_HELP}. Default: the only board attached over USB.",
)
baud_option = click.option(
    "--baud",
    type=click.IntRange(1, 20_000_000),
    metavar="N",
    help="Of a serial port. Default: as the build's firmware has it.",
)


def on_option(more: str, **attributes: Any) -> Callable[[_Command], _Command]:
    """--on TARGET. more: the executors that this command knows besides the targets."""
    return click.option("--on", metavar="TARGET", help=f"{TARGETS_HELP}{more}.", **attributes)


def preprocessing_from(scale: str | None, mean: str | None, std: str | None) -> Preprocessing | None:
    """(x * scale - mean) / std from the command line; None where none of the three was given.

    Raises McukitError "wrong-option" for what is no number, or a std of zero.
    """
    from mcukit.calibration.preprocessing import Preprocessing, parse_numbers
    from mcukit.errors import McukitError

    if scale is None and mean is None and std is None:
        return None
    scales = parse_numbers(scale or "1", "--scale")
    stds = parse_numbers(std or "1", "--std")
    if len(scales) > 1:
        hint = "give one number for all channels; --std takes one per channel"
        raise McukitError("wrong-option", f"{len(scales)} numbers", where="--scale", hint=hint, exit_code=2)
    for option, numbers in (("--scale", scales), ("--std", stds)):
        if 0.0 in numbers:
            hint = "for example 1/255 or 0.229"
            raise McukitError("wrong-option", "0 is no factor", where=option, hint=hint, exit_code=2)
    return Preprocessing(scales[0], parse_numbers(mean or "0", "--mean"), stds)


def warn_if_uncalibrated(output: Output, calibrated: bool) -> None:
    """Says it every time anew: accuracy of a network calibrated on synthetic images means nothing."""
    if not calibrated:
        output.warn(
            Problem(
                "uncalibrated",
                "NOT CALIBRATED: the ranges come from synthetic images, so the accuracy of this build is "
                "unknown. Memory, speed and equality of bytes hold",
                hint="give real images or arrays: mcukit quantize MODEL --calibration DATA --scale 1/255",
            )
        )

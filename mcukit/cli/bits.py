# SPDX-License-Identifier: Apache-2.0
"""Options that say how bits are chosen."""

from __future__ import annotations

__all__ = ["bits_from", "bits_options"]

from collections.abc import Callable
from functools import reduce
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mcukit.errors import McukitError

if TYPE_CHECKING:
    from mcukit.workflow.bits import BitsOptions

_Command = TypeVar("_Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--bits", type=click.Choice(["8", "auto"]), default="8", help="8 everywhere, or found by a search."),
    click.option("--search", type=click.Choice(["sensitivity", "vdqs"]), help="How --bits auto finds them."),
    click.option("--max-error", type=float, metavar="E", help="What fewer bits may add to the output's error: 0.03."),
    click.option(
        "--save", type=click.Choice(["bitops", "instructions"]), help="What fewer bits are to save: bitops by default."
    ),
    click.option("--bitops", type=float, metavar="X", help="Stop at X times fewer BitOPs than with 8 bits."),
    click.option("--vdpc", type=click.Choice(["off", "static", "runtime"]), help="vdqs: patches with outliers keep 8."),
    click.option("--phi", type=float, metavar="P", help="vdpc: share of values that counts as ordinary."),
    click.option("--tau", type=float, metavar="T", help="vdpc: share of images above which a position has outliers."),
    click.option("--min-outliers", type=int, metavar="N", help="vdpc: outliers that make a patch one with outliers."),
    click.option("--lambda", "entropy_weight", type=float, metavar="L", help="vdqs: weight of entropy, 0 to 1."),
    click.option("--layer-stage", is_flag=True, help="vdqs: narrow what comes behind the patches, too."),
)

_NAMES = {
    "search": "--search",
    "max_error": "--max-error",
    "save": "--save",
    "bitops": "--bitops",
    "vdpc": "--vdpc",
    "phi": "--phi",
    "tau": "--tau",
    "min_outliers": "--min-outliers",
    "entropy_weight": "--lambda",
    "layer_stage": "--layer-stage",
}
_OF_SENSITIVITY = ("max_error", "save", "bitops")
_OF_VDPC = ("phi", "tau", "min_outliers")
_OF_VDQS = ("vdpc", "phi", "tau", "min_outliers", "entropy_weight", "layer_stage")


def bits_options(command: _Command) -> _Command:
    """Adds all of them."""
    return reduce(lambda decorated, option: option(decorated), reversed(_OPTIONS), command)


def bits_from(*, bits: str, **values: Any) -> BitsOptions | None:
    """What the options come to; None for 8 bits everywhere.

    Raises McukitError "wrong-option" for options that have no part in what was chosen.
    """
    # A number may be 0, which equals False.
    given = {name: value for name, value in values.items() if value is not None and value is not False}
    search = given.get("search", "sensitivity")
    useless = [name for name in given if name in (_OF_VDQS if search == "sensitivity" else _OF_SENSITIVITY)]
    if bits == "8" and given:
        raise _wrong(next(iter(given)), "all maps and weights have 8 bits", "give --bits auto, or leave it away")
    if useless:
        other = "vdqs" if search == "sensitivity" else "sensitivity"
        raise _wrong(useless[0], f"it is no option of the search '{search}'", f"give --search {other} with it")
    constants = [name for name in given if name in _OF_VDPC]
    if given.get("vdpc") == "off" and constants:
        raise _wrong(constants[0], "patches are not classified with --vdpc off", "take one of the two options back")
    if bits == "8":
        return None
    from mcukit.precision.quantmcu import QuantmcuOptions
    from mcukit.precision.vdpc import VdpcOptions
    from mcukit.workflow.bits import BitsOptions

    classes = VdpcOptions(**{name: given[name] for name in _OF_VDPC if name in given})
    chosen = {name: given[name] for name in ("vdpc", "entropy_weight", "layer_stage") if name in given}
    quantmcu = QuantmcuOptions(classes=classes, **chosen)
    error = {name: given[name] for name in _OF_SENSITIVITY if name in given}
    return BitsOptions(search=search, quantmcu=quantmcu, **error)


def _wrong(name: str, message: str, hint: str) -> McukitError:
    return McukitError("wrong-option", message, where=_NAMES[name], hint=hint, exit_code=2)

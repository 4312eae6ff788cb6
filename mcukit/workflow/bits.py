# SPDX-License-Identifier: Apache-2.0
"""How the bits of maps and weights are chosen, as a user asks for it."""

from __future__ import annotations

__all__ = ["SAVED", "SEARCHES", "BitsOptions", "check_bits"]

import math
from dataclasses import dataclass, field

from mcukit.errors import McukitError, Problem
from mcukit.precision.quantmcu import QuantmcuOptions

SEARCHES = ("sensitivity", "vdqs")
SAVED = ("bitops", "instructions")


@dataclass(frozen=True)
class BitsOptions:
    """search: "sensitivity" narrows what is missed least at the network's output, maps and weights.

    "vdqs" is QuantMCU as reconstructed: entropies for the maps, patches classified by value, weights of 8 bits.
    max_error: what "sensitivity" may add to the output's error: nats of divergence of class probabilities, or error
    relative to the outputs' variance for networks that end otherwise. save: what fewer bits are to save: "bitops",
    with which bytes go down, or "instructions" of the board's core, by what its kernels were measured to take. bitops:
    stop as soon as there are so many times fewer BitOPs than with 8 bits; None to go on to max_error. maps, weights:
    what may be narrowed. images: that errors are measured over.
    quantmcu: what "vdqs" does.
    """

    search: str = "sensitivity"
    max_error: float = 0.03
    save: str = "bitops"
    bitops: float | None = None
    maps: bool = True
    weights: bool = True
    images: int = 64
    quantmcu: QuantmcuOptions = field(default_factory=QuantmcuOptions)


def check_bits(options: BitsOptions) -> None:
    """Raises McukitError "wrong-option" with all that is wrong."""
    wrong = []
    if options.search not in SEARCHES:
        wrong.append(("--search", f"there is no search '{options.search}'", f"choose one of {', '.join(SEARCHES)}"))
    if options.save not in SAVED:
        wrong.append(("--save", f"nothing saves '{options.save}'", f"choose one of {', '.join(SAVED)}"))
    if not 0.0 < options.max_error < math.inf:
        wrong.append(("--max-error", f"{options.max_error:g} is no error that there is room for", "try 0.03"))
    if options.bitops is not None and not 1.0 <= options.bitops < math.inf:
        wrong.append(("--bitops", f"{options.bitops:g} times fewer is no aim", "give a number above 1, such as 2.2"))
    if options.images < 1:
        wrong.append(("images", "no images show no error", "use at least 8"))
    if not (options.maps or options.weights):
        wrong.append(("maps, weights", "nothing may be narrowed", "allow one of them"))
    if not 0.0 <= options.quantmcu.entropy_weight <= 1.0:
        message = f"{options.quantmcu.entropy_weight:g} is no share of entropy"
        wrong.append(("--lambda", message, "choose a number from 0 to 1"))
    problems = [Problem("wrong-option", message, where, hint) for where, message, hint in wrong]
    try:
        options.quantmcu.classes.check()
    except McukitError as error:
        problems += error.problems
    if problems:
        raise McukitError.collect(problems, exit_code=2)

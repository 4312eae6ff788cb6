# SPDX-License-Identifier: Apache-2.0
"""Who decides about bits: nobody, a plan.json, or a search within a budget."""

from __future__ import annotations

__all__ = ["BitsRequest", "bits_request", "given_bits"]

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mcukit.boards import Board
from mcukit.errors import McukitError
from mcukit.planning.choose import SCHEDULES, PlanRequest, choose_plan
from mcukit.planning.costs import DEFAULT_TARGET
from mcukit.planning.plan import Stage
from mcukit.planning.plan_bits import PlanBits, bits_from_file
from mcukit.planning.plan_file import first_stage
from mcukit.quantized.integer import IntegerModel, with_kernels
from mcukit.quantized.kernel_sets import KernelSet
from mcukit.workflow.bits import BitsOptions, check_bits
from mcukit.workflow.budget import Budget
from mcukit.workflow.code_size import CodeSize
from mcukit.workflow.kernels import costs_for
from mcukit.workflow.options import QuantizeOptions
from mcukit.workflow.plan import make_plan


@dataclass(frozen=True)
class BitsRequest:
    """What decides about bits beside the options. given: bits that a plan asks for; first: the first stage of it.

    sram: bytes of the budget. fits: whether a network of these bits can be planned in it; None without a budget.
    kernels: the set of C kernels that the network is computed with. target: the core whose costs plans are made with.
    counts_code, fits_flash: see Room; None without a budget of flash.
    """

    given: PlanBits = field(default_factory=PlanBits)
    first: Stage | None = None
    sram: int | None = None
    fits: Callable[[IntegerModel], bool] | None = None
    target: str = DEFAULT_TARGET
    kernels: KernelSet = KernelSet.PORTABLE
    counts_code: Callable[[IntegerModel], bool] | None = None
    fits_flash: Callable[[IntegerModel], bool] | None = None


def given_bits(options: QuantizeOptions) -> PlanBits | None:
    """The bits that a plan.json asks for; None without such a file, or where it asks for 8 everywhere.

    Raises McukitError for options of bits that are wrong, or that contradict the plan.
    """
    if options.bits is not None:
        check_bits(options.bits)
        _check_patches(options, options.bits)
    if options.plan in SCHEDULES:
        return None
    given = bits_from_file(Path(options.plan))
    if given.precision.is_int8 and given.branching is None:
        return None
    if options.bits is not None:
        raise McukitError(
            "wrong-option",
            "the plan in the file says which bits maps and weights have",
            where="--bits",
            hint="leave --bits away, or take the bits out of the plan",
            exit_code=2,
        )
    return given


def _check_patches(options: QuantizeOptions, bits: BitsOptions) -> None:
    """Refuses a schedule where "vdqs" makes its own: it chooses the bits of patches."""
    if bits.search != "vdqs":
        return
    where = "--push-rows" if options.push_rows else "--plan"
    if options.push_rows or options.plan not in {"auto", "patches"}:
        raise McukitError(
            "wrong-option",
            "the search 'vdqs' forms patches of an input that is held whole",
            where=where,
            hint=f"leave {where} away, or use --search sensitivity",
            exit_code=2,
        )


def bits_request(
    options: QuantizeOptions, given: PlanBits | None, board: Board | None, budget: Budget, kernels: KernelSet
) -> BitsRequest:
    code = None if budget.flash is None else CodeSize(budget.flash, board.emulation_target if board else None)

    def fits(model: IntegerModel) -> bool:
        try:
            budget.check_flash(model.weight_bytes, None)
            planned = make_plan(model, options, board, budget, settle=False)
        except McukitError as error:
            if error.problems[0].code != "budget-exceeded":
                raise
            return False
        # Code is that of the kernels that fit.
        return code is None or code.fits(with_kernels(model, model.kernels, planned.kernels), planned.plan)

    def fits_flash(model: IntegerModel) -> bool:
        # Code hardly depends on the plan, and there is always this one.
        return code is None or code.fits(model, choose_plan(model, PlanRequest("layers")).plan)

    limited = options.bits is not None and (budget.sram is not None or budget.flash is not None)
    first = None if given is None or given.branching is None else first_stage(Path(options.plan))
    return BitsRequest(
        given or PlanBits(),
        first,
        budget.sram,
        fits=fits if limited else None,
        target=costs_for(board, kernels),
        kernels=kernels,
        counts_code=None if code is None else code.counts,
        fits_flash=None if code is None else fits_flash,
    )

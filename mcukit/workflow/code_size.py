# SPDX-License-Identifier: Apache-2.0
"""Whether networks fit a flash memory together with their code, while their bits are still searched for."""

from __future__ import annotations

__all__ = ["CodeSize", "Functions", "functions_of"]

import tempfile
from pathlib import Path

from mcukit.calibration.preprocessing import IDENTITY
from mcukit.emulation.build import CSources, Footprint, measure_footprint
from mcukit.emulation.targets import target_named
from mcukit.emulation.toolchain import require_tools
from mcukit.errors import McukitError
from mcukit.export.c_code import generate_c
from mcukit.export.names import file_stem
from mcukit.planning.plan import Plan
from mcukit.quantized.integer import IntegerModel

Functions = frozenset[str]
"""The C functions that a network calls: what its code is, but for what is written for its layers."""

_MOST_CODE = 128 << 10
"""Three times all kernels together: with so much flash beside the weights nothing has to be compiled."""


class CodeSize:
    """flash: bytes for weights and code. target: the core that code is compiled for; None where it is not known.

    Without the compiler only weights count, as in everything that is measured.
    """

    def __init__(self, flash: int, target: str | None) -> None:
        self._flash, self._target = flash, target
        self._measured: dict[Functions, Footprint] = {}
        if target is not None and not _has_compiler(target):
            self._target = None

    def counts(self, model: IntegerModel) -> bool:
        """Whether code decides about a network of so many weights: it is known, and flash is not ample."""
        return self._target is not None and self._flash - model.weight_bytes < _MOST_CODE

    def fits(self, model: IntegerModel, plan: Plan) -> bool:
        """Whether weights and code of a network in this plan fit."""
        if model.weight_bytes > self._flash:
            return False
        if not self.counts(model):
            return True
        functions = functions_of(model)
        known = self._measured.get(functions)
        # Layers and plans add little to the code of the functions: far from the limit one measurement does for all.
        if known is None or known.code_bytes // 2 < self._flash - model.weight_bytes < 2 * known.code_bytes:
            known = self._measured[functions] = self._measure(model, plan)
            return known.weight_bytes + known.code_bytes <= self._flash
        return model.weight_bytes + known.code_bytes <= self._flash

    def _measure(self, model: IntegerModel, plan: Plan) -> Footprint:
        if self._target is None:
            raise ValueError("code is compiled for a target")
        name = file_stem(model.name)
        with tempfile.TemporaryDirectory(prefix="mcukit-size-") as scratch:
            folder = Path(scratch)
            for file, text in generate_c(model, plan, IDENTITY).items():
                (folder / file).write_text(text)
            sources = CSources(name, folder, len(model.steps), model.input.elements, model.outputs[0].elements)
            return measure_footprint(sources, target_named(self._target), folder)


def functions_of(model: IntegerModel) -> Functions:
    layers = (*model.layers, *(model.branches.layers if model.branches else ()))
    return frozenset(layer.kernel.function for layer in layers if layer.kernel is not None)


def _has_compiler(target: str) -> bool:
    try:
        require_tools(target_named(target).compiler)
    except McukitError:
        return False
    return True

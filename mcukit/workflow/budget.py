# SPDX-License-Identifier: Apache-2.0
"""How much memory there is, and a clear word when that is not enough."""

from __future__ import annotations

__all__ = ["Budget"]

from dataclasses import dataclass

from mcukit.boards import Board
from mcukit.errors import McukitError
from mcukit.quantized.integer import IntegerModel, Layer
from mcukit.workflow.options import QuantizeOptions


@dataclass(frozen=True)
class Budget:
    """Bytes; None where nothing was said."""

    sram: int | None
    flash: int | None

    @classmethod
    def of(cls, options: QuantizeOptions, board: Board | None) -> Budget:
        """The options go before the board."""
        return cls(
            options.sram if options.sram is not None else board.sram_bytes if board else None,
            options.flash if options.flash is not None else board.flash_bytes if board else None,
        )

    def check_sram(self, model: IntegerModel, arena_bytes: int) -> None:
        """Raises McukitError "budget-exceeded" with the layer that needs most."""
        if self.sram is None or arena_bytes <= self.sram:
            return

        def live_bytes(layer: Layer) -> int:
            return sum(model.graph.tensors[name].elements for name in {*layer.inputs, layer.output})

        layer = max(model.layers, key=live_bytes)
        raise McukitError(
            "budget-exceeded",
            f"the network needs {arena_bytes:,} bytes of SRAM layer by layer and the budget is {self.sram:,}: "
            f"{arena_bytes - self.sram:,} bytes too many",
            where=f"node '{layer.name}' ({layer.node.operator.op_name}), the largest",
            hint="choose a board with more SRAM, a smaller input, or a larger --sram",
        )

    def check_flash(self, weight_bytes: int, code_bytes: int | None) -> None:
        """Raises McukitError "budget-exceeded". code_bytes: None where it was not measured."""
        needed = weight_bytes + (code_bytes or 0)
        if self.flash is None or needed <= self.flash:
            return
        parts = "weights" if code_bytes is None else f"weights and {code_bytes:,} of code"
        raise McukitError(
            "budget-exceeded",
            f"it takes {needed:,} bytes of flash ({weight_bytes:,} of {parts}) and the budget is {self.flash:,}",
            hint="choose a board with more flash or a smaller network",
        )

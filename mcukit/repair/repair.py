# SPDX-License-Identifier: Apache-2.0
"""What wins back accuracy that few bits cost, without training."""

from __future__ import annotations

__all__ = ["REPAIRED", "UNREPAIRED", "Repair"]

from dataclasses import dataclass


@dataclass(frozen=True)
class Repair:
    """equalization: weights of neighbouring layers are brought to like size first: mcukit.repair.equalization.

    The maps between them then stand for other values than in the network as it was given. With a scale for each output
    channel it changes little, so that it has to be asked for.
    map_equalization: channels of maps of fewer than 8 bits are brought to like size first, which gives each of them
    steps of its own size: mcukit.repair.map_equalization. Such maps too stand for other values than before.
    weight_rounding: weights of fewer than 8 bits are rounded by what they do to their layer's output:
    mcukit.repair.weight_rounding. bias_correction: biases make up for rounded weights:
    mcukit.repair.bias_correction.
    block_reconstruction: blocks with maps or weights of fewer than 8 bits are fitted to the float network's:
    mcukit.repair.block_reconstruction. It takes minutes, so that it has to be asked for.
    """

    equalization: bool = False
    map_equalization: bool = True
    weight_rounding: bool = True
    bias_correction: bool = True
    block_reconstruction: bool = False


REPAIRED = Repair()
UNREPAIRED = Repair(map_equalization=False, weight_rounding=False, bias_correction=False)

# SPDX-License-Identifier: Apache-2.0
"""The processor cores that boards may have: what chips make of them, what emulates them, what plans are made with."""

from __future__ import annotations

__all__ = ["CORES", "FPUS", "Core", "CycleCounter"]

from dataclasses import dataclass
from enum import StrEnum

FPUS = ("none", "single", "double")
"""Floating point units. The runtime needs none; applications and compilers' options do."""


class CycleCounter(StrEnum):
    """How a core counts its cycles.

    DWT: the register DWT->CYCCNT. DWT_LOCKED: the same, after 0xC5ACCE55 was written to DWT->LAR.
    CCOUNT: the special register of Xtensa cores. MCYCLE: RISC-V's own control and status register.
    MPCCR: the control and status register 0x7E2 of Espressif's RISC-V cores; 0x7E0 chooses what it counts and 0x7E1
    starts it. The ESP32-C3 has no mcycle.
    """

    DWT = "dwt"
    DWT_LOCKED = "dwt-locked"
    CCOUNT = "ccount"
    MCYCLE = "mcycle"
    MPCCR = "mpccr"


@dataclass(frozen=True)
class Core:
    """What is common to all chips with a core, and what their makers choose.

    dsp: whether there are instructions for two 16-bit values at once; both where the maker chooses.
    helium: whether there are vector instructions on integers (MVE).
    fpus: of FPUS, those that there are. cycle_counters: those that there are.
    emulation_target: in mcukit.emulation.targets; None where nothing emulates the core, and then `not_emulated` says
    why, as a sentence without its full stop.
    cost_target: the table of costs that plans are made with. It is another core's where `emulation_target` is None:
    costs are measured in the emulator.
    """

    name: str
    dsp: tuple[bool, ...]
    fpus: tuple[str, ...]
    cycle_counters: tuple[CycleCounter, ...]
    emulation_target: str | None
    cost_target: str
    not_emulated: str = ""
    helium: bool = False


_ARM_COUNTERS = (CycleCounter.DWT, CycleCounter.DWT_LOCKED)
_RISCV_COUNTERS = (CycleCounter.MPCCR, CycleCounter.MCYCLE)


def _arm(name: str, dsp: tuple[bool, ...], fpus: tuple[str, ...]) -> Core:
    return Core(name, dsp, fpus, _ARM_COUNTERS, name, name)


def _arm_with_helium(name: str, emulation_target: str | None, not_emulated: str = "") -> Core:
    # Chips with these cores and without Helium are possible; for them a core of another name must stand.
    return Core(name, (True,), FPUS, _ARM_COUNTERS, emulation_target, "cortex-m55", not_emulated, helium=True)


def _riscv(name: str) -> Core:
    # Compilers use neither atomic instructions nor any other one of those that tell these cores apart.
    return Core(name, (False,), ("none",), _RISCV_COUNTERS, "riscv32", "riscv32")


def _xtensa(name: str) -> Core:
    return Core(
        name,
        (False,),
        ("none", "single"),
        (CycleCounter.CCOUNT,),
        None,
        # The core that is nearest: 32-bit registers, code of mixed width, multiplication in one instruction.
        "cortex-m4",
        "neither Debian's QEMU nor its compilers know the Xtensa cores of these chips",
    )


CORES = {
    core.name: core
    for core in (
        _arm("cortex-m3", (False,), ("none",)),
        _arm("cortex-m4", (True,), ("none", "single")),
        _arm("cortex-m7", (True,), FPUS),
        _arm("cortex-m33", (True, False), ("none", "single")),
        _arm_with_helium("cortex-m55", "cortex-m55"),
        _arm_with_helium("cortex-m85", None, "neither Debian's QEMU nor its compilers know the Cortex-M85"),
        _riscv("rv32imc"),
        _riscv("rv32imac"),
        _xtensa("xtensa-lx6"),
        _xtensa("xtensa-lx7"),
    )
}
"""By name."""

# SPDX-License-Identifier: Apache-2.0
"""The machines that generated C can be run on without a board."""

from __future__ import annotations

__all__ = ["EMULATED_BOARDS", "EMULATED_CORES", "TARGETS", "Target", "target_named"]

from dataclasses import dataclass

from mcukit.errors import McukitError
from mcukit.quantized.kernel_sets import KernelSet

_DSP_CORES = frozenset(("-mcpu=cortex-m4", "-mcpu=cortex-m7", "-mcpu=cortex-m33", "-mcpu=cortex-m55"))


@dataclass(frozen=True)
class Target:
    """A machine and how to build for it.

    name: what users call it.
    compiler: the C compiler's command.
    machine_flags: compiler flags that select the instruction set, the ABI and the C library.
    port_folders: folders below firmware/ports whose C files are linked in.
    emulator: the emulator's command; empty on the host, where programs run as they are.
    emulator_machine: what is emulated, as arguments to the emulator.
    linker_script: below firmware/ports; empty on the host.
    """

    name: str
    compiler: str
    machine_flags: tuple[str, ...]
    port_folders: tuple[str, ...]
    emulator: str = ""
    emulator_machine: tuple[str, ...] = ()
    linker_script: str = ""

    @property
    def emulated(self) -> bool:
        """Whether programs run in an emulator, where instructions and stack are measured."""
        return bool(self.emulator)

    @property
    def has_dsp(self) -> bool:
        """Whether compilers use DSP instructions for it; without them DSP kernels call the portable ones."""
        return not _DSP_CORES.isdisjoint(self.machine_flags)

    def kernels_that_run(self, kernels: KernelSet) -> KernelSet:
        """What code for a set of kernels comes down to here."""
        return KernelSet.PORTABLE if kernels is KernelSet.DSP and not self.has_dsp else kernels


def _cortex_m(core: str, machine: str, float_abi: str = "soft") -> Target:
    # Soft float, because the runtime has no floats: the compiler then never touches floating point registers. They are
    # those of vector instructions too, which a core with them therefore has only with the other ABI.
    return Target(
        name=core,
        compiler="arm-none-eabi-gcc",
        machine_flags=(f"-mcpu={core}", "-mthumb", f"-mfloat-abi={float_abi}"),
        port_folders=("common", "mps2"),
        emulator="qemu-system-arm",
        emulator_machine=("-M", machine),
        linker_script=f"mps2/{machine}.ld",
    )


TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target(name="host", compiler="cc", machine_flags=(), port_folders=("host",)),
        _cortex_m("cortex-m3", "mps2-an385"),
        _cortex_m("cortex-m4", "mps2-an386"),
        _cortex_m("cortex-m7", "mps2-an500"),
        _cortex_m("cortex-m33", "mps2-an505"),
        _cortex_m("cortex-m55", "mps3-an547", float_abi="hard"),
        Target(
            name="riscv32",
            compiler="riscv64-unknown-elf-gcc",
            machine_flags=("-march=rv32imc", "-mabi=ilp32", "--specs=picolibc.specs"),
            port_folders=("common", "rv32_virt"),
            emulator="qemu-system-riscv32",
            emulator_machine=("-M", "virt", "-bios", "none"),
            linker_script="rv32_virt/rv32_virt.ld",
        ),
    )
}

EMULATED_CORES = tuple(name for name, target in TARGETS.items() if target.emulated)
"""Targets whose instructions and bytes are counted."""

EMULATED_BOARDS: dict[str, Target] = TARGETS | {
    # Not a target of its own: what an image for the STM32F405 costs, cortex-m4 counts. The board runs the same image.
    "stm32f405": Target(
        name="stm32f405",
        compiler="arm-none-eabi-gcc",
        machine_flags=("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=soft"),
        port_folders=("stm32f405",),
        emulator="qemu-system-arm",
        emulator_machine=("-M", "netduinoplus2"),
        linker_script="stm32f405/stm32f405.ld",
    )
}
"""Machines that the serial application runs on, by the name that follows `emulated:` in a port."""


def target_named(name: str) -> Target:
    """The target of that name. Raises McukitError "unknown-target" with the names there are."""
    if name not in TARGETS:
        raise McukitError(
            "unknown-target",
            f"there is no target {name!r}",
            hint=f"choose one of {', '.join(TARGETS)}",
            exit_code=2,
        )
    return TARGETS[name]

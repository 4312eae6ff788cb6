# SPDX-License-Identifier: Apache-2.0
"""Measures what kernels for packed maps and weights cost beside those for 8 bits, on typical shapes.

    python benchmarks/packed_kernels.py                        writes benchmarks/results/packed_kernels.md
    python benchmarks/packed_kernels.py --only fully_connected some rows of it; writes nothing

Kernels are those of the DSP set, and beside those with weights the portable ones. The counts are the emulator's own,
not estimates. The file is the same byte for byte whenever compiler, emulator and mcukit are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from benchmarks.support.kernel_counts import count_kernel
from benchmarks.support.markdown import table
from benchmarks.support.measure import versions
from benchmarks.support.shaped import SAME_3X3, Shaped, conv, depthwise, fully_connected
from mcukit.errors import McukitError
from mcukit.ops.add import Add
from mcukit.ops.average_pool import AveragePool
from mcukit.ops.concat import Concat
from mcukit.ops.max_pool import MaxPool
from mcukit.ops.mean import Mean
from mcukit.ops.window import Window
from mcukit.planning.kernel_features import KERNEL_FEATURES
from mcukit.quantized.kernel_sets import KernelSet

RESULT = Path(__file__).resolve().parent / "results" / "packed_kernels.md"
TARGET = "cortex-m4"

_WEIGHTED_BITS = ((8, 8), (8, 4), (8, 2), (4, 8), (4, 4), (4, 2), (2, 8), (2, 4), (2, 2))
"""Of maps and of weights."""

_MAP_BITS = (8, 4, 2)
_MAP = (1, 12, 12, 64)

_WEIGHTED = (
    ("conv2d", "1x1, 64 to 64 channels, 12x12", conv(_MAP[1:], 64, Window((1, 1)))),
    ("conv2d", "1x1, 96 to 24 channels, 12x12", conv((12, 12, 96), 24, Window((1, 1)))),
    ("conv2d", "3x3, 32 to 32 channels, 12x12", conv((12, 12, 32), 32, Window((3, 3), pads=SAME_3X3))),
    ("depthwise_conv2d", "3x3, 64 channels, 12x12", depthwise(_MAP[1:], Window((3, 3), pads=SAME_3X3))),
    ("fully_connected", "256 to 10", fully_connected((1, 256), 10)),
)
_UNWEIGHTED = (  # names of the kernel for 8 bits and of the packed one
    ("add", "pair_lookup", "64 channels, 12x12", Shaped(Add(), (_MAP, _MAP))),
    (
        "average_pool",
        "average_pool",
        "2x2 by 2, 64 channels, 12x12",
        Shaped(AveragePool(Window((2, 2), (2, 2))), (_MAP,)),
    ),
    ("concat", "concat", "32 and 32 channels, 12x12", Shaped(Concat(), ((1, 12, 12, 32),) * 2)),
    ("max_pool", "max_pool", "2x2 by 2, 64 channels, 12x12", Shaped(MaxPool(Window((2, 2), (2, 2))), (_MAP,))),
    ("mean", "mean", "6x6, 128 channels", Shaped(Mean(), ((1, 6, 6, 128),))),
)

OPERATORS = tuple(dict.fromkeys([*(row[0] for row in _WEIGHTED), *(row[0] for row in _UNWEIGHTED)]))


@click.command()
@click.option("--only", "operators", multiple=True, type=click.Choice(OPERATORS), help="May be repeated.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), default=RESULT, help="The file to write.")
def main(operators: tuple[str, ...], output: Path) -> None:
    """Measures packed kernels beside those of 8 bits."""
    try:
        text = _render(operators or OPERATORS)
    except McukitError as error:
        raise click.ClickException(str(error)) from error
    click.echo(text, nl=False)
    if operators:
        click.echo("not all was measured: the file stays as it is", err=True)
    else:
        output.write_text(text, encoding="utf-8")


def _render(operators: Sequence[str]) -> str:
    version = versions(TARGET)
    weighted = {
        kernels: [
            (
                f"{name} {shape}",
                *_cells(name, name, [replace(shaped, bits=(m, m, w)) for m, w in _WEIGHTED_BITS], kernels),
            )
            for name, shape, shaped in _WEIGHTED
            if name in operators
        ]
        for kernels in (KernelSet.DSP, KernelSet.PORTABLE)
    }
    header = ("kernel", *(f"{maps}/{weights}" for maps, weights in _WEIGHTED_BITS))
    unweighted = [
        (
            f"{name} {shape}",
            *_cells(name, packed, [replace(shaped, bits=(bits, bits, 8)) for bits in _MAP_BITS], KernelSet.DSP),
        )
        for name, packed, shape, shaped in _UNWEIGHTED
        if name in operators
    ]
    return f"""# Packed kernels beside int8

Instructions on {TARGET}, counted in the emulator by `python benchmarks/packed_kernels.py`; in brackets, how many times
those of the int8 kernel. Maps have the same bits on both sides of the kernel. Made with
{version["compiler"]} and {version["emulator"]}.

Instructions per multiply-accumulate with DSP kernels, by bits of maps / bits of weights:

{table(header, weighted[KernelSet.DSP])}

The same with portable kernels:

{table(header, weighted[KernelSet.PORTABLE])}

Instructions per output value with DSP kernels, by bits of maps:

{table(("kernel", *(str(bits) for bits in _MAP_BITS)), unweighted)}
"""


def _cells(name: str, packed: str, shapes: Sequence[Shaped], kernels: KernelSet) -> list[str]:
    """What each shape costs. The first one has 8 bits everywhere and calls mk_<name>_s8, others mk_<packed>_packed.

    kernels: the set; where it has no kernel of its own for a shape, that of the portable set is called.
    """
    wide = count_kernel(_of_set(f"mk_{name}_s8", kernels), shapes[:1], TARGET)
    narrow = count_kernel(_of_set(f"mk_{packed}_packed", kernels), shapes[1:], TARGET)
    int8, units = wide[0].instructions, wide[0].work
    return [f"{s.instructions / units:.2f} ({s.instructions / int8:.2f}x)" for s in (*wide, *narrow)]


def _of_set(function: str, kernels: KernelSet) -> str:
    own = f"{function}_{kernels}"
    return own if own in KERNEL_FEATURES else function


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""`mcukit quantize`: from a model file to a build folder."""

from __future__ import annotations

__all__ = ["KERNELS", "RANGES", "quantize"]

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from mcukit.cli.bits import bits_from, bits_options
from mcukit.cli.options import PATH, SIZE, json_option, preprocessing_from, warn_if_uncalibrated
from mcukit.cli.output import Output
from mcukit.errors import Problem
from mcukit.report.blocks import Block, Facts, Line

if TYPE_CHECKING:
    from mcukit.workflow.build import Build
    from mcukit.workflow.options import QuantizeOptions

RANGES = ("output-error", "map-by-map", "mse", "percentile", "min-max")
"""mcukit.calibration.ranges.RANGE_METHODS, named here so that --help need not load that module."""

KERNELS = ("portable", "dsp", "mve")
"""mcukit.quantized.kernel_sets.KERNEL_SETS, named here for the same reason."""

RAW_HINT = "if the network was not trained on such values, give --scale, --mean and --std as it was"
NARROW_INPUT, WIDE_INPUT = 0.05, 16.0
"""Inputs that span less, or reach further without any preprocessing, are rarely what a network was trained on."""


@click.command()
@click.argument("model", type=PATH)
@click.option("--calibration", type=PATH, metavar="DATA", help="Typical inputs: .npz, .npy or image folder.")
@click.option("--scale", metavar="S", help="The network takes (x * S - M) / D. S may be 1/255.")
@click.option("--mean", metavar="M", help="One number, or one per channel: 0.485,0.456,0.406.")
@click.option("--std", metavar="D", help="As --mean.")
@click.option("--board", metavar="ID", help="Id (see mcukit boards) or TOML file of a board to fit.")
@click.option("--sram", type=SIZE, metavar="N", help="SRAM for feature maps, such as 128K. Overrides --board.")
@click.option("--flash", type=SIZE, metavar="N", help="Flash for weights, such as 1M. Overrides --board.")
@click.option("--ranges", type=click.Choice(RANGES), help="How ranges follow from the data. Default: output-error.")
@click.option("--bias-correction/--no-bias-correction", default=True, help="Biases make up for rounded weights.")
@click.option("--reconstruct", is_flag=True, help="Fits blocks of few bits to the float network; takes minutes.")
@click.option("--plan", default="auto", metavar="PLAN", help="auto, layers, stream, patches, strips or a plan.json.")
@click.option("--push-rows", is_flag=True, help="The application hands over the input row by row.")
@click.option("--kernels", type=click.Choice(KERNELS), help="The C kernels. Default: the board's, or else dsp.")
@click.option("--tflite-patches", is_flag=True, help="Also writes a .tflite in tiles, for a smaller TFLM arena.")
@bits_options
@click.option("-o", "--output", "folder", type=PATH, metavar="DIR", help="Default: build/NAME.")
@json_option
def quantize(  # noqa: PLR0913, PLR0917 - one parameter per option
    model: Path,
    calibration: Path | None,
    scale: str | None,
    mean: str | None,
    std: str | None,
    board: str | None,
    sram: int | None,
    flash: int | None,
    ranges: str | None,
    bias_correction: bool,
    reconstruct: bool,
    plan: str,
    push_rows: bool,
    kernels: str | None,
    tflite_patches: bool,
    folder: Path | None,
    as_json: bool,
    **bits: Any,
) -> int:
    """Quantizes MODEL (.onnx or .tflite) and writes C, .tflite and reports.

    Without --calibration, what lies beside MODEL is used: mcukit.toml, or calibration.npz. Without these the
    ranges come from synthetic images, which tells memory and speed, but leaves the accuracy unknown.
    """
    preprocessing = preprocessing_from(scale, mean, std)
    from mcukit.report.terminal import build_view
    from mcukit.workflow.quantize import QuantizeOptions
    from mcukit.workflow.quantize import quantize as run

    output = Output(as_json)
    options = QuantizeOptions(
        calibration=calibration,
        preprocessing=preprocessing,
        ranges=ranges,
        board=board,
        sram=sram,
        flash=flash,
        bias_correction=bias_correction,
        reconstruct=reconstruct,
        plan=plan,
        push_rows=push_rows,
        tflite_patches=tflite_patches,
        kernels=kernels,
        bits=bits_from(**bits),
    )
    with output.progress() as progress:
        build = run(model, folder, options, progress)
    warn_if_uncalibrated(output, build.calibrated)
    for problem in _doubtful_input(build):
        output.warn(problem)
    for problem in _not_measured(build):
        output.warn(problem)
    for problem in (*_dear_bits(build, options), *_nothing_narrowed(build, options)):
        output.warn(problem)
    fields = {**build.report, "build": str(build.folder)}
    output.result(fields, lambda: [*build_view(build.report), *_next_steps(build)])
    return 0


def _not_measured(build: Build) -> list[Problem]:
    """Why a build for a board lacks what an emulator measures."""
    core = build.report["core"]
    if core is None or build.report["emulation"]:
        return []
    folder = quote(str(build.folder))
    if core["emulation_target"] is None:
        message = f"instructions, stack and code size are unknown: nothing emulates {core['name']}"
        costs = f"the plan was made with the costs of {core['costs']} in its place"
        hint = f"{core['not_emulated']}; {costs}; `mcukit verify {folder} --on host` proves the bytes of the same C"
        return [Problem("not-emulated", message, hint=hint)]
    message = "instructions, stack and code size are unknown, because a compiler or an emulator is missing"
    hint = f"`mcukit emulate {folder} --on {core['emulation_target']}` says what to install"
    return [Problem("not-measured", message, hint=hint)]


def _dear_bits(build: Build, options: QuantizeOptions) -> list[Problem]:
    """Where fewer bits are more work: patches of small maps compute more again than narrow maps save."""
    if options.bits is None or build.report["precision"]["bitops_reduction"] >= 1.0:
        return []
    message = "fewer bits make more BitOPs than 8 bits without patches, because of what patches compute again"
    hint = "take fewer patches (--sram with more bytes), or --search sensitivity, which needs none"
    return [Problem("more-bitops", message, hint=hint)]


def _nothing_narrowed(build: Build, options: QuantizeOptions) -> list[Problem]:
    """Why --bits auto left 8 bits everywhere."""
    precision = build.report["precision"]
    counts = [*precision["maps"].items(), *precision["weights"].items()]
    if options.bits is None or precision["branches"] or any(count for bits, count in counts if bits != "8"):
        return []
    budget = build.report["budget"]
    if budget["sram"] is None and budget["flash"] is None:
        message, hint = "no bits were worth their error: all maps and weights keep 8", "allow more with --max-error"
    else:
        message = "8 bits fit the budget, so that nothing was narrowed"
        hint = "for fewer BitOPs all the same, say how many: --bitops 2"
    return [Problem("nothing-narrowed", message, hint=hint)]


def _doubtful_input(build: Build) -> list[Problem]:
    """What points to forgotten or doubled preprocessing. Only the user can know, so that it is no error."""
    from mcukit.calibration.preprocessing import IDENTITY

    low, high = build.report["input_range"]
    if high - low < NARROW_INPUT:
        message = f"the network's input only goes from {low:.3g} to {high:.3g} over the calibration data"
        return [Problem("doubtful-input", message, hint="were they scaled already?")]
    if build.preprocessing == IDENTITY and build.float_graph() is not None and max(-low, high) > WIDE_INPUT:
        message = f"the network's input goes from {low:.3g} to {high:.3g}, because the data are used as they are stored"
        return [Problem("doubtful-input", message, hint=RAW_HINT)]
    return []


def _next_steps(build: Build) -> list[Block]:
    from mcukit.workflow.kernels import costs_for

    folder = quote(str(build.folder))
    core = build.report["core"]
    target = costs_for(None, build.model.kernels) if core is None else core["emulation_target"]
    commands = [
        ("  proof of equal bytes", f"mcukit verify {folder} --on host"),
        ("  accuracy", f"mcukit evaluate {folder} --data DATA.npz"),
        ("  less SRAM, and its price", "mcukit inspect --plans MODEL"),
    ]
    # Another core than the board's would tell nothing of it.
    if target is not None:
        commands.insert(1, ("  instructions and stack", f"mcukit emulate {folder} --on {target}"))
    board = build.manifest["options"]["board"]
    if (build.report["emulation"] or {}).get("estimated_cycles"):
        commands[1] = ("  instructions and cycles", f"mcukit emulate {folder} --board {quote(str(board))}")
    if build.report["board"] is not None:
        commands.append(("  onto the board", f"mcukit flash {folder}"))
    commands.append(("  for Arduino, ESP-IDF, CMake", f"mcukit export {folder} --to arduino"))
    written = f"written to {build.folder}; report.html shows it all. Next:"
    return [Line(""), Line(written, "good"), Facts(tuple(commands))]

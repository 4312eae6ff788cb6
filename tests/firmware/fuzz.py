# SPDX-License-Identifier: Apache-2.0
"""Builds the fuzz target of the serial protocol and runs it: python -m tests.firmware.fuzz --seconds 600."""

from __future__ import annotations

__all__ = ["FORMS", "build_fuzzer", "has_fuzzer"]

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from mcukit.bench.firmware import SerialOptions, application_objects, serial_defines, serial_sources
from mcukit.emulation.build import SANITIZE_FLAGS
from mcukit.emulation.targets import Target
from mcukit.emulation.toolchain import link
from tests.bench.networks import write_network

FORMS = {
    "kept": ("layers", SerialOptions()),
    "in-place": ("stream", SerialOptions(keeps_input=False)),
    "rows-on-arrival": ("pushed", SerialOptions(keeps_input=False)),
}

CLANG = os.environ.get("FUZZ_CLANG", "clang")


def has_fuzzer(folder: Path) -> bool:
    """Whether there is a clang with its fuzzer."""
    source = folder / "probe.c"
    source.write_text("int LLVMFuzzerTestOneInput(void) { return 0; }\n")
    try:
        command = [CLANG, "-fsanitize=fuzzer,address,undefined", str(source), "-o", str(folder / "probe")]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def build_fuzzer(folder: Path, form: str, *, runs: int | None = None, optimize: str = "-O2") -> Path:
    """The target with clang's fuzzer, or with the C compiler and so many runs of its own.

    optimize: for clang. What runs for seconds only is not worth optimizing for minutes.
    """
    plan, options = FORMS[form]
    sources = write_network(folder / form, plan)
    target = Target("fuzz", CLANG if runs is None else "cc", (), ("host",))
    application = [file for file in serial_sources() if file.name != "main.c"]
    checks = ("-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g1")
    flags = (optimize, *checks) if runs is None else SANITIZE_FLAGS
    defines = [
        *serial_defines(sources, options, ()),
        "MCUKIT_TEXT_MAX_INFERENCES=2",
        *[f"FUZZ_RUNS={runs}"] * (runs is not None),
    ]
    files = [Path(__file__).with_name("fuzz_protocol.c"), *application]
    return link(
        application_objects(sources, target, files, defines, options, flags),
        folder / f"fuzz-{form}-{'libfuzzer' if runs is None else 'own'}",
        target,
        extra_flags=flags,
    )


def main() -> int:
    """Fuzzes each form for its part of the time. 0 if nothing was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--corpus", type=Path, help="where inputs and findings are kept; a scratch folder by default")
    arguments = parser.parse_args()
    found = 0
    with tempfile.TemporaryDirectory() as scratch:
        corpus = arguments.corpus or Path(scratch)
        for form in FORMS:
            folder = corpus / form
            folder.mkdir(parents=True, exist_ok=True)
            limits = [f"-max_total_time={arguments.seconds // len(FORMS)}", "-max_len=2048", "-timeout=10"]
            command = [
                str(build_fuzzer(Path(scratch), form)),
                *limits,
                f"-artifact_prefix={folder}/found-",
                str(folder),
            ]
            found += subprocess.run(command, check=False).returncode != 0
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""The serial application stays alive and within its memory, whatever arrives: a bounded number of made-up inputs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.firmware.fuzz import FORMS, build_fuzzer, has_fuzzer

OWN_RUNS = 2_000
LIBFUZZER_RUNS = 2_000


@pytest.mark.parametrize("form", FORMS)
def test_made_up_sessions_do_no_harm(form: str, tmp_path: Path) -> None:
    program = build_fuzzer(tmp_path, form, runs=OWN_RUNS)
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("form", FORMS)
def test_the_fuzzer_finds_nothing(form: str, tmp_path: Path) -> None:
    if not has_fuzzer(tmp_path):
        pytest.skip("clang and its fuzzer are not installed")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    command = [
        build_fuzzer(tmp_path, form, optimize="-O0"),
        f"-runs={LIBFUZZER_RUNS}",
        "-seed=1",
        "-max_len=1024",
        str(corpus),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr[-4000:]

# SPDX-License-Identifier: Apache-2.0
"""The workflow for GitHub Actions: what it says, and its steps, run in a repository as users have one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from mcukit.emulation.toolchain import find_tool
from mcukit.workflow.check import workflow_text

CHECKOUT = Path(__file__).resolve().parents[2]
SETTINGS = """
board = "nucleo_f446re"
calibration = "images.npy"

[check]
max_sram = "8K"
max_flash = "64K"
max_instructions = "10M"
max_l2r = 0.5
"""
INSTALLS = ("apt-get", "python")
"""What the workflow installs with, which tests can't: it is noted instead."""


@pytest.fixture
def repository(small_model: Path, tmp_path: Path) -> Path:
    """A model, its settings, and the commands that steps find."""
    models = tmp_path / "repository" / "models"
    models.mkdir(parents=True)
    shutil.copy(small_model, models / "model.onnx")
    (models / "mcukit.toml").write_text(SETTINGS)
    np.save(models / "images.npy", np.random.default_rng(0).random((8, 6, 6, 2), np.float32))
    commands = tmp_path / "commands"
    commands.mkdir()
    for name in INSTALLS:
        (commands / name).write_text(f'#!/bin/sh\necho {name} "$@" >>"{tmp_path}/installed"\n')
    (commands / "mcukit").write_text(f'#!/bin/sh\nPYTHONPATH="{CHECKOUT}" exec "{sys.executable}" -m mcukit "$@"\n')
    for path in commands.iterdir():
        path.chmod(0o755)
    return models.parent


def steps() -> list[dict[str, Any]]:
    job = yaml.safe_load(workflow_text())["jobs"]["network"]
    assert job["defaults"]["run"]["shell"] == "bash"
    found: list[dict[str, Any]] = job["steps"]
    return found


def run_step(step: dict[str, Any], repository: Path) -> subprocess.CompletedProcess[str]:
    """As GitHub runs it: in a file of its own, which ends with the first command that fails."""
    environment = yaml.safe_load(workflow_text())["env"]
    script = repository.parent / "step.sh"
    script.write_text(step["run"])
    path = f"{repository.parent / 'commands'}:{os.environ['PATH']}"
    return subprocess.run(
        [find_tool("bash"), "--noprofile", "--norc", "-eo", "pipefail", script],
        cwd=repository,
        env={**os.environ, **environment, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_workflow_is_one_of_github_actions() -> None:
    content = yaml.safe_load(workflow_text())
    # YAML 1.1 reads the key `on` as true.
    assert set(content) == {"name", True, "permissions", "env", "jobs"}
    assert set(content[True]) == {"push", "pull_request"}
    assert content["permissions"] == {"contents": "read"}
    assert all(isinstance(value, str) for value in content["env"].values())
    for step in steps():
        assert len({"uses", "run"} & set(step)) == 1
        assert set(step) <= {"name", "uses", "with", "run"}
        if "uses" in step:
            assert re.fullmatch(r"actions/(checkout|setup-python)@v\d+", step["uses"])
        else:
            used = set(re.findall(r"\$(\w+)", step["run"]))
            assert used <= set(content["env"])


def test_its_steps_prove_and_check_the_network_of_a_repository(repository: Path) -> None:
    said = ""
    for step in steps():
        if "run" in step:
            done = run_step(step, repository)
            assert done.returncode == 0, f"{step['name']}\n{done.stdout}{done.stderr}"
            said += done.stdout
    assert "host: every byte is equal" in said
    assert "cortex-m4: every byte is equal" in said
    assert "within all budgets, counted on cortex-m4" in said
    installed = (repository.parent / "installed").read_text().splitlines()
    assert installed[0] == "apt-get update"
    assert installed[2] == "python -m pip install ./third_party/mcukit"
    # What it installs is what tests are run with.
    packages = set(installed[1].split()[4:])
    assert packages <= set(re.findall(r"[\w-]+", (CHECKOUT / ".ci/system-packages").read_text()))
    assert {"gcc", "gcc-arm-none-eabi", "qemu-system-arm"} <= packages
    # And it fails where the network does not fit any more.
    settings = repository / "models" / "mcukit.toml"
    settings.write_text(SETTINGS.replace('"10M"', '"1K"'))
    (check,) = [step for step in steps() if "mcukit check" in step.get("run", "")]
    done = run_step(check, repository)
    assert done.returncode == 1
    assert "1 of 4 budgets exceeded" in done.stdout

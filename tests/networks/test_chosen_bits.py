# SPDX-License-Identifier: Apache-2.0
"""Real networks with the bits and stages that the search chose: every executor computes the reference's bytes.

The choices are those of benchmarks/quantmcu.py, which writes them beside its table.
"""

from __future__ import annotations

import fcntl
import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from mcukit.calibration.data import load_inputs
from mcukit.workflow.build import Build, load_build
from mcukit.workflow.quantize import QuantizeOptions, quantize
from mcukit.workflow.verify import verify
from tests.networks.conftest import INPUTS, MODELS, NETWORKS, Network

CHOICES = Path(__file__).parents[2] / "benchmarks" / "results" / "chosen"
CALIBRATION = 24
"""Images, enough for real ranges and roundings: which bytes are computed is the question, and not how well."""

CHOSEN = [network for network in NETWORKS if network.name in {"vww", "resnet8", "mobilenet-v1", "mobilenet-v2"}]


@cache
def _build(network: Network, folder: Path) -> Build:
    options = QuantizeOptions(
        calibration=MODELS / network.calibration,
        preprocessing=network.preprocessing,
        calibration_limit=CALIBRATION,
        ranges="percentile",
        plan=str(CHOICES / f"{network.name}.json"),
    )
    with (folder / "lock").open("w") as lock:
        # Whichever process is first quantizes; the others wait and read what it wrote.
        fcntl.flock(lock, fcntl.LOCK_EX)
        finished = (folder / "build").is_dir()
        return load_build(folder / "build") if finished else quantize(MODELS / network.file, folder / "build", options)


@pytest.fixture
def chosen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Build, np.ndarray]:
    network = request.param
    if not (MODELS / network.file).is_file():
        pytest.skip(f"the development models are not beside the project: no ../shared/models/{network.file}")
    if network.sample and not request.config.getoption("--every-input"):
        pytest.skip("it takes minutes: --every-input runs it")
    shared = tmp_path_factory.getbasetemp()
    folder = (shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared) / f"chosen-{network.name}"
    folder.mkdir(exist_ok=True)
    build = _build(network, folder)
    images = load_inputs(MODELS / network.evaluation, build.model.input.shape[1:], network.preprocessing)
    return build, build.quantize_inputs(images.values[:INPUTS])


@pytest.mark.parametrize("chosen", [pytest.param(n, id=n.name) for n in CHOSEN], indirect=True)
@pytest.mark.parametrize("target", ["host", "plan", "cortex-m4", "tflm"])
def test_every_map_of_the_chosen_plan_equals_the_reference(chosen: tuple[Build, np.ndarray], target: str) -> None:
    build, inputs = chosen
    result = verify(build, target, inputs)
    widths = {tensor.quantization.bits for tensor in build.model.graph.maps() if tensor.quantization}
    assert widths > {8}
    assert result.equal, result.first_difference
    assert result.inputs == INPUTS
    assert result.layers_compared >= len(build.model.steps)

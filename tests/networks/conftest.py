# SPDX-License-Identifier: Apache-2.0
"""The real networks, each quantized once per test process, with labelled data beside them."""

from __future__ import annotations

import csv
import fcntl
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from mcukit.calibration.data import Dataset, load_inputs
from mcukit.calibration.image_folder import image_paths
from mcukit.calibration.preprocessing import IDENTITY, Preprocessing
from mcukit.demo import SCALE, demo_data, demo_model_path
from mcukit.workflow.build import Build, load_build
from mcukit.workflow.quantize import QuantizeOptions, quantize

MODELS = Path(__file__).parents[3] / "shared" / "models"

INPUTS = 20
"""Images that quick executors run, and all where --every-input asks for it."""

EMULATED_INPUTS = 5
"""Images that emulated cores run."""


@dataclass(frozen=True)
class Sample:
    """calibration: images that calibrate. ranges: how. inputs: that executors run. scored: for accuracy.

    points: as of Network. executors: those that run at all.
    """

    calibration: int
    ranges: str
    inputs: int
    scored: int
    points: float
    executors: tuple[str, ...]


@dataclass(frozen=True)
class Network:
    """file: below the models' folder. calibration, evaluation: data below it; labels for folders of images.

    points: how far int8 may stay behind float, in percentage points of top-1; None where no float run exists.
    calibration_limit: images that calibrate. sample: what runs of a large network unless --every-input asks for all.
    """

    name: str
    file: str
    evaluation: str
    calibration: str = ""
    labels: str = ""
    preprocessing: Preprocessing = IDENTITY
    points: float | None = None
    calibration_limit: int | None = None
    sample: Sample | None = None


IMAGENET = {
    "calibration": "imagenet/calibration",
    "evaluation": "imagenet/evaluation",
    "labels": "imagenet/evaluation.csv",
}
RESNET8 = {"evaluation": "resnet8/evaluation.npz"}
VWW = {"evaluation": "vww/evaluation.npz"}

NETWORKS = (
    Network("demo", "", "", preprocessing=Preprocessing(SCALE), points=1.0),
    Network(
        "vww", "vww/vww_96_float.onnx", calibration="vww/calibration.npz",
        preprocessing=Preprocessing(1 / 255), points=1.0, **VWW,
    ),
    Network("vww-int8", "vww/vww_96_int8.tflite", preprocessing=Preprocessing(1 / 255), **VWW),
    # ResNet8 comes without calibration data: its first 50 evaluation images stand in and are not scored.
    Network("resnet8", "resnet8/resnet8_float.tflite", points=1.0, calibration_limit=50,
            calibration="resnet8/evaluation.npz", **RESNET8),
    Network("resnet8-int8", "resnet8/resnet8_int8.tflite", **RESNET8),
    Network(
        "mobilenet-v1", "mobilenet_v1_025_128/mobilenet_v1_025_128_float.onnx",
        preprocessing=Preprocessing(1 / 127.5, (1.0,)), points=1.0, **IMAGENET,
    ),
    Network(
        "mobilenet-v2", "mobilenet_v2_100_224/mobilenet_v2_float.onnx", calibration_limit=80,
        preprocessing=Preprocessing(1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), points=1.5,
        # Of 50 images two are four points.
        sample=Sample(12, "percentile", inputs=1, scored=50, points=4.0,
                      executors=("host", "cortex-m4", "tflm")),
        **IMAGENET,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Prepared:
    """A network's build, the labelled data that it is scored on, and how far int8 may stay behind float there.

    inputs: for quick executors. emulated: the first of them, for slow ones. sample: what all that comes from, if not
    all of it runs.
    """

    network: Network
    build: Build
    evaluation: Dataset
    points: float | None
    sample: Sample | None
    inputs: np.ndarray = field(repr=False)
    emulated: np.ndarray = field(repr=False)


def networks(*, quantized: bool | None = None) -> list[object]:
    """Parameters for tests: all networks, or those that come as an int8 file, or those that don't."""
    return [
        pytest.param(network, id=network.name)
        for network in NETWORKS
        if quantized is None or quantized == network.name.endswith("-int8")
    ]


@pytest.fixture
def prepared(request: pytest.FixtureRequest, shared_folder: Path) -> Prepared:
    network = request.param
    if network.file and not (MODELS / network.file).is_file():
        pytest.skip(f"the development models are not beside the project: no ../shared/models/{network.file}")
    folder = shared_folder / f"network-{network.name}"
    folder.mkdir(exist_ok=True)
    every_input = request.config.getoption("--every-input")
    return _prepare(network, folder, None if every_input else network.sample, every_input=every_input)


@cache
def _prepare(network: Network, folder: Path, sample: Sample | None, *, every_input: bool) -> Prepared:
    if network.name == "demo":
        data, source, model = folder / "calibration.npz", folder / "evaluation.npz", demo_model_path()
    else:
        model, source = MODELS / network.file, MODELS / network.evaluation
        data = MODELS / network.calibration if network.calibration else None
    options = QuantizeOptions(
        calibration=data,
        preprocessing=network.preprocessing,
        calibration_limit=sample.calibration if sample else network.calibration_limit,
        ranges=sample.ranges if sample else None,
    )
    with (folder / "lock").open("w") as lock:
        # Whichever process is first quantizes; the others wait and read what it wrote.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if network.name == "demo" and not source.exists():
            np.savez(data, x=demo_data("calibration", 200, 0)[0])
            np.savez(source, **dict(zip("xy", demo_data("evaluation", 500, 0), strict=True)))
        finished = (folder / "build").is_dir()
        build = load_build(folder / "build") if finished else quantize(model, folder / "build", options)
        labels_file = MODELS / network.labels if network.labels else None
        if sample and labels_file:
            source, labels_file = _first_images(source, labels_file, sample.scored, folder)
    dataset = load_inputs(source, build.model.input.shape[1:], network.preprocessing, labels=labels_file)
    # What a network was calibrated on is not scored.
    first = network.calibration_limit or 0 if network.calibration == network.evaluation else 0
    assert dataset.labels is not None
    last = first + sample.scored if sample else len(dataset)
    scored = Dataset(
        values=dataset.values[first:last], labels=dataset.labels[first:last], names=dataset.names[first:last],
        preprocessing=dataset.preprocessing,
    )  # fmt: skip
    inputs = build.quantize_inputs(scored.values[: sample.inputs if sample else INPUTS])
    emulated = inputs[: INPUTS if every_input else EMULATED_INPUTS]
    points = sample.points if sample else network.points
    return Prepared(network, build, scored, points, sample, inputs, emulated)


def _first_images(images: Path, labels: Path, count: int, folder: Path) -> tuple[Path, Path]:
    """A folder of links to the first images, and their labels: decoding all takes longer than running these."""
    chosen, few = folder / "evaluation", folder / "evaluation.csv"
    if not few.exists():
        chosen.mkdir()
        for path in image_paths(images)[:count]:
            (chosen / path.name).symlink_to(path)
        with labels.open(newline="") as source, few.open("w", newline="") as target:
            header, *rows = csv.reader(source)
            column = header.index("image")
            csv.writer(target).writerows([header, *(row for row in rows if (chosen / row[column]).exists())])
    return chosen, few

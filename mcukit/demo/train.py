# SPDX-License-Identifier: Apache-2.0
"""Trains the demo network and writes it as ONNX: `python -m mcukit.demo.train`.

A MobileNetV2 in miniature: a strided convolution, inverted residual blocks with ReLU6, average pooling and
one fully connected layer, for 96x96 RGB images with pixels scaled to 0..1. Two processor cores train it in
about ten minutes. Every batch is drawn afresh from the training split; the accuracy printed at the end is
that of the written file on the evaluation split. The seed is fixed, but torch's sums depend on the
processor and the number of threads, so another machine gives a network as good but not the same bytes.
"""

from __future__ import annotations

__all__ = ["DemoNetwork", "evaluate", "export", "main", "train"]

import argparse
import ast
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mcukit.demo import SCALE, demo_data, demo_model_path
from mcukit.demo.data import CANVAS, CLASSES
from mcukit.errors import McukitError

try:
    import onnx
    import onnxruntime
    import onnxscript  # noqa: F401  torch's exporter needs it: better to know before training than after
    import torch
    from torch import Tensor, nn
except ImportError as error:
    _problem = McukitError(
        "missing-package",
        f"training the demo network needs {error.name}, which can't be imported",
        where=str(error.name),
        hint="pip install 'mcukit[demo,torch]'",
    )
    # Whoever runs the script gets the message alone, whoever imports the module an exception to catch.
    raise (SystemExit(str(_problem)) if __name__ == "__main__" else _problem) from None

SEED = 0
BATCH = 64
STEPS = 2000
STEPS_PER_LINE = 100
PEAK_LEARNING_RATE = 6e-3
WEIGHT_DECAY = 2e-2
LABEL_SMOOTHING = 0.05
EVALUATION_IMAGES = 1000
OPSET = 18

STEM_CHANNELS = 16
# Of each block: expansion factor, output channels, stride.
BLOCKS = ((1, 8, 1), (6, 16, 2), (4, 16, 1), (4, 24, 2), (4, 24, 1), (4, 40, 2), (4, 40, 1), (4, 40, 1))
HEAD_CHANNELS = 128


class ConvolutionUnit(nn.Sequential):
    """Convolution, batch normalization and, if not linear, ReLU6: (n, c, h, w) to (n, c', h / s, w / s)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        linear: bool = False,
    ) -> None:
        super().__init__()
        convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.add_module("convolution", convolution)
        self.add_module("normalization", nn.BatchNorm2d(outputs))
        if not linear:
            self.add_module("activation", nn.ReLU6())


class InvertedResidual(nn.Module):
    """Widens, filters each channel by itself, narrows; adds the input where the shape allows it."""

    def __init__(self, inputs: int, outputs: int, *, expansion: int, stride: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = ConvolutionUnit(inputs, hidden, 1) if expansion > 1 else nn.Identity()
        self.depthwise = ConvolutionUnit(hidden, hidden, 3, stride=stride, groups=hidden)
        self.project = ConvolutionUnit(hidden, outputs, 1, linear=True)
        self.adds_input = stride == 1 and inputs == outputs

    def forward(self, features: Tensor) -> Tensor:
        """(n, c, h, w) to (n, c', h / stride, w / stride)."""
        projected: Tensor = self.project(self.depthwise(self.expand(features)))
        return features + projected if self.adds_input else projected


class DemoNetwork(nn.Module):
    """The demo network: images (n, 3, 96, 96) of 0..1 to logits (n, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(ConvolutionUnit(3, STEM_CHANNELS, 3, stride=2))
        channels = STEM_CHANNELS
        for expansion, outputs, stride in BLOCKS:
            self.features.append(InvertedResidual(channels, outputs, expansion=expansion, stride=stride))
            channels = outputs
        self.features.append(ConvolutionUnit(channels, HEAD_CHANNELS, 1))
        self.classifier = nn.Linear(HEAD_CHANNELS, CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        """(n, 3, 96, 96) to (n, 10)."""
        logits: Tensor = self.classifier(self.features(image).mean((2, 3)))
        return logits


def train(steps: int) -> DemoNetwork:
    """A network trained on `steps` batches of the training split, in evaluation mode.

    Raises McukitError "missing-package" without scikit-learn.
    """
    torch.manual_seed(SEED)
    network = DemoNetwork()
    optimizer = torch.optim.AdamW(network.parameters(), lr=PEAK_LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LEARNING_RATE, steps, pct_start=0.15)
    loss_of = nn.CrossEntropyLoss(label_smoothing=LABEL_SMOOTHING)
    started = time.monotonic()
    for step in range(1, steps + 1):
        images, labels = demo_data("train", BATCH, seed=SEED + step)
        loss = loss_of(network(torch.from_numpy(_network_input(images))), torch.from_numpy(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % STEPS_PER_LINE == 0:
            print(f"step {step} of {steps}: loss {loss.item():.3f}, {time.monotonic() - started:.0f} s")
    network.eval()
    return network


def export(network: DemoNetwork, path: Path) -> None:
    """Writes a trained network as one ONNX file whose nodes are named after the network's modules.

    Raises McukitError "export-failed" if torch can't express the network in ONNX.
    """
    program = torch.onnx.export(
        network,
        (torch.zeros(1, 3, CANVAS, CANVAS),),
        input_names=["image"],
        output_names=["logits"],
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    if program is None:
        raise McukitError(
            "export-failed",
            "torch's exporter returned no program",
            where="torch.onnx.export",
            hint=f"torch {torch.__version__} may differ from the 2.13 this was written for",
        )
    model = _with_readable_names(program.model_proto)
    onnx.checker.check_model(model, full_check=True)
    # A training interrupted while writing leaves the file that was there before.
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        written = Path(folder) / path.name
        onnx.save(model, written)
        written.replace(path)


def evaluate(path: Path, count: int) -> float:
    """The share, 0 to 1, of `count` images of the evaluation split that an exported network gets right."""
    images, labels = demo_data("evaluation", count, seed=SEED)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    logits = [session.run(["logits"], {"image": image[np.newaxis]})[0] for image in _network_input(images)]
    return float(np.mean(np.concatenate(logits).argmax(axis=1) == labels))


def main() -> None:
    """Trains, writes and evaluates the demo network as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m mcukit.demo.train", description="Trains the demo network.")
    parser.add_argument("--output", type=Path, default=demo_model_path(), help="file to write (%(default)s)")
    parser.add_argument("--steps", type=int, default=STEPS, help="batches to train on (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="processor cores to use (%(default)s)")
    arguments = parser.parse_args()
    if arguments.steps < 1 or arguments.threads < 1:
        parser.error("--steps and --threads must be at least 1")
    if not arguments.output.parent.is_dir():
        parser.error(f"--output: there is no folder {arguments.output.parent}")
    torch.set_num_threads(arguments.threads)
    try:
        export(train(arguments.steps), arguments.output)
        share = evaluate(arguments.output, EVALUATION_IMAGES)
    except McukitError as error:
        raise SystemExit(str(error)) from None
    size = arguments.output.stat().st_size
    print(f"{arguments.output}: {size} bytes, {share:.2%} of {EVALUATION_IMAGES} evaluation images right")


def _network_input(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Images (n, 96, 96, 3) of 0..255 as the network takes them: (n, 3, 96, 96) of 0..1.

    In memory the channels stay last, in which order torch computes depthwise layers three times as fast.
    """
    return images.transpose(0, 3, 1, 2).astype(np.float32) * np.float32(SCALE)


def _with_readable_names(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with nodes and tensors named after the network's modules, without the exporter's notes.

    The notes tell which module a node came from, but also the paths of this machine's files.
    """
    kept = {value.name for value in [*model.graph.input, *model.graph.output, *model.graph.initializer]}
    renamed: dict[str, str] = {}
    for node in model.graph.node:
        node.name = _module_name(node)
        renamed.update({name: node.name for name in node.output if name not in kept})
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    for value in model.graph.value_info:
        value.name = renamed.get(value.name, value.name)
    graph = model.graph
    annotated = (
        model,
        graph,
        *graph.node,
        *graph.input,
        *graph.output,
        *graph.value_info,
        *graph.initializer,
    )
    for part in annotated:
        part.ClearField("metadata_props")
    return model


def _module_name(node: onnx.NodeProto) -> str:
    """The path of the module a node was exported from, such as "features.3.depthwise.activation"."""
    notes = {note.key: note.value for note in node.metadata_props}
    module: str = ast.literal_eval(notes["pkg.torch.onnx.name_scopes"])[-2]
    # These two are no modules of their own, but lines of the one around them.
    operation = {"Add": "add", "ReduceMean": "mean"}.get(node.op_type)
    if operation:
        return f"{module}.{operation}".lstrip(".")
    # A convolution that took in its normalization stands for the whole unit.
    return module.removesuffix(".normalization")


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Which networks are measured, on which data, and what other engines took for them."""

from __future__ import annotations

__all__ = ["Engine", "Files", "Network", "Peers", "read_networks", "read_peers"]

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcukit.calibration.preprocessing import Preprocessing, parse_numbers
from mcukit.demo import demo_data, demo_model_path

_DEMO_CALIBRATION = 200
_DEMO_EVALUATION = 500


@dataclass(frozen=True)
class Network:
    """A network as networks.toml describes it. model is "" for the bundled demo; paths are below the models' folder."""

    name: str
    title: str
    preprocessing: Preprocessing
    model: str = ""
    calibration: str = ""
    calibration_limit: int | None = None
    evaluation: str = ""
    evaluation_first: int = 0
    labels: str = ""
    peers: str = ""

    def missing(self, models: Path) -> str | None:
        """The first file or folder that isn't there, seen from the project's root; None if all are."""
        for name in (self.model, self.calibration, self.evaluation, self.labels):
            if name and not (models / name).exists():
                return f"../shared/models/{name}"
        return None

    def files(self, models: Path, scratch: Path) -> Files:
        """Where everything lies. The demo's data are drawn into `scratch`."""
        if not self.model:
            return _demo_files(scratch)
        return Files(
            models / self.model,
            models / self.calibration if self.calibration else None,
            models / self.evaluation,
            models / self.labels if self.labels else None,
        )


@dataclass(frozen=True)
class Files:
    """calibration is None where the model is int8 already, labels where the evaluation data hold them."""

    model: Path
    calibration: Path | None
    evaluation: Path
    labels: Path | None


@dataclass(frozen=True)
class Engine:
    """instructions: of one inference. ram, flash: bytes. output: "exact" or "wrong". baseline: the bar is set by it."""

    name: str
    instructions: int
    ram: int
    flash: int
    output: str
    baseline: bool = False


@dataclass(frozen=True)
class Peers:
    """conditions: how all was measured. macs and engines: by the key that networks name."""

    conditions: str
    macs: Mapping[str, int]
    engines: Mapping[str, Sequence[Engine]]


def read_networks(path: Path) -> tuple[Network, ...]:
    """The networks of networks.toml, in its order. An unknown or missing key is a TypeError that names it."""
    networks = []
    for table in tomllib.loads(path.read_text(encoding="utf-8"))["network"]:
        preprocessing = Preprocessing(
            parse_numbers(table.pop("scale", "1"), "scale")[0],
            tuple(table.pop("mean", (0.0,))),
            tuple(table.pop("std", (1.0,))),
        )
        networks.append(Network(preprocessing=preprocessing, **table))
    return tuple(networks)


def read_peers(path: Path) -> Peers:
    """The content of peers.toml. An unknown or missing key is a TypeError or KeyError that names it."""
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    conditions = content.pop("conditions").strip().replace("\n", " ")
    macs = {key: table["macs"] for key, table in content.items()}
    engines = {key: tuple(Engine(**engine) for engine in table["engines"]) for key, table in content.items()}
    return Peers(conditions, macs, engines)


def _demo_files(scratch: Path) -> Files:
    calibration, _ = demo_data("calibration", _DEMO_CALIBRATION, 0)
    np.savez(scratch / "calibration.npz", x=calibration)
    values, labels = demo_data("evaluation", _DEMO_EVALUATION, 0)
    np.savez(scratch / "evaluation.npz", x=values, y=labels)
    return Files(demo_model_path(), scratch / "calibration.npz", scratch / "evaluation.npz", None)

# SPDX-License-Identifier: Apache-2.0
"""The content of report.json for a small network under each of several plans."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mcukit.planning.choose import Planned
from mcukit.planning.plan import Plan
from mcukit.precision.vdpc import PatchClasses
from mcukit.quantized.integer import IntegerModel
from mcukit.report.content import TfliteFacts, report_content
from mcukit.report.metrics import ErrorMetrics
from tests.planning.small_network import network, planned

ContentOf = Callable[..., dict[str, Any]]
"""Of a model and a plan; classes of patches where they are known."""


@pytest.fixture
def model() -> IntegerModel:
    return network()


@pytest.fixture
def content_of() -> ContentOf:
    """The content for a model and a plan, with the error of the first layer known and no budget."""

    def make(model: IntegerModel, plan: Plan, classes: PatchClasses | None = None) -> dict[str, Any]:
        return report_content(
            model,
            Planned(plan, "layers", None, "cortex-m4"),
            board=None,
            budget={"sram": None, "flash": None},
            calibrated=True,
            errors={model.layers[0].output: ErrorMetrics(rmse=0.01, mae=0.008, l2r=0.0123, nse=0.999, cosine=0.9999)},
            tflite=TfliteFacts(3000, None),
            measurement=None,
            classes=classes,
        )

    return make


@pytest.fixture
def content(model: IntegerModel, content_of: ContentOf) -> dict[str, Any]:
    """As report.json has it, layer by layer."""
    return content_of(model, planned(model, "layers"))

# SPDX-License-Identifier: Apache-2.0
"""mcukit brings a trained CNN onto a microcontroller.

The verbs are here: `inspect_model`, `quantize`, `load_build`, `evaluate`, `emulate` and `verify`. They are loaded when
first used, so that `import mcukit` costs nothing.
"""

from __future__ import annotations

__all__ = [
    "Build",
    "McukitError",
    "Preprocessing",
    "QuantizeOptions",
    "__version__",
    "emulate",
    "evaluate",
    "inspect_model",
    "load_build",
    "load_inputs",
    "quantize",
    "verify",
]

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcukit.calibration.data import load_inputs
    from mcukit.calibration.preprocessing import Preprocessing
    from mcukit.errors import McukitError
    from mcukit.workflow.build import Build, load_build
    from mcukit.workflow.emulate import emulate
    from mcukit.workflow.evaluate import evaluate
    from mcukit.workflow.inspect import inspect_model
    from mcukit.workflow.quantize import QuantizeOptions, quantize
    from mcukit.workflow.verify import verify

__version__ = "0.1.0"

_MODULES = {
    "Build": "mcukit.workflow.build",
    "McukitError": "mcukit.errors",
    "Preprocessing": "mcukit.calibration.preprocessing",
    "QuantizeOptions": "mcukit.workflow.quantize",
    "emulate": "mcukit.workflow.emulate",
    "evaluate": "mcukit.workflow.evaluate",
    "inspect_model": "mcukit.workflow.inspect",
    "load_build": "mcukit.workflow.build",
    "load_inputs": "mcukit.calibration.data",
    "quantize": "mcukit.workflow.quantize",
    "verify": "mcukit.workflow.verify",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'mcukit' has no attribute '{name}'")
    return getattr(importlib.import_module(_MODULES[name]), name)

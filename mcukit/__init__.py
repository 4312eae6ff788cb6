# SPDX-License-Identifier: Apache-2.0
"""mcukit brings a trained CNN onto a microcontroller.

The verbs are here: `inspect_model`, `plan_front`, `quantize`, `load_build`, `evaluate`, `emulate`, `verify`,
`check_budgets` and `export_build`, and what plans are made of. They are loaded when first used, so that
`import mcukit` costs nothing.
"""

from __future__ import annotations

__all__ = [
    "BudgetCheck",
    "Budgets",
    "Build",
    "Export",
    "Halo",
    "McukitError",
    "Plan",
    "PlanFront",
    "PlanRequest",
    "Preprocessing",
    "QuantizeOptions",
    "Stage",
    "__version__",
    "check_budgets",
    "choose_plan",
    "emulate",
    "evaluate",
    "export_build",
    "inspect_model",
    "load_build",
    "load_inputs",
    "load_plan",
    "plan_front",
    "quantize",
    "verify",
]

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcukit.budgets import Budgets
    from mcukit.calibration.data import load_inputs
    from mcukit.calibration.preprocessing import Preprocessing
    from mcukit.errors import McukitError
    from mcukit.planning.choose import PlanRequest, choose_plan
    from mcukit.planning.plan import Halo, Plan, Stage
    from mcukit.planning.plan_file import load_plan
    from mcukit.workflow.build import Build, load_build
    from mcukit.workflow.check import BudgetCheck, check_budgets
    from mcukit.workflow.emulate import emulate
    from mcukit.workflow.evaluate import evaluate
    from mcukit.workflow.export import Export, export_build
    from mcukit.workflow.inspect import inspect_model
    from mcukit.workflow.plans import PlanFront, plan_front
    from mcukit.workflow.quantize import QuantizeOptions, quantize
    from mcukit.workflow.verify import verify

__version__ = "0.1.0"

_MODULES = {
    "BudgetCheck": "mcukit.workflow.check",
    "Budgets": "mcukit.budgets",
    "Build": "mcukit.workflow.build",
    "Export": "mcukit.workflow.export",
    "Halo": "mcukit.planning.plan",
    "McukitError": "mcukit.errors",
    "Plan": "mcukit.planning.plan",
    "PlanFront": "mcukit.workflow.plans",
    "PlanRequest": "mcukit.planning.choose",
    "Preprocessing": "mcukit.calibration.preprocessing",
    "QuantizeOptions": "mcukit.workflow.quantize",
    "Stage": "mcukit.planning.plan",
    "check_budgets": "mcukit.workflow.check",
    "choose_plan": "mcukit.planning.choose",
    "emulate": "mcukit.workflow.emulate",
    "evaluate": "mcukit.workflow.evaluate",
    "export_build": "mcukit.workflow.export",
    "inspect_model": "mcukit.workflow.inspect",
    "load_build": "mcukit.workflow.build",
    "load_inputs": "mcukit.calibration.data",
    "load_plan": "mcukit.planning.plan_file",
    "plan_front": "mcukit.workflow.plans",
    "quantize": "mcukit.workflow.quantize",
    "verify": "mcukit.workflow.verify",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'mcukit' has no attribute '{name}'")
    return getattr(importlib.import_module(_MODULES[name]), name)

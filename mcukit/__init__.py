# SPDX-License-Identifier: Apache-2.0
"""mcukit brings a trained CNN onto a microcontroller.

The verbs are here: `inspect_model`, `plan_front`, `quantize`, `load_build`, `evaluate`, `emulate`, `verify`,
`check_budgets` and `export_build`, for boards `flash`, `benchmark` and `compare`, and what plans are made of. They are
loaded when first used, so that `import mcukit` costs nothing.
"""

from __future__ import annotations

__all__ = [
    "BenchResult",
    "BudgetCheck",
    "Budgets",
    "Build",
    "Comparison",
    "Export",
    "Flashed",
    "Halo",
    "McukitError",
    "Plan",
    "PlanFront",
    "PlanRequest",
    "Preprocessing",
    "QuantizeOptions",
    "Stage",
    "__version__",
    "benchmark",
    "check_budgets",
    "choose_plan",
    "compare",
    "emulate",
    "evaluate",
    "export_build",
    "flash",
    "inspect_model",
    "load_bench",
    "load_build",
    "load_inputs",
    "load_plan",
    "plan_front",
    "quantize",
    "save_bench",
    "verify",
]

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcukit.bench.compare import Comparison, compare
    from mcukit.bench.result import BenchResult
    from mcukit.bench.result_file import load_bench, save_bench
    from mcukit.budgets import Budgets
    from mcukit.calibration.data import load_inputs
    from mcukit.calibration.preprocessing import Preprocessing
    from mcukit.errors import McukitError
    from mcukit.planning.choose import PlanRequest, choose_plan
    from mcukit.planning.plan import Halo, Plan, Stage
    from mcukit.planning.plan_file import load_plan
    from mcukit.workflow.benchmark import benchmark
    from mcukit.workflow.build import Build, load_build
    from mcukit.workflow.check import BudgetCheck, check_budgets
    from mcukit.workflow.emulate import emulate
    from mcukit.workflow.evaluate import evaluate
    from mcukit.workflow.export import Export, export_build
    from mcukit.workflow.flash import Flashed, flash
    from mcukit.workflow.inspect import inspect_model
    from mcukit.workflow.plans import PlanFront, plan_front
    from mcukit.workflow.quantize import QuantizeOptions, quantize
    from mcukit.workflow.verify import verify

__version__ = "0.1.0"

_MODULES = {
    "BenchResult": "mcukit.bench.result",
    "BudgetCheck": "mcukit.workflow.check",
    "Budgets": "mcukit.budgets",
    "Build": "mcukit.workflow.build",
    "Comparison": "mcukit.bench.compare",
    "Export": "mcukit.workflow.export",
    "Flashed": "mcukit.workflow.flash",
    "Halo": "mcukit.planning.plan",
    "McukitError": "mcukit.errors",
    "Plan": "mcukit.planning.plan",
    "PlanFront": "mcukit.workflow.plans",
    "PlanRequest": "mcukit.planning.choose",
    "Preprocessing": "mcukit.calibration.preprocessing",
    "QuantizeOptions": "mcukit.workflow.quantize",
    "Stage": "mcukit.planning.plan",
    "benchmark": "mcukit.workflow.benchmark",
    "check_budgets": "mcukit.workflow.check",
    "choose_plan": "mcukit.planning.choose",
    "compare": "mcukit.bench.compare",
    "emulate": "mcukit.workflow.emulate",
    "evaluate": "mcukit.workflow.evaluate",
    "export_build": "mcukit.workflow.export",
    "flash": "mcukit.workflow.flash",
    "inspect_model": "mcukit.workflow.inspect",
    "load_bench": "mcukit.bench.result_file",
    "load_build": "mcukit.workflow.build",
    "load_inputs": "mcukit.calibration.data",
    "load_plan": "mcukit.planning.plan_file",
    "plan_front": "mcukit.workflow.plans",
    "quantize": "mcukit.workflow.quantize",
    "save_bench": "mcukit.bench.result_file",
    "verify": "mcukit.workflow.verify",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'mcukit' has no attribute '{name}'")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

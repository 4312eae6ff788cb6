# SPDX-License-Identifier: Apache-2.0
"""Random networks under random plans: their C computes the bytes of the reference, in no memory but what is planned."""

from __future__ import annotations

import tempfile
from itertools import product
from pathlib import Path
from random import Random

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import Plan
from mcukit.planning.planner import plan_of
from mcukit.quantized.integer import IntegerModel
from mcukit.quantized.kernel_sets import KernelSet
from tests.planning.batch import Job, require_all_right
from tests.planning.random_networks import random_inputs, random_network, random_stages

BATCH = 24
BATCHES = 10

seeds = st.lists(st.integers(0, 2**32 - 1), min_size=BATCH, max_size=BATCH, unique=True)


def job_of(seed: int) -> Job:
    """The case of a seed; its title says all that is needed to see what it is."""
    generator = Random(seed)
    model = random_network(generator)
    flow = Dataflow(model)
    stages, pushed = random_stages(flow, generator)
    plan = plan_of(flow, stages, pushed=pushed)
    return Job(f"job_of({seed}):\n{described(model, plan)}", model, plan, random_inputs(model, generator))


def described(model: IntegerModel, plan: Plan) -> str:
    """The network and the plan, one layer or stage a line."""
    graph = model.graph
    lines = [f"  input {graph.tensors[graph.inputs[0]].shape}"]
    for node in graph.nodes:
        operands = ", ".join(f"{name} {graph.tensors[name].shape}" for name in node.inputs)
        lines.append(f"  {node.output} {graph.tensors[node.output].shape} = {node.operator}({operands})")
    lines.append(f"  outputs {', '.join(graph.outputs)}")
    lines += [f"  kernels: {model.kernels}"]
    return "\n".join([*lines, *(f"  {stage}" for stage in plan.stages), f"  pushed: {plan.pushed}"])


def test_random_networks_under_random_plans() -> None:
    tried: set[int] = set()
    schedules: set[tuple[str, KernelSet]] = set()

    # Every example is a case of its own already, that of a seed: there is nothing to make smaller.
    @settings(
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=BATCHES,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(seeds)
    def run(batch: list[int]) -> None:
        jobs = [job_of(seed) for seed in batch]
        with tempfile.TemporaryDirectory() as folder:
            require_all_right(jobs, Path(folder))
        tried.update(batch)
        schedules.update((stage.schedule, job.model.kernels) for job in jobs for stage in job.plan.stages)
        schedules.update(("pushed", job.model.kernels) for job in jobs if job.plan.pushed)

    run()
    assert len(tried) >= 200
    assert schedules == set(product(("layers", "stream", "strips", "patches", "pushed"), KernelSet))

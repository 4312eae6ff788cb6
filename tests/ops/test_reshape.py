# SPDX-License-Identifier: Apache-2.0
"""Reshapes, which are another look at the same bytes."""

from __future__ import annotations

import pytest

from mcukit.emulation.reference import run_reference
from mcukit.errors import McukitError
from mcukit.graph.graph import Graph, Node, Shape, Tensor
from mcukit.ops.concat import Concat
from mcukit.ops.reshape import Reshape
from tests.ops.harness import Case, compare, quantize_case, run_c, run_micro

CASES = (
    Case(Reshape((1, 60)), maps=((1, 4, 5, 3),)),
    Case(Reshape((1, 5, 4, 3)), maps=((1, 60),)),
    Case(Reshape((1, 3, 2, 10)), maps=((1, 5, 4, 3),)),
    Case(Reshape((1, 6, 2)), maps=((1, 3, 1, 4),)),
    Case(Reshape((1, 1, 1, 9)), maps=((1, 9),)),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_executor_computes_the_same(case: Case) -> None:
    graph = between_kernels(case)
    model, inputs = quantize_case(case, graph)
    expected = run_reference(model, inputs, keep_maps=True).maps
    compare(case, "C", expected, run_c(model, inputs, "host"))
    compare(case, "TFLM", expected, run_micro(model, inputs))


def between_kernels(case: Case) -> Graph:
    """The reshape between two operators that have kernels; the second reads its output twice."""
    source = Tensor("input", case.maps[0])
    pool = Tensor("pool", source.shape)
    reshaped = Tensor("reshaped", case.operator.output_shape([pool]))
    doubled = Tensor("doubled", Concat().output_shape([reshaped, reshaped]))
    nodes = (
        Node("pool", Concat(), ("input",), "pool"),
        Node("reshaped", case.operator, ("pool",), "reshaped"),
        Node("doubled", Concat(), ("reshaped", "reshaped"), "doubled"),
    )
    return Graph("probe", {t.name: t for t in (source, pool, reshaped, doubled)}, nodes, ("input",), ("doubled",))


def test_rows_are_those_that_hold_the_bytes() -> None:
    reshape, source = Reshape((1, 3, 2, 10)), [Tensor("map", (1, 5, 4, 3))]
    assert [reshape.input_rows(row, row + 1, source, 0) for row in range(3)] == [(0, 2), (1, 4), (3, 5)]


@pytest.mark.parametrize("shape", [(1, 61), (2, 30), (60,), (1, 1, 1, 1, 60), (1, -1)])
def test_impossible_shapes_are_refused(shape: Shape) -> None:
    with pytest.raises(McukitError, match="can't be seen as"):
        Reshape(shape).output_shape([Tensor("map", (1, 60))])

# SPDX-License-Identifier: Apache-2.0
"""Finds stages: the cheapest that fit a budget, those of the smallest arena, and all that are worth a choice."""

from __future__ import annotations

__all__ = ["FoundPlan", "PlanSearch", "default_shapes"]

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from operator import add

from mcukit.planning.candidates import LAYER_BY_LAYER, STREAM, Candidate, Candidates, Shape
from mcukit.planning.costs import CostTable
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.plan import Halo, Plan, Stage
from mcukit.planning.planner import plan_of
from mcukit.planning.schedule import partition
from mcukit.planning.tiles import redundant_macs

Path = tuple[Candidate, ...]

_TRIES = 8
"""How often the search goes on with a smaller budget when stages that fit alone don't fit together."""


@dataclass(frozen=True)
class FoundPlan:
    """A plan and what it costs.

    instructions: estimated from the cost table. macs: with all that is computed again; macs_redundant: only that.
    bound: no plan of stages of the shapes that were searched costs fewer instructions under the budget.
    optimal: whether this one costs no more than the bound.
    """

    plan: Plan
    instructions: int
    macs: int
    macs_redundant: int
    bound: int

    @property
    def optimal(self) -> bool:
        return self.instructions <= self.bound


def default_shapes(
    tiles: Sequence[tuple[int, int]] = ((2, 2), (3, 3), (4, 4)), strips: Sequence[int] = (2, 3, 4, 6)
) -> tuple[Shape, ...]:
    """Layers, streams, strips and the usual grids of patches."""
    return (
        LAYER_BY_LAYER,
        STREAM,
        *(Shape(1, columns, Halo.KEPT) for columns in strips),
        *(Shape(rows, columns, Halo.RECOMPUTED) for rows, columns in tiles),
    )


class PlanSearch:
    """Searches the cuts of one network into stages of given shapes.

    Stages are edges of a graph whose nodes are the cuts between layers. The cheapest path whose stages all fit is
    found by a lazy shortest-path search (Dellin and Srinivasa, "A Unifying Formalism for Shortest Path Problems with
    Expensive Edge Evaluations", 2016): what a stage needs is worked out only when the best path so far uses it. Within
    the shapes this is exact, as far as a stage that fits alone fits among the others; where it does not, the search
    goes on with a smaller budget, and the result says that it may not be the best.
    """

    def __init__(
        self,
        flow: Dataflow,
        costs: CostTable,
        shapes: Sequence[Shape],
        *,
        pushed: bool = False,
        first: Sequence[Shape] | None = None,
        two_forms: bool = False,
    ) -> None:
        """pushed: whether the input's rows are pushed. first: what the first stage may be; by default any shape.

        two_forms: whether tiles must be such that each can have a precision of its own.
        """
        self._first = tuple(shapes if first is None else first)
        self._flow = flow
        self._candidates = Candidates(flow, costs, pushed, two_forms=two_forms)
        self._shapes = tuple(shapes)
        self._edges = self._all_edges()
        self._plans: dict[Path, Plan] = {}
        self._tried_smallest = False

    def cheapest(self, budget: int) -> FoundPlan | None:
        """The plan of fewest instructions that was found whose arena fits; None if none is known."""
        self._try_cheapest(budget)
        if not self._fitting(budget):
            self._try_smallest()
        fitting = self._fitting(budget)
        if not fitting:
            return None
        found = self._found(min(fitting, key=self._cost), budget)
        if found.optimal or self._tried_smallest:
            return found
        # The bound may be out of reach; but what needs least memory is not to be cheaper than what this gives.
        self._try_smallest()
        return self._found(min(self._fitting(budget), key=self._cost), budget)

    def smallest(self) -> FoundPlan | None:
        """The plan of the smallest arena that was found, and among such the cheapest."""
        self._try_smallest()
        if not self._plans:
            return None
        return self.cheapest(min(plan.arena_bytes for plan in self._plans.values()))

    def _try_cheapest(self, budget: int) -> None:
        """Plans cheapest paths of stages that fit alone, until nothing cheaper than what fits together can come.

        First all stages have to be smaller by what was too much, then the largest one is left out, again and again.
        """
        limit = budget
        for _ in range(_TRIES):
            path = self._cheaper_path(budget, limit, ())
            if path is None or self._plan(path).arena_bytes <= budget:
                break
            limit -= self._plan(path).arena_bytes - budget
        refused: set[Candidate] = set()
        for _ in range(_TRIES):
            path = self._cheaper_path(budget, budget, refused)
            if path is None or self._plan(path).arena_bytes <= budget:
                break
            refused.add(max(path, key=lambda edge: (edge.last - edge.first > 1, self._candidates.placed(edge))))

    def _cheaper_path(self, budget: int, limit: int, refused: Container[Candidate]) -> Path | None:
        """The cheapest path whose stages each fit `limit`, if it is cheaper than all plans known to fit `budget`."""
        path = self._cheapest_path(limit, surely=True, refused=refused)
        known = min((self._cost(fitting) for fitting in self._fitting(budget)), default=None)
        return None if path is None or (known is not None and self._cost(path) >= known) else path

    def _try_smallest(self) -> None:
        """Plans the stages that need least alone. Together they may need more: those without tiles are tried too."""
        if not self._tried_smallest:
            for tiled in (True, False):
                path = self._smallest_path(tiled=tiled)
                if path is not None:
                    self._plan(path)
            self._tried_smallest = True

    def _fitting(self, budget: int) -> list[Path]:
        return [path for path, plan in self._plans.items() if plan.arena_bytes <= budget]

    def _cost(self, path: Path) -> tuple[int, int]:
        """Instructions; of equals the smaller arena."""
        return sum(self._candidates.instructions(edge) for edge in path), self._plan(path).arena_bytes

    def front(self, step: float = 0.95) -> tuple[FoundPlan, ...]:
        """Plans of which none is both smaller and cheaper than another, from the cheapest to the smallest.

        step: how much smaller each arena is at most, as a factor, than the one before it.
        """
        smallest = self.smallest()
        if smallest is None:
            return ()
        found: list[FoundPlan] = []
        budget = 1 << 40
        while budget > smallest.plan.arena_bytes:
            plan = self.cheapest(budget)
            if plan is None:
                break
            if plan.plan.arena_bytes > smallest.plan.arena_bytes:
                found.append(plan)
            budget = min(plan.plan.arena_bytes - 1, int(plan.plan.arena_bytes * step))
        # Such steps may pass over a plan that is as cheap and smaller.
        plans = [*found, smallest]
        return tuple(
            plan
            for plan, smaller in zip(plans, [*plans[1:], None], strict=True)
            if smaller is None or plan.instructions < smaller.instructions
        )

    def _all_edges(self) -> tuple[Candidate, ...]:
        """All stages, by last layer.

        One layer alone runs layer by layer; tiles begin at the input, as in MCUNetV2 and QuantMCU. A model with
        branches prescribes its first stage.
        """
        edges = []
        prescribed = self._candidates.prescribed
        begin = 0 if prescribed is None else prescribed.last
        for last in range(1, len(self._flow.layers) + 1):
            if prescribed is not None and prescribed.last == last and self._candidates.is_possible(prescribed):
                edges.append(prescribed)
            for first in range(begin, last):
                alone = last - first == 1
                for shape in self._shapes:
                    if shape == LAYER_BY_LAYER:
                        useful = alone
                    elif shape == STREAM:
                        useful = not alone or (self._candidates.pushed and first == 0)
                    else:
                        useful = first == 0
                    candidate = Candidate(first, last, shape)
                    if first == 0 and shape not in self._first:
                        continue
                    if useful and self._candidates.is_possible(candidate):
                        edges.append(candidate)
        return tuple(edges)

    def _cheapest_path(self, budget: int, *, surely: bool, refused: Container[Candidate] = ()) -> Path | None:
        """Stages of least cost that each fit alone; not surely: that no bound forbids."""
        candidates = self._candidates
        weights: list[int | None] = [
            None if edge in refused or candidates.is_worse_than_bound(edge, budget) else candidates.instructions(edge)
            for edge in self._edges
        ]
        while True:
            path = self._shortest(weights, add)
            misfits = [edge for edge in path or () if not candidates.fits(self._edges[edge], budget, surely=surely)]
            if not misfits:
                return None if path is None else tuple(self._edges[edge] for edge in path)
            for edge in misfits:
                weights[edge] = None

    def _smallest_path(self, *, tiled: bool) -> Path | None:
        """Stages whose largest memory is least. tiled: whether they may be in tiles."""
        candidates = self._candidates
        # The quick answers first: only stages of the best path so far are looked at more closely.
        steps = (candidates.tile_bound, candidates.low, candidates.placed)
        asked = [0] * len(self._edges)
        weights: list[int | None] = [
            None if edge.shape.tiled and not tiled else candidates.bound(edge) for edge in self._edges
        ]
        while True:
            path = self._shortest(weights, max)
            if path is None or all(asked[edge] == len(steps) for edge in path):
                return None if path is None else tuple(self._edges[edge] for edge in path)
            least = min(asked[edge] for edge in path)
            for edge in path:
                if asked[edge] == least:
                    weights[edge] = max(weights[edge] or 0, steps[least](self._edges[edge]))
                    asked[edge] += 1

    def _shortest(self, weights: Sequence[int | None], join: Callable[[int, int], int]) -> list[int] | None:
        """The edges of the path from the first cut to the last whose joined weights are least."""
        count = len(self._flow.layers)
        best: list[int | None] = [0, *(None for _ in range(count))]
        by: list[int] = [-1] * (count + 1)
        # Edges stand in the order of their ends: whatever leads to a cut comes before what starts there.
        for edge, ((first, last, _), weight) in enumerate(zip(self._edges, weights, strict=True)):
            before = best[first]
            if weight is None or before is None:
                continue
            total, known = join(before, weight), best[last]
            if known is None or total < known:
                best[last], by[last] = total, edge
        if best[count] is None:
            return None
        path: list[int] = []
        while count:
            path.append(by[count])
            count = self._edges[by[count]].first
        return path[::-1]

    def _plan(self, path: Path) -> Plan:
        """Single layers that follow each other are one stage. Every plan is made once and remembered."""
        if path not in self._plans:
            stages: list[Stage] = []
            apart = 0 if self._candidates.prescribed is None else 1
            for edge in path:
                stage = self._candidates.stage(edge)
                if len(stages) > apart and stage.schedule == stages[-1].schedule == "layers":
                    stages[-1] = replace(stages[-1], layers=stages[-1].layers + stage.layers)
                else:
                    stages.append(stage)
            self._plans[path] = plan_of(self._flow, stages, pushed=self._candidates.pushed)
        return self._plans[path]

    def _found(self, path: Path, budget: int) -> FoundPlan:
        plan, cost = self._plan(path), self._cost(path)[0]
        best = self._cheapest_path(budget, surely=False)
        bound = sum(self._candidates.instructions(edge) for edge in best) if best else cost
        needed = sum(self._flow.macs)
        tiles = partition(self._flow, plan.stages, plan.pushed)
        redundant = sum(redundant_macs(self._flow, stage) for stage in tiles)
        return FoundPlan(plan, cost, needed + redundant, redundant, bound)

# SPDX-License-Identifier: Apache-2.0
"""What layers cost on a target, in instructions, estimated without running them.

The tables in cost_tables/ hold how many instructions a unit of each kernel's work takes, fitted to exact counts of
the emulator by benchmarks/kernels.py. Estimates are for maps held whole; a ring of rows adds a division for each
row that wraps.
"""

from __future__ import annotations

__all__ = ["DEFAULT_TARGET", "CostTable", "KernelCost", "LayerCost", "list_cost_targets", "load_costs", "read_costs"]

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from operator import mul
from pathlib import Path
from types import MappingProxyType

from mcukit.errors import McukitError
from mcukit.graph.graph import Graph
from mcukit.graph.region import Region, whole_region
from mcukit.planning.feature_counting import Counter
from mcukit.planning.kernel_features import KERNEL_FEATURES
from mcukit.quantized.integer import Layer
from mcukit.toml_table import TomlTable, read_toml

DEFAULT_TARGET = "cortex-m4"
"""Where no board says which core it is."""

SCHEMA = 1

_TABLES = Path(__file__).resolve().parent / "cost_tables"
_LARGEST = 1e6


@dataclass(frozen=True)
class KernelCost:
    """What a kernel's work takes.

    coefficients: instructions for a unit of each of the kernel's features, in the order of KERNEL_FEATURES.
    shapes: how many measured shapes they were fitted to. mean_error, largest_error: of the fit over these, in percent.
    """

    coefficients: tuple[float, ...]
    shapes: int
    mean_error: float
    largest_error: float


@dataclass(frozen=True, eq=False)
class LayerCost:
    """The cost of one layer: all that a search asks again and again, prepared.

    counter: counts the work for a region of the layer's output. coefficients: instructions for a unit of each count.
    """

    counter: Counter
    coefficients: tuple[float, ...]

    def instructions(self, region: Region, calls: int = 1) -> int:
        """Estimated instructions for the pixels of `region` of the output, computed in `calls` kernel calls.

        The region must lie within the output; how the calls share its rows makes no difference. An empty region costs
        nothing.
        """
        if not region.pixels:
            return 0
        total: float = sum(map(mul, self.coefficients, self.counter(region, calls)))
        return round(total)


@dataclass(frozen=True, eq=False)
class CostTable:
    """The costs of all kernels on a target. compiler, emulator: what the counts belong to. kernels: by function."""

    target: str
    compiler: str
    emulator: str
    kernels: Mapping[str, KernelCost]

    def covers(self, layer: Layer) -> bool:
        """Whether the layer's cost was measured: its kernel has an entry, or it needs no kernel."""
        kernel = layer.kernel
        return kernel is None or kernel.function in self.kernels

    def for_layer(self, layer: Layer, graph: Graph) -> LayerCost:
        """The cost of a layer. Where its kernel has no entry, an instruction for each multiply-accumulate stands in."""
        kernel = layer.kernel
        if kernel is None:
            return LayerCost(_no_counts, ())
        cost = self.kernels.get(kernel.function)
        if cost is None:
            return _one_for_each_mac(layer, graph)
        return LayerCost(KERNEL_FEATURES[kernel.function].counter(layer, graph), cost.coefficients)

    def instructions(self, layer: Layer, graph: Graph, region: Region, calls: int = 1) -> int:
        """As LayerCost.instructions, for a single question: `for_layer` is quicker where there are more."""
        return self.for_layer(layer, graph).instructions(region, calls)


@cache
def load_costs(target: str = DEFAULT_TARGET) -> CostTable:
    """The table of a target that comes with mcukit. Raises McukitError "unknown-target" if there is none."""
    if target not in list_cost_targets():
        raise McukitError(
            "unknown-target",
            f"there is no table of costs for {target[:100]!r}",
            hint=f"choose one of {', '.join(list_cost_targets())}",
            exit_code=2,
        )
    return read_costs(_TABLES / f"{target}.toml")


def list_cost_targets() -> tuple[str, ...]:
    """The targets that `load_costs` knows, sorted."""
    return tuple(sorted(path.stem for path in _TABLES.glob("*.toml")))


def read_costs(path: Path) -> CostTable:
    """A table of costs from a file as benchmarks/kernels.py writes it.

    Raises McukitError "unreadable-file", or "invalid-file" with all that is wrong in it.
    """
    file = read_toml(path)
    file.integer("schema", SCHEMA, SCHEMA)
    target, compiler, emulator = file.text("target"), file.text("compiler"), file.text("emulator")
    entries = file.table("kernels")
    kernels = {name: _kernel_cost(entries.table(name), name) for name in KERNEL_FEATURES if entries.has(name)}
    entries.refuse_unknown()
    file.refuse_unknown()
    file.raise_problems()
    return CostTable(target, compiler, emulator, MappingProxyType(kernels))


def _kernel_cost(entry: TomlTable, function: str) -> KernelCost:
    shapes = entry.integer("shapes", 1, 1_000_000)
    mean_error, largest_error = _number(entry, "mean_error"), _number(entry, "largest_error")
    units = entry.table("instructions")
    coefficients = tuple(_number(units, name) for name in KERNEL_FEATURES[function].names)
    units.refuse_unknown()
    entry.refuse_unknown()
    return KernelCost(coefficients, shapes, mean_error, largest_error)


def _number(table: TomlTable, key: str) -> float:
    """A number from 0 to _LARGEST."""
    value = table.value(key)
    number = 0.0 if value is None else table.number(value, key)
    if number < 0 or number > _LARGEST:
        table.problem(key, f"{number:g} is not in the range 0 to {_LARGEST:g}")
    return number


def _no_counts(region: Region, calls: int) -> tuple[int, ...]:  # noqa: ARG001
    return ()


def _one_for_each_mac(layer: Layer, graph: Graph) -> LayerCost:
    output = graph.tensors[layer.output]
    macs = layer.node.operator.macs(graph.node_inputs(layer.node), output)

    def count(region: Region, calls: int) -> tuple[int, ...]:  # noqa: ARG001
        return (region.pixels,)

    return LayerCost(count, (macs / whole_region(output).pixels,))

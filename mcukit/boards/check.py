# SPDX-License-Identifier: Apache-2.0
"""What can't be true of a board, although each value in its file may stand there."""

from __future__ import annotations

__all__ = ["ADDRESSES", "check_core", "check_memory"]

from collections.abc import Collection
from itertools import combinations

from mcukit.boards.board import DEFAULT_RESERVE, Board
from mcukit.boards.cores import CORES
from mcukit.quantized.kernel_sets import KernelSet
from mcukit.toml_table import TomlTable

ADDRESSES = 1 << 32
"""Every core that there is has 32 bits of address."""


def check_core(board: Board, table: TomlTable) -> None:
    """Notes what the core can't have."""
    core = CORES.get(board.core)
    if core is None:
        return
    counters = [counter.value for counter in core.cycle_counters]
    checks: tuple[tuple[str, str, Collection[str]], ...] = (
        ("dsp", _toml(board.dsp), [_toml(value) for value in core.dsp]),
        ("fpu", board.fpu, core.fpus),
        ("cycle_counter", board.cycle_counter.value, counters),
    )
    for key, value, possible in checks:
        # A value that could not be read is a problem already.
        if value not in possible and not table.has_problem(key):
            table.problem(key, f"no {core.name} has {value!r}", f"write {' or '.join(possible)}, or another core")
    if board.kernels == KernelSet.DSP and not board.dsp and not table.has_problem("dsp"):
        table.problem("kernels", "the core has no DSP instructions", "write portable, or dsp = true if it has them")
    if board.kernels == KernelSet.MVE and not core.helium:
        table.problem("kernels", "the core has no Helium", f"write {'dsp' if board.dsp else 'portable'}")


def _toml(value: bool) -> str:
    return "true" if value else "false"


def check_memory(board: Board, table: TomlTable) -> None:
    """Notes regions that can't be, and placements in regions that aren't there or can't hold them."""
    # Values that are missing or of a wrong type would only make these checks repeat what is known.
    if all(region.name for region in board.memory) and not table.has_problem("placement"):
        _check_names(board, table)
    if table.has_problem("memory"):
        return
    for region in board.memory:
        if region.end > ADDRESSES:
            room = f"give it at most {ADDRESSES - region.address:,} bytes"
            table.problem("memory", f"{region.name} goes beyond the 32 bits of an address", room)
    for first, second in combinations(board.memory, 2):
        if first.name == second.name:
            table.problem("memory", f"two regions are called {first.name}", "give each a name of its own")
        if first.address < second.end and second.address < first.end:
            ranges = " and ".join(f"{r.address:#010x} to {r.end - 1:#010x}" for r in (first, second))
            table.problem("memory", f"{first.name} and {second.name} overlap", f"they have {ranges}")
    if not table.has_problem("memory", "placement", "platformio.linked"):
        _check_kinds(board, table)
    if not table.has_problem("memory", "placement"):
        _check_budgets(board, table)


def _uses(board: Board) -> tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]:
    """Keys that name regions, these regions, and of which kinds they may be."""
    placement = board.placement
    return (
        ("placement.arena", placement.arena, ("ram",)),
        ("placement.weights", placement.weights, ("ram", "flash")),
        ("placement.stack", (placement.stack,), ("ram",)),
        ("platformio.linked", board.platformio.linked if board.platformio else (), ("ram",)),
    )


def _check_names(board: Board, table: TomlTable) -> None:
    known = [region.name for region in board.memory]
    for key, names, _ in _uses(board):
        for name in names:
            if name not in known:
                table.problem(key, f"there is no region {name!r}", f"choose of {', '.join(known)}")
        if len(set(names)) < len(names):
            table.problem(key, "a region is named twice", "name each once, the fastest first")


def _check_kinds(board: Board, table: TomlTable) -> None:
    kinds = {region.name: region.kind for region in board.memory}
    for key, names, allowed in _uses(board):
        fitting = ", ".join(name for name, kind in kinds.items() if kind in allowed)
        hint = f"choose of {fitting}" if fitting else "add a region of RAM: [[memory]]"
        for name in names:
            if kinds[name] not in allowed:
                message = f"{name} is {kinds[name]}, but the {key.rpartition('.')[2]} must be in {allowed[0]}"
                table.problem(key, message, hint)


def _check_budgets(board: Board, table: TomlTable) -> None:
    kinds = [region.kind for region in board.weight_regions]
    if "flash" not in kinds:
        hint = "add the flash that the program is in: weights in RAM are copies of those"
        table.problem("placement.weights", "weights must be in flash too", hint)
    elif "ram" in kinds[kinds.index("flash") :]:
        hint = "put RAM before flash: it gets copies of weights that are read often"
        table.problem("placement.weights", "RAM behind flash is never used", hint)
    stack = board.region(board.placement.stack)
    if board.placement.reserve >= stack.bytes:
        hint = f"write reserve = and fewer bytes; where nothing is written it is {DEFAULT_RESERVE:,}"
        table.problem("placement.reserve", f"it takes all {stack.bytes} bytes of {stack.name}", hint)
    if not any(region.dma for region in board.arena_regions):
        table.problem("placement.arena", "DMA reaches none of these regions", "name one that may hold the input")
    elif board.platformio is not None and stack.name not in board.linked_regions:
        linked = ", ".join(board.linked_regions)
        message = f"{stack.name} is not where frameworks have stack and data, which is {linked}"
        table.problem("placement.stack", message, f"choose of {linked}, or put {stack.name} into platformio.linked")

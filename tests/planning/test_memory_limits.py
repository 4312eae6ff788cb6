# SPDX-License-Identifier: Apache-2.0
"""Plans give every buffer what it needs and not a row more, and the guards that say so notice every misstep."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mcukit.errors import McukitError
from mcukit.export.c_code import generate_c
from mcukit.export.names import file_stem
from mcukit.planning.check import check_plan
from mcukit.planning.dataflow import Dataflow
from mcukit.planning.layout import Layout
from mcukit.planning.lifetimes import BufferNeed, Cells
from mcukit.planning.plan import DEFAULT_REGION, Halo, Place, Plan, Stage
from mcukit.planning.planner import plan_of
from tests.planning.batch import Job, arena_end, complaints, place_of, require_all_right
from tests.planning.networks import NETWORKS, network_named
from tests.planning.test_schedules import pushable

GAP = 16
"""Bytes between buffers where none share memory; the sanitizer guards memory in pieces of eight."""

KINDS: dict[str, tuple[int, int, Halo]] = {
    "layers": (1, 1, Halo.RECOMPUTED),
    "stream": (1, 1, Halo.KEPT),
    "pushed": (1, 1, Halo.KEPT),
    "strips": (1, 3, Halo.KEPT),
    "patches": (2, 3, Halo.RECOMPUTED),
}


def job(name: str, kind: str) -> Job:
    """A network of NETWORKS in one stage."""
    model, inputs = network_named(name)
    flow = Dataflow(model)
    stage = Stage(tuple(layer.name for layer in flow.layers), *KINDS[kind])
    return Job(f"{name}, {kind}", model, plan_of(flow, (stage,), pushed=kind == "pushed"), inputs)


def fits(name: str, kind: str) -> bool:
    flow = Dataflow(network_named(name)[0])
    height, width, _ = flow.shape(flow.layers[-1].output)
    rows, columns, _ = KINDS[kind]
    return rows <= height and columns <= width and (kind != "pushed" or pushable(flow))


TABLE = tuple(pair for pair in itertools.product(NETWORKS, KINDS) if fits(*pair))


def with_places(job: Job, change: Callable[[BufferNeed, Place], Place]) -> Plan:
    """The job's plan with other places; views lie where their maps lie, and the arena ends with its last buffer."""
    maps, scratch = dict(job.plan.maps), dict(job.plan.scratch)
    for buffer in job.buffers:
        changed = change(buffer, place_of(job.plan, buffer))
        (scratch if buffer.scratch else maps).update(dict.fromkeys(buffer.names, changed))
    for view in job.flow.views:
        owner = maps[job.flow.owner(view)]
        maps[view] = replace(maps[view], offset=owner.offset, bytes=owner.bytes)
    plan = replace(job.plan, maps=maps, scratch=scratch)
    return replace(plan, arenas={DEFAULT_REGION: arena_end(plan)})


def apart(job: Job) -> Job:
    """The same schedule where no two buffers share memory, with a gap before and behind each."""
    offsets: dict[int, int] = {}
    end = GAP
    for buffer in job.buffers:
        offsets[id(buffer)] = end
        end = -(-(end + buffer.bytes) // GAP) * GAP + GAP
    plan = with_places(job, lambda buffer, place: replace(place, offset=offsets[id(buffer)]))
    return replace(job, title=f"{job.title}, apart", plan=plan)


@pytest.mark.parametrize("name", NETWORKS)
def test_buffers_are_enough_where_none_share_memory(name: str, tmp_path: Path) -> None:
    require_all_right([apart(job(name, kind)) for kind in KINDS if (name, kind) in TABLE], tmp_path)


def shifted(place: Place, distance: int) -> Callable[[str], str]:
    """Moves a buffer in the C, and nothing else that knows where it is."""

    def edit(text: str) -> str:
        def move(match: re.Match[str]) -> str:
            offset = int(match[1])
            return f"arena + {offset + distance if place.offset <= offset < place.end else offset}"

        edited = re.sub(r"arena \+ (\d+)", move, text)
        assert edited != text
        return edited

    return edit


def require_all_stopped(jobs: Sequence[Job], folder: Path, message: str) -> None:
    """Each of these must be stopped by a guard."""
    found = complaints(jobs, folder, name_lines=False)
    missed = [f"{job.title}: {text or 'nothing'}" for job, text in zip(jobs, found, strict=True) if message not in text]
    assert not missed, "not noticed:\n" + "\n".join(missed)


@pytest.mark.parametrize("kind", KINDS)
def test_a_byte_beside_any_buffer_is_out_of_bounds(kind: str, tmp_path: Path) -> None:
    right = apart(job("residual", kind))
    wrong = [
        replace(right, title=f"{'+'.join(buffer.names)} by {distance}", edit=shifted(place, distance))
        for buffer, place in ((each, place_of(right.plan, each)) for each in right.buffers)
        # Kernels use scratch as words, which must not lie anywhere.
        for distance in ((-4, 4) if buffer.scratch else (-1, 1))
    ]
    assert len(wrong) > 12
    require_all_stopped(wrong, tmp_path, "AddressSanitizer")


def shortened(job: Job, position: int, *, at_birth: bool) -> Callable[[int, Cells], Cells]:
    """Takes the call in which they are born, or in which they die, from the lives of a buffer's rows."""
    ticks = np.cumsum([0, *(call.last_row - call.first_row for call in job.calls)])
    starts, ends = np.array([-1, *ticks]), np.array([-1, *(ticks[1:] - 1), ticks[-1]])

    def life(index: int, cells: Cells) -> Cells:
        if index != position:
            return cells
        if at_birth:
            return replace(cells, born=ends[np.searchsorted(ends, cells.born)] + 1)
        return replace(cells, dies=starts[np.searchsorted(starts, cells.dies, side="right") - 1] - 1)

    return life


@pytest.mark.parametrize("kind", KINDS)
def test_every_call_of_a_life_is_needed(kind: str, tmp_path: Path) -> None:
    right = job("residual", kind)
    wrong = [
        replace(right, title=f"{'+'.join(buffer.names)}, {at_birth=}", life=shortened(right, number, at_birth=at_birth))
        for number, buffer in enumerate(right.buffers)
        for at_birth in (True, False)
    ]
    require_all_stopped(wrong, tmp_path, "exit code")


@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [
        (r"\.kernel_height = 3", ".kernel_height = 4"),
        (r"\.kernel_width = 3", ".kernel_width = 4"),
        (r"\.pad_left = 1", ".pad_left = 0"),
        (r"\.stride_x = 2", ".stride_x = 3"),
        (r"MK_RING_MAP\((arena \+ \d+), (\d+)", r"MK_RING_MAP(\1, 1 + \2"),
    ],
)
def test_a_window_that_reads_or_writes_too_much_is_noticed(pattern: str, replacement: str, tmp_path: Path) -> None:
    right = job("residual", "stream")

    def edit(text: str) -> str:
        edited = re.sub(pattern, replacement, text)
        assert edited != text
        return edited

    assert complaints([replace(right, edit=edit)], tmp_path) != [""]


def with_a_row_less(job: Job) -> Iterator[tuple[str, Plan]]:
    """The plan with each of its rings one row shorter."""
    layout = Layout(job.flow, job.tiles, job.plan)
    for ring in job.buffers:
        if ring.scratch or ring.names[0] in layout.whole or ring.rows == 1:
            continue

        def shorten(buffer: BufferNeed, place: Place, ring: BufferNeed = ring) -> Place:
            if buffer is not ring:
                return place
            return replace(place, rows=place.rows - 1, bytes=place.bytes // place.rows * (place.rows - 1))

        yield f"{'+'.join(ring.names)} of {ring.rows} rows", with_places(job, shorten)


def with_a_smaller_arena(job: Job) -> Iterator[tuple[str, Plan]]:
    """The plan with what lies at the arena's end one row further down; not if that is what fills the whole arena."""
    last = [buffer for buffer in job.buffers if place_of(job.plan, buffer).end > job.plan.arena_bytes - 4]

    def move(buffer: BufferNeed, place: Place) -> Place:
        row = -(-buffer.bytes // max(buffer.rows, 1) // 4) * 4
        return replace(place, offset=place.offset - min(row, place.offset)) if buffer in last else place

    plan = with_places(job, move)
    if plan.arena_bytes < job.plan.arena_bytes:
        yield f"{', '.join('+'.join(buffer.names) for buffer in last)} moved down", plan
    else:
        assert any(place_of(plan, buffer).offset == 0 for buffer in last)


@pytest.mark.parametrize("change", [with_a_row_less, with_a_smaller_arena])
def test_a_row_less_is_too_little(change: Callable[[Job], Iterator[tuple[str, Plan]]], tmp_path: Path) -> None:
    right = [job(*pair) for pair in TABLE]
    wrong = [
        replace(each, title=f"{each.title}, {title}", plan=plan, guarded=False)
        for each in right
        for title, plan in change(each)
    ]
    assert len(wrong) > 50
    for each in right:
        check_plan(each.flow, each.plan)
    refused = [conflicts(each) for each in wrong]
    assert [each.title for each, messages in zip(wrong, refused, strict=True) if not messages] == []
    # Where a row overwrites only what it is computed from, a kernel may have read that before. None promises it.
    needed = [each for each, messages in zip(wrong, refused, strict=True) if not only_overwrites_itself(messages)]
    assert len(needed) > 0.8 * len(wrong)
    found = zip(needed, complaints(needed, tmp_path, name_lines=False), strict=True)
    assert [each.title for each, text in found if not text] == []


def conflicts(job: Job) -> list[str]:
    """What the check has against a plan; nothing if it accepts it."""
    try:
        check_plan(job.flow, job.plan)
    except McukitError as error:
        return [problem.message for problem in error.problems if problem.code == "bad-plan"]
    return []


def only_overwrites_itself(messages: Sequence[str]) -> bool:
    return all("would overwrite" in message for message in messages)


@pytest.mark.parametrize("pair", TABLE, ids=", ".join)
def test_the_arena_is_what_its_buffers_take(pair: tuple[str, str]) -> None:
    each = job(*pair)
    declared = re.search(r"_ARENA_BYTES (\d+)", generate_c(each.model, each.plan)[f"{file_stem(each.model.name)}.h"])
    assert declared is not None
    ends = [place.end for place in (*each.plan.maps.values(), *each.plan.scratch.values())]
    assert int(declared[1]) == each.plan.arena_bytes == -(-max(ends) // 4) * 4

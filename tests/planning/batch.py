# SPDX-License-Identifier: Apache-2.0
"""Runs the C of many networks and plans in one program, under sanitizers, and compares every byte that they compute.

Kernels are compiled once; models are compiled several at a time, because most of what a small one takes would be
starting the compiler. Where a job is guarded, all of the arena but the rows that are in use is out of bounds (see
batch.c).
"""

from __future__ import annotations

__all__ = ["Job", "arena_end", "complaints", "place_of", "require_all_right"]

import functools
import os
import re
import struct
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mcukit.emulation.branches import wide_images
from mcukit.emulation.build import DSP_EMULATED, SANITIZE_FLAGS
from mcukit.emulation.reference import run_reference
from mcukit.emulation.targets import target_named
from mcukit.emulation.toolchain import compile_objects, find_tool
from mcukit.emulation.trace import TraceRecord, assemble_maps, read_trace
from mcukit.errors import McukitError
from mcukit.export.c_code import generate_c
from mcukit.planning.dataflow import INPUT, Dataflow
from mcukit.planning.lifetimes import BufferNeed, Cells, buffers_of
from mcukit.planning.plan import Place, Plan
from mcukit.planning.schedule import Call, partition, schedule
from mcukit.planning.tiles import StageTiles
from mcukit.quantized.integer import IntegerModel
from mcukit.quantized.packing import pack
from mcukit.resources import firmware_dir

_HERE = Path(__file__).parent
_RUNTIME = firmware_dir() / "mcukit_nn" / "src"
# Generated code is loops around kernel calls: optimizing it takes longer than running it.
_MODEL_FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-DMK_PROFILE", *SANITIZE_FLAGS, "-O0")

_SECONDS = 120
_TOGETHER = 12
"""Models in one file for the compiler."""

# What a model keeps to itself in its C file, and what it asserts: names that others have too.
_OWN_NAME = re.compile(
    r"^(?:MK_\w+ )?static [^=;(\[]*?\b(\w+)(?= =|[\[(;])|^MK_STATIC_ASSERT\(.*, (\w+)\);", re.MULTILINE
)


@dataclass(frozen=True, eq=False)
class Job:
    """A network under a plan, and N inputs for it: (N, height, width, channels) int8.

    guarded: whether memory that is not in use is out of bounds. edit: changes the model's C before it is compiled.
    life: changes what planning says of the buffer at a position in `buffers`.
    """

    title: str
    model: IntegerModel
    plan: Plan
    inputs: np.ndarray
    guarded: bool = True
    edit: Callable[[str], str] = str
    life: Callable[[int, Cells], Cells] = lambda _, cells: cells

    @functools.cached_property
    def flow(self) -> Dataflow:
        return Dataflow(self.model)

    @functools.cached_property
    def tiles(self) -> tuple[StageTiles, ...]:
        return partition(self.flow, self.plan.stages, self.plan.pushed)

    @functools.cached_property
    def calls(self) -> tuple[Call, ...]:
        return schedule(self.flow, self.tiles, self.plan.pushed)

    @functools.cached_property
    def buffers(self) -> tuple[BufferNeed, ...]:
        """What planning says that the calls need."""
        return buffers_of(self.flow, self.tiles, self.calls, self.plan.pushed)[0]


def require_all_right(jobs: Sequence[Job], folder: Path) -> None:
    """Fails with all complaints about these jobs."""
    wrong = [f"{job.title}: {text}" for job, text in zip(jobs, complaints(jobs, folder), strict=True) if text]
    assert not wrong, f"{len(wrong)} of {len(jobs)} go wrong:\n" + "\n\n".join(wrong)


def complaints(jobs: Sequence[Job], folder: Path, *, name_lines: bool = True) -> list[str]:
    """What goes wrong with each job, in words; nothing where every byte is right.

    name_lines: whether sanitizers name functions and lines, which takes them a tenth of a second for each report.
    folder: empty; what belongs to jobs that go wrong stays there, for the one at position k in files called model_k.
    """
    names = [f"model_{position}" for position in range(len(jobs))]
    for job, name in zip(jobs, names, strict=True):
        try:
            _write(job, name, folder)
        except Exception as error:
            error.add_note(f"C of {job.title}")
            raise
    groups = [names[first : first + _TOGETHER] for first in range(0, len(names), _TOGETHER)]
    found, objects = {}, []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for complaints_of_group, objects_of_group in pool.map(functools.partial(_compile, folder), groups):
            found |= complaints_of_group
            objects += objects_of_group
    built = [name for name, text in found.items() if not text]
    _link(built, objects, folder)
    found |= _run(built, folder, name_lines=name_lines)
    for job, name in zip(jobs, names, strict=True):
        found[name] = found[name] or "; ".join(_differences(job, name, folder))
        if not found[name]:
            _clear(folder, f"{name}[._]*")
    if not any(found.values()):
        _clear(folder, "*")
    return list(found.values())


def _clear(folder: Path, pattern: str) -> None:
    """Hundreds of models take hundreds of megabytes."""
    for path in folder.glob(pattern):
        path.unlink()


def arena_end(plan: Plan) -> int:
    """Where the last buffer ends, rounded up to whole words."""
    return -(-max(place.end for place in (*plan.maps.values(), *plan.scratch.values())) // 4) * 4


def place_of(plan: Plan, buffer: BufferNeed) -> Place:
    return (plan.scratch if buffer.scratch else plan.maps)[buffer.names[0]]


def _write(job: Job, name: str, folder: Path) -> None:
    model = replace(job.model, graph=replace(job.model.graph, name=name))
    for file, text in generate_c(model, job.plan).items():
        Path(folder, file).write_text(_with_own_names(job.edit(text), name) if file == f"{name}.c" else text)
    outputs = [
        (f"{name}_output{f'_{index}' if index else ''}", tensor.elements) for index, tensor in enumerate(model.outputs)
    ]
    # One file with all of the model, so that its static arena is within reach.
    lines = [f'#include "{name}.c"', f'#include "{name}_weights.c"', '#include "batch.h"']
    lines.append(f"static const batch_output {name}_all_outputs[] = {{")
    lines += [f"    {{ {function}, {size} }}," for function, size in outputs]
    lines += ["};", f"const batch_model batch_{name};", f"const batch_model batch_{name} = {{"]
    members = {
        "name": f'"{name}"',
        "arena": f"arena_of_{name}",
        "arena_bytes": f"sizeof arena_of_{name}",
        "input_bytes": f"{name.upper()}_INPUT_BYTES",
        "init": f"{name}_init",
        "outputs": f"{name}_all_outputs",
        "output_count": str(len(outputs)),
    }
    if job.plan.pushed:
        members |= {function: f"{name}_{function}" for function in ("push_row", "next_row")}
        members["row_bytes"] = f"{name.upper()}_INPUT_ROW_BYTES"
    else:
        members |= {function: f"{name}_{function}" for function in ("input", "invoke")}
    lines += [*(f"    .{member} = {value}," for member, value in members.items()), "};"]
    Path(folder, f"{name}_batch.c").write_text("\n".join(lines) + "\n")
    job.inputs.astype(np.int8, casting="no").tofile(folder / f"{name}.inputs")
    if job.guarded:
        states = [struct.pack(f"<I{2 * len(state)}I", len(state), *np.ravel(state)) for state in _states(job)]
        Path(folder, f"{name}.alive").write_bytes(struct.pack("<I", len(states)) + b"".join(states))


def _with_own_names(text: str, name: str) -> str:
    """A model's C with names that no other model in the same file has."""
    own = {static or asserted for static, asserted in _OWN_NAME.findall(text)}
    return re.sub(rf"(?<![\w.])({'|'.join(sorted(own))})\b", rf"\1_of_{name}", text)


def _states(job: Job) -> Iterator[list[tuple[int, int]]]:
    """The bytes of the arena that are in use: before, in every call, and after the last one."""
    cells = [job.life(position, buffer.cells) for position, buffer in enumerate(job.buffers)]
    offsets = [place_of(job.plan, buffer).offset for buffer in job.buffers]
    start = np.concatenate([offset + each.start for offset, each in zip(offsets, cells, strict=True)])
    end = np.concatenate([offset + each.end for offset, each in zip(offsets, cells, strict=True)])
    born = np.concatenate([each.born for each in cells])
    dies = np.concatenate([each.dies for each in cells])
    tick = 0
    spans = [(-1, -1)]
    for call in job.calls:
        spans.append((tick, tick + call.last_row - call.first_row - 1))
        tick += call.last_row - call.first_row
    for first, last in (*spans, (tick, tick)):
        alive = (born <= last) & (dies >= first)
        yield sorted(set(zip(start[alive].tolist(), end[alive].tolist(), strict=True)))


@functools.cache
def _runtime() -> tuple[Path, Path]:
    """The program around the models, compiled, and the kernels in an archive, of which linkers read what is called."""
    program, *kernels = compile_objects(
        [_HERE / "batch.c", *sorted(_RUNTIME.rglob("*.c"))],
        target_named("host"),
        includes=[_RUNTIME],
        defines=[DSP_EMULATED],
        extra_flags=SANITIZE_FLAGS,
    )
    archive = program.with_name(f"kernels-{os.getpid()}.a")
    subprocess.run([find_tool("ar"), "rcs", archive, *kernels], check=True)
    return program, archive


def _compile(folder: Path, names: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """What the compiler has against each of these models, and the objects of all others."""
    group = f"{names[0]}_group"
    Path(folder, f"{group}.c").write_text("".join(f'#include "{name}_batch.c"\n' for name in names))
    if not _compile_file(folder, group):
        return dict.fromkeys(names, ""), [f"{group}.o"]
    # Whose fault it is shows when each is on its own.
    found = {name: _compile_file(folder, f"{name}_batch") for name in names}
    return found, [f"{name}_batch.o" for name, text in found.items() if not text]


def _compile_file(folder: Path, stem: str) -> str:
    """What the compiler has against a file."""
    command = [str(find_tool("cc")), *_MODEL_FLAGS, f"-I{_RUNTIME}", f"-I{_HERE}", "-c", f"{stem}.c"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stderr


def _link(names: Sequence[str], objects: Sequence[str], folder: Path) -> None:
    lines = ['#include "batch.h"', *(f"extern const batch_model batch_{name};" for name in names)]
    lines.append("const batch_model *const batch_models[] = {")
    lines += [f"    &batch_{name}," for name in names]
    lines += ["};", f"const uint32_t batch_model_count = {len(names)};"]
    Path(folder, "batch_models.c").write_text("\n".join(lines) + "\n")
    command = [str(find_tool("cc")), *_MODEL_FLAGS, f"-I{_HERE}", "batch_models.c", *objects, *map(str, _runtime())]
    subprocess.run([*command, "-o", "batch"], cwd=folder, check=True)


def _run(names: Sequence[str], folder: Path, *, name_lines: bool) -> dict[str, str]:
    """Why models did not finish. A model that ends the program is left out and the others go on."""
    failures: dict[str, str] = {}
    first = 0
    while first < len(names):
        reason = _run_from(first, folder, name_lines=name_lines)
        if not reason:
            break
        while Path(folder, f"{names[first]}.done").exists():
            first += 1
        failures[names[first]] = reason
        first += 1
    return failures


def _run_from(first: int, folder: Path, *, name_lines: bool) -> str:
    """Runs models from the position `first` on; why the program did not get to its end."""
    try:
        done = subprocess.run(
            [folder / "batch", str(first)],
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            env={**os.environ, "ASAN_OPTIONS": f"detect_leaks=0:symbolize={int(name_lines)}"},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"still running after {_SECONDS} seconds"
    # Behind the sanitizer's summary comes a picture of its shadow memory.
    report = done.stderr.partition("Shadow bytes around")[0].strip()
    return f"exit code {done.returncode}: {report}" if done.returncode else ""


def _differences(job: Job, name: str, folder: Path) -> Iterator[str]:
    """What a model that ran to its end did otherwise than planned or computed otherwise than the reference."""
    arena_bytes = int(Path(folder, f"{name}.done").read_text())
    if not arena_bytes == job.plan.arena_bytes == arena_end(job.plan):
        yield f"the arena has {arena_bytes} bytes, planned are {job.plan.arena_bytes}, used {arena_end(job.plan)}"
    expected = run_reference(job.model, job.inputs, keep_maps=True)
    try:
        records = read_trace(folder / f"{name}.trace")
        yield from _wrong_steps(job, records)
        yield from _wrong_maps(job, expected.maps, records)
    except McukitError as error:
        yield str(error)
    found = np.fromfile(folder / f"{name}.outputs", np.int8)
    wanted = np.concatenate([values.reshape(len(values), -1) for values in expected.outputs], axis=1)
    if found.size != wanted.size:
        yield f"{found.size} bytes of outputs instead of {wanted.size}"
    elif (wrong := np.flatnonzero(found != wanted.ravel())).size:
        yield f"{wrong.size} of {found.size} bytes of the outputs are wrong, the first one at {wrong[0]}"


def _wrong_steps(job: Job, records: Sequence[TraceRecord]) -> Iterator[str]:
    """The C must do exactly the calls of the plan."""
    planned = []
    for image in range(len(job.inputs)):
        narrow = _narrow_tiles(job, image)
        for call in job.calls:
            if call.layer != INPUT:
                tiles = job.tiles[call.stage]
                region = tiles.regions[call.tile][call.layer - tiles.first]
                # A ring may be shorter than what one call computes, if nobody reads the rows that are gone then.
                first_row = max(call.first_row, call.last_row - job.plan.maps[job.flow.layers[call.layer].output].rows)
                form = len(job.flow.layers) if call.stage == 0 and call.tile in narrow else 0
                planned.append((call.layer + form, first_row, call.last_row, region.first_column, region.columns))
    done = [(r.layer, r.first_row, r.last_row, r.first_column, r.columns) for r in records]
    if done == planned:
        return
    pairs = enumerate(zip(done, planned, strict=False))
    step = next((step for step, (a, b) in pairs if a != b), min(len(done), len(planned)))
    wanted = planned[step] if step < len(planned) else "nothing"
    yield f"step {step} is {done[step] if step < len(done) else 'none'} instead of {wanted} (layer, rows, columns)"


def _narrow_tiles(job: Job, image: int) -> set[tuple[int, int]]:
    """The tiles of the first stage that take their narrow form for one of the inputs."""
    branches = job.model.branches
    if branches is None:
        return set()
    narrow = set()
    for tile, read in job.tiles[0].inputs.items():
        part = read[job.model.input.name]
        values = job.inputs[image : image + 1, part.first_row : part.last_row, part.first_column : part.last_column]
        if not wide_images(branches, tile, values)[0]:
            narrow.add(tile)
    return narrow


def _wrong_maps(job: Job, expected: dict[str, np.ndarray], records: Sequence[TraceRecord]) -> Iterator[str]:
    for (index, layer), traced in assemble_maps(records).items():
        output, form = job.model.steps[layer].output, job.model.steps[layer].output_form
        packed = pack(expected[output][index], form.bits)
        wanted = packed.reshape(traced.data.shape).view(np.uint8)
        wrong = traced.computed & (traced.data != wanted)
        if wrong.any():
            row = int(np.argwhere(wrong)[0][0])
            yield f"input {index}: {wrong.sum()} bytes of '{output}' are wrong, the first ones in row {row}"

# SPDX-License-Identifier: Apache-2.0
"""Kernels keep the contract of mcukit_nn.h: they compute single rows of tiles from as little input as these need.

Each row is a call of its own. Its input is a ring with just the rows and columns that `Operator.input_region` asks
for; all else, the scratch memory too, holds random bytes. Both maps lie in wider buffers, of which nothing but the
row of the output may change.
"""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mcukit.emulation.build import DSP_EMULATED
from mcukit.emulation.reference import run_reference
from mcukit.emulation.targets import target_named
from mcukit.emulation.toolchain import compile_objects, link
from mcukit.graph.region import Region
from mcukit.ops.add import Add
from mcukit.ops.conv2d import Conv2d
from mcukit.ops.depthwise_conv2d import DepthwiseConv2d
from mcukit.ops.fully_connected import FullyConnected
from mcukit.ops.window import Window
from mcukit.quantized.integer import ConstantArray, Kernel, MapForm, with_kernels
from mcukit.quantized.kernel_sets import KernelSet
from mcukit.quantized.packing import pack
from mcukit.resources import firmware_dir
from tests.ops import test_packed
from tests.ops.harness import Case, case_graph, quantize_case
from tests.ops.test_conv2d import conv
from tests.ops.test_depthwise_conv2d import depthwise
from tests.ops.test_packed import SAME3
from tests.ops.test_regions import AWKWARD, OF_EACH_OPERATOR, ONLY_FOR_FILTERS, cuts

TAILS = (
    *(conv(3, 4, channels, 10 - channels, Window((1, 1)), seed=channels) for channels in range(1, 10)),
    conv(3, 3, 32, 2, Window((1, 1))),
    *(depthwise(3, 4, channels, SAME3, seed=channels) for channels in (*range(1, 10), 24, 29)),
    *(conv(9, 11, 6, 4, window, groups=2) for window in ONLY_FOR_FILTERS),
    *(depthwise(9, 11, channels, ONLY_FOR_FILTERS[1], 8 // channels) for channels in (1, 4, 8)),
    Case(FullyConnected(), maps=((1, 5, 3, 7),), constants=((19, 105), (19,))),
)
"""Channels that fill words, and those that don't."""

PACKED = tuple(
    cell
    for number, case in enumerate((*TAILS, *test_packed.CASES))
    # Every mix of bits stands somewhere; all of them for each case would take minutes.
    for cell in test_packed.cells(case)[number % 4 :: 4]
)
BYTES = (*OF_EACH_OPERATOR, *AWKWARD)
WITH_DSP = tuple(
    case for case in (*BYTES, *TAILS) if isinstance(case.operator, Add | Conv2d | DepthwiseConv2d | FullyConnected)
)
CASES = (
    *((case, KernelSet.PORTABLE) for case in BYTES),
    *((case, KernelSet.DSP) for case in WITH_DSP),
    *((case, KernelSet.MVE) for case in WITH_DSP if not isinstance(case.operator, Add)),
    *zip(PACKED, itertools.cycle((KernelSet.PORTABLE, KernelSet.DSP))),
)
SOURCE = firmware_dir() / "mcukit_nn" / "src"
BESIDE = 5
"""Bytes in front of and behind each row of a tile."""


class Map(ctypes.Structure):
    """mk_map."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("row_bytes", ctypes.c_uint32),
        ("ring", ctypes.c_uint16),
        ("first_column", ctypes.c_uint16),
        ("columns", ctypes.c_uint16),
        ("height", ctypes.c_uint16),
        ("width", ctypes.c_uint16),
        ("channels", ctypes.c_uint16),
        ("bits", ctypes.c_uint16),
    )


@dataclass(frozen=True, eq=False)
class Probe:
    """A case's layer: its kernel, the maps that it reads and the one that it computes as (height, width, pixel bytes).

    needed: the part of each input map that a region of the output needs.
    """

    kernel: Kernel
    inputs: tuple[np.ndarray, ...]
    output: np.ndarray
    forms: tuple[MapForm, ...]
    output_form: MapForm
    needed: Callable[[Region], tuple[Region, ...]]


@dataclass(frozen=True, eq=False)
class Tile:
    """`rows` rows of some columns of a map in a buffer that is wider. buffer: (rows, bytes) of random content."""

    buffer: np.ndarray
    held: Map

    @classmethod
    def make(cls, form: MapForm, columns: tuple[int, int], rows: int, generator: np.random.Generator) -> Tile:
        row_bytes = (columns[1] - columns[0]) * form.pixel_bytes + 2 * BESIDE
        buffer = generator.integers(-128, 128, (rows, row_bytes)).astype(np.int8)
        first_byte = buffer.ctypes.data + BESIDE
        count = columns[1] - columns[0]
        sizes = form.height, form.width, form.channels, form.bits
        return cls(buffer, Map(first_byte, row_bytes, rows, columns[0], count, *sizes))

    def load(self, whole: np.ndarray, row: int) -> None:
        """Puts a row of the map to its place."""
        columns = slice(self.held.first_column, self.held.first_column + self.held.columns)
        self.buffer[row % self.held.ring, BESIDE:-BESIDE] = whole[row, columns].ravel()


def probe(case: Case, kernels: KernelSet) -> Probe:
    model, inputs = quantize_case(case, case_graph(case))
    model = with_kernels(model, kernels)
    maps = run_reference(model, inputs[:1], keep_maps=True).maps
    layer = next(layer for layer in model.layers if layer.output == "output")
    tensors = model.graph.node_inputs(layer.node)
    positions = [position for position, tensor in enumerate(tensors) if tensor.data is None]
    kernel = layer.kernel
    assert kernel is not None

    def needed(region: Region) -> tuple[Region, ...]:
        return tuple(case.operator.input_region(region, tensors, position) for position in positions)

    read = tuple(pack(maps[name][0], form.bits) for name, form in zip(layer.inputs, layer.forms, strict=True))
    computed = pack(maps[layer.output][0], layer.output_form.bits)
    return Probe(kernel, read, computed, layer.forms, layer.output_form, needed)


@pytest.fixture(scope="module")
def probes() -> tuple[Probe, ...]:
    return tuple(probe(case, kernels) for case, kernels in CASES)


@pytest.fixture(scope="module")
def library(probes: Sequence[Probe], tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """Functions call_0, call_1, ... for the probes in their order: (input maps, output map, row, scratch)."""
    folder = tmp_path_factory.mktemp("kernels")
    headers = sorted({f"{probe.kernel.function}.h" for probe in probes})
    lines = [f'#include "{header}"' for header in headers]
    for index, each in enumerate(probes):
        lines += caller(index, each)
    Path(folder, "calls.c").write_text("\n".join(lines) + "\n")
    sources, flags = [folder / "calls.c", *sorted(SOURCE.glob("*.c"))], ["-O1", "-fPIC"]
    host = target_named("host")
    objects = compile_objects(sources, host, includes=[SOURCE], defines=[DSP_EMULATED], extra_flags=flags)
    return ctypes.CDLL(str(link(objects, folder / "calls.so", host, extra_flags=["-shared"])))


def caller(index: int, each: Probe) -> Iterator[str]:
    """The C function that calls a kernel with its parameters and constants."""
    kernel, name = each.kernel, f"case_{index}"
    for array in kernel.constants:
        yield f"static const {array.c_type} {name}_{array.suffix}[] = {{{', '.join(map(str, array.values.ravel()))}}};"
    members = [
        f".{field.name} = {f'{name}_{field.value.suffix}' if isinstance(field.value, ConstantArray) else field.value}"
        for field in kernel.fields
    ]
    arguments = []
    if members:
        yield f"static const {kernel.function}_params {name}_params = {{{', '.join(members)}}};"
        arguments.append(f"&{name}_params")
    operands = [f"inputs[{position}]" for position in range(len(each.inputs))]
    for position, array, shape in kernel.constant_maps:
        sizes = ", ".join(map(str, shape))
        yield f"static const mk_map {name}_map = MK_WHOLE_MAP((int8_t *){name}_{array.suffix}, {sizes}, 8);"
        operands.insert(position, f"&{name}_map")
    arguments += ["inputs", str(len(operands))] if kernel.inputs_as_array else operands
    arguments += ["output", "row", "(uint16_t)(row + 1)"]
    arguments += ["scratch"] if kernel.scratch_bytes or kernel.takes_scratch else []
    yield f"void call_{index}(const mk_map *const *inputs, const mk_map *output, uint16_t row, void *scratch);"
    yield f"void call_{index}(const mk_map *const *inputs, const mk_map *output, uint16_t row, void *scratch)"
    yield f"{{ (void)scratch; {kernel.function}({', '.join(arguments)}); }}"


@pytest.mark.parametrize("index", range(len(CASES)), ids=[f"{case}-{kernels}" for case, kernels in CASES])
def test_a_row_of_a_tile_needs_no_more_than_its_region(
    index: int, probes: Sequence[Probe], library: ctypes.CDLL
) -> None:
    each, call = probes[index], getattr(library, f"call_{index}")
    call.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint16, ctypes.c_void_p)
    call.restype = None
    generator = np.random.default_rng(index)
    height, width, _ = each.output.shape
    # With no spare row the ring is as small as it may be; with one, a row too much that is read holds random bytes.
    for columns, spare in itertools.product(cuts(width), (0, 1)):
        output = Tile.make(each.output_form, columns, max(1, height // 2), generator)
        for row in range(height):
            expected = Tile(output.buffer.copy(), output.held)
            expected.load(each.output, row)
            compute_row(each, call, output, Region(row, row + 1, *columns), spare, generator)
            np.testing.assert_array_equal(output.buffer, expected.buffer, err_msg=f"row {row}, columns {columns}")


def compute_row(
    each: Probe, call: Callable[..., None], output: Tile, region: Region, spare: int, generator: np.random.Generator
) -> None:
    """Calls the kernel for one row of `output`; its inputs hold what that row needs and `spare` random rows."""
    tiles = []
    for whole, form, source in zip(each.inputs, each.forms, each.needed(region), strict=True):
        rows = max(1, source.rows + spare)
        tile = Tile.make(form, (source.first_column, source.last_column), rows, generator)
        for row in range(source.first_row, source.last_row):
            tile.load(whole, row)
        tiles.append(tile)
    before = [tile.buffer.copy() for tile in tiles]
    scratch = generator.integers(-128, 128, each.kernel.scratch_bytes + BESIDE).astype(np.int8)
    behind = scratch[each.kernel.scratch_bytes :].copy()
    pointers = (ctypes.POINTER(Map) * len(tiles))(*(ctypes.pointer(tile.held) for tile in tiles))
    working = scratch.ctypes.data if each.kernel.scratch_bytes else None
    call(pointers, ctypes.byref(output.held), region.first_row, working)
    np.testing.assert_array_equal(scratch[each.kernel.scratch_bytes :], behind)
    for tile, content in zip(tiles, before, strict=True):
        np.testing.assert_array_equal(tile.buffer, content)

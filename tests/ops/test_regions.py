# SPDX-License-Identifier: Apache-2.0
"""Parts of maps: computed alone from the parts of their inputs, they have the bytes that they have in the whole map."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mcukit.emulation.reference import run_reference
from mcukit.graph.graph import Tensor
from mcukit.graph.region import Region
from mcukit.ops.add import Add
from mcukit.ops.average_pool import AveragePool, AveragePoolInt8
from mcukit.ops.concat import Concat
from mcukit.ops.conv2d import Conv2d, Conv2dInt8
from mcukit.ops.depthwise_conv2d import DepthwiseConv2d, DepthwiseConv2dInt8
from mcukit.ops.filters import FilterArithmetic
from mcukit.ops.fully_connected import FullyConnected
from mcukit.ops.lookup import LookupInt8
from mcukit.ops.max_pool import MaxPool, MaxPoolInt8
from mcukit.ops.mean import Mean
from mcukit.ops.mul import Mul
from mcukit.ops.operator import Operator, load_operators
from mcukit.ops.pad import Pad, PadInt8
from mcukit.ops.reshape import Reshape, ReshapeInt8
from mcukit.ops.resize_nearest import ResizeNearest, ResizeNearestInt8
from mcukit.ops.sub import Sub
from mcukit.ops.window import Window
from mcukit.quantized.integer import IntegerOperator
from tests.ops import (
    test_add,
    test_average_pool,
    test_concat,
    test_conv2d,
    test_depthwise_conv2d,
    test_fully_connected,
    test_hard_sigmoid,
    test_hard_swish,
    test_leaky_relu,
    test_max_pool,
    test_mean,
    test_mul,
    test_pad,
    test_relu,
    test_requantize,
    test_resize_nearest,
    test_sigmoid,
    test_softmax,
    test_sub,
    test_tanh,
)
from tests.ops.harness import Case, case_graph, quantize_case
from tests.ops.test_conv2d import conv
from tests.ops.test_depthwise_conv2d import depthwise

OF_EACH_OPERATOR = tuple(
    case
    for module in (
        test_add, test_average_pool, test_concat, test_conv2d, test_depthwise_conv2d, test_fully_connected,
        test_hard_sigmoid, test_hard_swish, test_leaky_relu, test_max_pool, test_mean, test_mul, test_pad, test_relu,
        test_requantize, test_resize_nearest, test_sigmoid, test_softmax, test_sub, test_tanh,
    )
    for case in module.CASES
)  # fmt: skip

WINDOWS = (
    Window((3, 3), (1, 2), pads=(2, 0, 0, 2)),
    Window((5, 2), (2, 3), pads=(1, 1, 4, 0)),
    Window((1, 2), (3, 3)),
    Window((2, 1), (3, 2), pads=(1, 0, 1, 0)),
    Window((4, 5), (3, 1), pads=(0, 4, 3, 2)),
)
"""Strides larger and smaller than the kernel; the last one's rows and columns don't divide evenly."""

ONLY_FOR_FILTERS = (
    Window((3, 2), (2, 1), (2, 3), (3, 0, 1, 4)),
    Window((2, 3), (1, 3), (4, 1), (5, 6, 7, 5)),  # dilated, and rows and columns wholly in padding at every edge
    Window((1, 1), (2, 3), pads=(2, 4, 3, 1)),
)

AWKWARD = (
    *(conv(9, 11, 4, 6, window, groups=2) for window in (*WINDOWS, *ONLY_FOR_FILTERS)),
    *(depthwise(9, 11, 3, window, multiplier=2) for window in (*WINDOWS, *ONLY_FOR_FILTERS)),
    *(Case(MaxPool(window), maps=((1, 9, 11, 3),)) for window in WINDOWS),
    *(Case(AveragePool(window), maps=((1, 9, 11, 3),)) for window in WINDOWS),
    # Operands that broadcast along an axis in which the output has one row or column, too.
    Case(Add(), maps=((1, 1, 6, 3),), constants=((1, 1, 6, 3),)),
    Case(Mul(), maps=((1, 5, 1, 3),), constants=((1, 1, 1, 3),)),
    Case(Sub(), maps=((1, 1, 6, 3),), constants=((1, 5, 1, 3),)),
    Case(Mul(), maps=((1, 4, 6, 3),), constants=((4, 1, 1),)),
    Case(Add(), maps=((1, 4, 6, 3),), constants=((6, 3),)),
)


def cuts(size: int) -> tuple[tuple[int, int], ...]:
    """Ranges of rows or columns: all, both ends, two parts that overlap, one in the middle."""
    middle = size // 2
    ranges = (0, size), (0, 1), (size - 1, size), (0, middle + 1), (middle, size), (size // 3, middle + 1)
    return tuple(dict.fromkeys(ranges))


def regions(height: int, width: int) -> Iterator[Region]:
    for rows, columns in itertools.product(cuts(height), cuts(width)):
        yield Region(*rows, *columns)
    for row in range(height):
        yield Region(row, row + 1, 0, width)
    for column in range(width):
        yield Region(0, height, column, column + 1)


def part(values: np.ndarray, region: Region) -> np.ndarray:
    return values[:, region.first_row : region.last_row, region.first_column : region.last_column]


def check_region(
    operator: IntegerOperator, whole: np.ndarray, maps: Sequence[np.ndarray], output: Region, sources: Sequence[Region]
) -> None:
    for values, source in zip(maps, sources, strict=True):
        assert 0 <= source.first_row <= source.last_row <= values.shape[1], source
        assert 0 <= source.first_column <= source.last_column <= values.shape[2], source
    held = [part(values, source) for values, source in zip(maps, sources, strict=True)]
    found = operator.crop(output, sources).evaluate(held)
    np.testing.assert_array_equal(part(whole, output), found, err_msg=f"{output} from {sources}", strict=True)


@pytest.mark.parametrize("case", [*OF_EACH_OPERATOR, *AWKWARD], ids=str)
def test_regions_have_the_bytes_of_the_whole(case: Case) -> None:
    model, inputs = quantize_case(case, case_graph(case))
    maps = run_reference(model, inputs, keep_maps=True).maps
    layer = next(layer for layer in model.layers if layer.node.operator == case.operator)
    tensors = model.graph.node_inputs(layer.node)
    positions = [position for position, tensor in enumerate(tensors) if tensor.data is None]
    held = [maps[tensors[position].name] for position in positions]
    whole = layer.operator.evaluate(held)
    for region in regions(*whole.shape[1:3]):
        sources = [layer.node.operator.input_region(region, tensors, position) for position in positions]
        check_region(layer.operator, whole, held, region, sources)


def test_no_operator_is_left_out() -> None:
    load_operators()

    def concrete(base: type[Operator]) -> set[type[Operator]]:
        below = {kind for child in base.__subclasses__() for kind in concrete(child)}
        return below if getattr(base, "__abstractmethods__", ()) else below | {base}

    shipped = {kind for kind in concrete(Operator) if kind.__module__.startswith("mcukit.")}
    assert shipped - {type(case.operator) for case in OF_EACH_OPERATOR} == {Reshape}


# Rows or columns [first, last) of the output, and of the input `index` that they need; None for none.
NEEDED = (
    (Conv2d(Window((3, 3), pads=(1, 1, 1, 1))), ((1, 5, 7, 2),), 0, 0, (0, 1), (0, 2)),
    (Conv2d(Window((3, 3), pads=(1, 1, 1, 1))), ((1, 5, 7, 2),), 0, 1, (6, 7), (5, 7)),
    (Conv2d(Window((3, 3), (2, 2))), ((1, 7, 9, 2),), 0, 1, (1, 3), (2, 7)),
    (Conv2d(Window((2, 2), pads=(3, 3, 3, 3))), ((1, 4, 4, 2),), 0, 0, (0, 2), None),
    (Conv2d(Window((2, 2), pads=(3, 3, 3, 3))), ((1, 4, 4, 2),), 0, 0, (1, 3), (0, 1)),
    (Conv2d(Window((2, 2), pads=(3, 3, 3, 3))), ((1, 4, 4, 2),), 0, 1, (7, 9), None),
    (DepthwiseConv2d(Window((3, 1), dilation=(2, 1), pads=(2, 0, 2, 0))), ((1, 6, 5, 2),), 0, 0, (1, 2), (0, 4)),
    (MaxPool(Window((2, 3), (2, 3))), ((1, 6, 9, 2),), 0, 1, (1, 2), (3, 6)),
    (AveragePool(Window((6, 9))), ((1, 6, 9, 2),), 0, 1, (0, 1), (0, 9)),
    (Pad((2, 1, 3, 0)), ((1, 4, 4, 1),), 0, 0, (0, 2), None),
    (Pad((2, 1, 3, 0)), ((1, 4, 4, 1),), 0, 0, (1, 4), (0, 2)),
    (Pad((2, 1, 3, 0)), ((1, 4, 4, 1),), 0, 0, (6, 9), None),
    (Pad((2, 1, 3, 0)), ((1, 4, 4, 1),), 0, 1, (0, 5), (0, 4)),
    (ResizeNearest((8, 3)), ((1, 4, 9, 1),), 0, 0, (3, 6), (1, 3)),
    (ResizeNearest((8, 3)), ((1, 4, 9, 1),), 0, 1, (1, 3), (3, 7)),
    (FullyConnected(), ((1, 5, 3, 7), (4, 105), (4,)), 0, 0, (0, 1), (0, 5)),
    (FullyConnected(), ((1, 5, 3, 7), (4, 105), (4,)), 0, 1, (0, 1), (0, 3)),
    (Mean(), ((1, 5, 3, 7),), 0, 0, (0, 1), (0, 5)),
    (Mean(keep_dims=False), ((1, 5, 3, 7),), 0, 1, (0, 1), (0, 3)),
    (Concat(), ((1, 5, 3, 7), (1, 5, 3, 2)), 1, 0, (2, 4), (2, 4)),
    (Concat(), ((1, 5), (1, 3)), 1, 1, (0, 1), (0, 1)),
    (Add(), ((1, 5, 3, 7), (1, 1, 1, 7)), 1, 0, (2, 4), (0, 1)),
    (Add(), ((1, 5, 3, 7), (1, 1, 1, 7)), 0, 0, (2, 4), (2, 4)),
    (Add(), ((1, 1, 3, 7), (1, 1, 3, 7)), 1, 0, (0, 1), (0, 1)),
    (Add(), ((1, 1, 3, 7), (1, 5, 3, 7)), 0, 0, (4, 5), (0, 1)),
    (Mul(), ((1, 4, 6, 3), (4, 1, 1)), 1, 0, (1, 3), (1, 3)),
    (Mul(), ((1, 4, 6, 3), (6, 3)), 1, 0, (1, 3), (0, 1)),
    (Mul(), ((1, 4, 6, 3), (6, 3)), 1, 1, (1, 3), (1, 3)),
    (Reshape((1, 3, 2, 10)), ((1, 5, 4, 3),), 0, 0, (1, 2), (1, 4)),
    (Reshape((1, 3, 2, 10)), ((1, 5, 4, 3),), 0, 1, (0, 1), (0, 4)),
    (Reshape((1, 60)), ((1, 5, 4, 3),), 0, 0, (0, 1), (0, 5)),
    (Reshape((1, 5, 4)), ((1, 1, 5, 4),), 0, 1, (2, 4), (2, 4)),
    (Reshape((1, 1, 1, 9)), ((1, 9),), 0, 1, (0, 1), (0, 1)),
)


@pytest.mark.parametrize(("operator", "shapes", "index", "axis", "output", "needed"), NEEDED)
def test_needed_rows_and_columns(
    operator: Operator,
    shapes: tuple[tuple[int, ...], ...],
    index: int,
    axis: int,
    output: tuple[int, int],
    needed: tuple[int, int] | None,
) -> None:
    is_map = [len(shape) == len(shapes[0]) for shape in shapes]
    tensors = [
        Tensor(str(position), shape, None if is_map[position] else np.zeros(shape, np.float32))
        for position, shape in enumerate(shapes)
    ]
    ask = operator.input_columns if axis else operator.input_rows
    first, last = ask(*output, tensors, index)
    assert (None if first == last else (first, last)) == needed
    nothing = ask(output[0], output[0], tensors, index)
    assert nothing[0] == nothing[1]


def test_a_needed_region_has_rows_and_columns_of_its_own() -> None:
    tensors = [Tensor("map", (1, 9, 11, 2))]
    found = Conv2d(Window((3, 1), (2, 3))).input_region(Region(1, 3, 2, 4), tensors, 0)
    assert found == Region(2, 7, 6, 10)


@st.composite
def windows(draw: st.DrawFn, *, dilated: bool) -> tuple[Window, tuple[int, int], tuple[int, int]]:
    """A window, the size of its input and that of its output; padding may be larger than the kernel."""
    size = draw(st.integers(1, 8)), draw(st.integers(1, 8))
    kernel = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    stride = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    dilation = (draw(st.integers(1, 3)), draw(st.integers(1, 3))) if dilated else (1, 1)
    pads = tuple(draw(st.integers(0, 5)) for _ in range(4))
    window = Window(kernel, stride, dilation, (pads[0], pads[1], pads[2], pads[3]))
    output = window.output_size(size[0], 0), window.output_size(size[1], 1)
    assume(min(output) >= 1)
    return window, size, output


@st.composite
def parts(draw: st.DrawFn, size: tuple[int, int]) -> Region:
    first_row, first_column = draw(st.integers(0, size[0] - 1)), draw(st.integers(0, size[1] - 1))
    last_row = draw(st.integers(first_row + 1, size[0]))
    return Region(first_row, last_row, first_column, draw(st.integers(first_column + 1, size[1])))


def arithmetic(generator: np.random.Generator, weights: tuple[int, ...], filters: int) -> FilterArithmetic:
    return FilterArithmetic(
        generator.integers(-127, 128, weights).astype(np.int8),
        generator.integers(-999, 999, filters),
        generator.integers(-999, 999, filters),
        generator.integers(1 << 30, 1 << 31, filters),
        generator.integers(-9, -5, filters),
        int(generator.integers(-128, 128)),
        int(generator.integers(-128, 128)),
        -128,
        127,
    )


@given(windows(dilated=True), st.data(), st.integers(0, 2**32 - 1))
def test_random_filters_on_random_regions(
    geometry: tuple[Window, tuple[int, int], tuple[int, int]], data: st.DataObject, seed: int
) -> None:
    window, size, output = geometry
    generator = np.random.default_rng(seed)
    values = generator.integers(-128, 128, (2, *size, 2)).astype(np.int8)
    region = data.draw(parts(output))
    source = Conv2d(window).input_region(region, [Tensor("map", (1, *size, 2))], 0)
    for operator in (
        Conv2dInt8(window, 2, (*output, 4), arithmetic(generator, (4, *window.kernel, 1), 4)),
        DepthwiseConv2dInt8(window, 2, (*output, 4), arithmetic(generator, (1, *window.kernel, 4), 4)),
    ):
        check_region(operator, operator.evaluate([values]), [values], region, [source])


@given(windows(dilated=False), st.data(), st.integers(0, 2**32 - 1))
def test_random_pools_on_random_regions(
    geometry: tuple[Window, tuple[int, int], tuple[int, int]], data: st.DataObject, seed: int
) -> None:
    window, size, output = geometry
    values = np.random.default_rng(seed).integers(-128, 128, (2, *size, 3)).astype(np.int8)
    region = data.draw(parts(output))
    source = MaxPool(window).input_region(region, [Tensor("map", (1, *size, 3))], 0)
    operators: list[IntegerOperator] = [MaxPoolInt8(window, (*output, 3), -100, 100)]
    rows, columns = ([window.input_range(y, y + 1, size[axis], axis) for y in range(output[axis])] for axis in (0, 1))
    if all(first < last for first, last in (*rows, *columns)):
        operators.append(AveragePoolInt8(window, (*output, 3), -100, 100))
    for operator in operators:
        check_region(operator, operator.evaluate([values]), [values], region, [source])


@given(windows(dilated=True), st.data())
def test_ranges_hold_every_tap_and_never_go_back(
    geometry: tuple[Window, tuple[int, int], tuple[int, int]], data: st.DataObject
) -> None:
    window, size, output = geometry
    region = data.draw(parts(output))
    for axis, (first, last) in enumerate(
        ((region.first_row, region.last_row), (region.first_column, region.last_column))
    ):
        taps = {
            y * window.stride[axis] - window.pads[axis] + k * window.dilation[axis]
            for y in range(first, last)
            for k in range(window.kernel[axis])
        }
        a, b = window.input_range(first, last, size[axis], axis)
        assert taps & set(range(size[axis])) <= set(range(a, b))
        assert set(range(a, b)) == set(range(min(taps), max(taps) + 1)) & set(range(size[axis]))
        ranges = [window.input_range(y, y + 1, size[axis], axis) for y in range(output[axis])]
        assert ranges == sorted(ranges)
        assert [b for _, b in ranges] == sorted(b for _, b in ranges)


@pytest.mark.parametrize("source", [Region(0, 4, 0, 3), Region(1, 3, 0, 3), Region(0, 3, 1, 3)])
def test_other_parts_than_those_that_are_needed_are_refused(source: Region) -> None:
    output = Region(0, 2, 0, 2)
    window = Window((3, 3), pads=(1, 1, 1, 1))
    for operator in (MaxPoolInt8(window, (8, 8, 1), -128, 127), PadInt8((0, 0, 0, 0), (0, 0), (8, 8, 1), 0)):
        with pytest.raises(ValueError, match="are not those that the map has"):
            operator.crop(output, [source])


def test_no_part_of_a_view_is_computed() -> None:
    with pytest.raises(ValueError, match="never computed"):
        ReshapeInt8((1, 2, 6)).crop(Region(0, 1, 0, 1), [Region(0, 2, 0, 1)])


def test_operators_that_know_no_place_are_their_own_part() -> None:
    operator = LookupInt8(np.arange(-128, 128).astype(np.int8))
    assert operator.crop(Region(1, 2, 1, 2), [Region(1, 2, 1, 2)]) is operator


def test_cropped_tables_count_from_the_part_that_is_held() -> None:
    operator = ResizeNearestInt8(np.array([0, 0, 1, 2]), np.array([0, 2]))
    cropped = operator.crop(Region(2, 4, 1, 2), [Region(1, 3, 2, 3)])
    assert isinstance(cropped, ResizeNearestInt8)
    assert (cropped.rows.tolist(), cropped.columns.tolist()) == ([0, 1], [0])

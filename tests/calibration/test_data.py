# SPDX-License-Identifier: Apache-2.0
"""Samples from arrays and images: what is read, and what is said of each kind of wrong file."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mcukit.calibration.array_file import read_arrays
from mcukit.calibration.data import load_inputs
from mcukit.calibration.preprocessing import Preprocessing
from mcukit.calibration.synthetic import synthetic_inputs
from mcukit.errors import McukitError, Problem

SHAPE = (4, 6, 3)
Array = npt.NDArray[np.generic]


def pixels(count: int, shape: tuple[int, ...] = SHAPE) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8)


def npz(path: Path, **arrays: npt.ArrayLike) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def refusal(path: Path, shape: tuple[int, ...] = SHAPE, labels: Path | None = None) -> Problem:
    with pytest.raises(McukitError) as caught:
        load_inputs(path, shape, labels=labels)
    return caught.value.problems[0]


def npy_bytes(header: str, content: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    text = header.encode() + b"\n"
    length = len(text).to_bytes(2 if version == b"\x01\x00" else 4, "little")
    return b"\x93NUMPY" + version + length + text + content


# Arrays


def test_npz_with_labels(tmp_path: Path) -> None:
    path = npz(tmp_path / "data.npz", x=pixels(3), y=np.array([2, 0, 1], np.uint8), comment=np.zeros(2))
    data = load_inputs(path, SHAPE)
    assert data.values.dtype == np.uint8
    assert np.array_equal(data.values, pixels(3))
    assert data.labels is not None
    assert data.labels.dtype == np.int64
    assert data.labels.tolist() == [2, 0, 1]
    assert data.names == ("x[0]", "x[1]", "x[2]")
    assert len(data) == 3


def test_the_only_array_of_an_npz_needs_no_name(tmp_path: Path) -> None:
    data = load_inputs(npz(tmp_path / "data.npz", images=pixels(2), y=[1, 2]), SHAPE)
    assert data.names == ("images[0]", "images[1]")
    assert data.labels is not None


def test_npy(tmp_path: Path) -> None:
    np.save(tmp_path / "data.npy", pixels(2))
    data = load_inputs(tmp_path / "data.npy", SHAPE)
    assert np.array_equal(data.values, pixels(2))
    assert data.labels is None
    assert data.names == ("data.npy[0]", "data.npy[1]")


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.int64, np.float16, np.float32, np.float64, ">f4", ">u2"])
def test_other_types_become_float32(tmp_path: Path, dtype: npt.DTypeLike) -> None:
    values = (pixels(2) % 100).astype(dtype)
    data = load_inputs(npz(tmp_path / "data.npz", x=values), SHAPE)
    assert data.values.dtype == np.dtype("=f4")
    assert np.array_equal(data.values, values.astype(np.float32))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_order_and_compression_make_no_difference(tmp_path: Path, save: Callable[..., None]) -> None:
    save(tmp_path / "data.npz", x=np.asfortranarray(pixels(3)))
    assert np.array_equal(load_inputs(tmp_path / "data.npz", SHAPE).values, pixels(3))


def test_preprocessing_is_applied_to_slices_only(tmp_path: Path) -> None:
    chosen = Preprocessing(1 / 255, (0.5, 0.4, 0.3), (0.2,))
    data = load_inputs(npz(tmp_path / "data.npz", x=pixels(5)), SHAPE, chosen)
    assert data.values.dtype == np.uint8
    assert np.array_equal(data[1:3], chosen.apply(pixels(5)[1:3]))


def test_vectors_are_samples_too(tmp_path: Path) -> None:
    data = load_inputs(npz(tmp_path / "data.npz", x=pixels(5, (7,))), (7,))
    assert data.values.shape == (5, 7)


@pytest.mark.parametrize(
    ("arrays", "code", "place", "message"),
    [
        ({}, "unreadable-data", "", "has no array x; what it has: nothing"),
        ({"a": pixels(1), "b": pixels(1)}, "unreadable-data", "", "has no array x; what it has: 'a', 'b'"),
        ({"y": pixels(1)}, "unreadable-data", "", "has no array x; what it has: 'y'"),
        ({"x": np.array([{}])}, "unreadable-data", ": x", "has values of type object"),
        (
            {"x": np.zeros((1, *SHAPE), np.complex64)},
            "unreadable-data",
            ": x",
            "has values of type complex64",
        ),
        ({"x": np.array(["a"])}, "unreadable-data", ": x", "has values of type <U1"),
        (
            {"x": np.zeros((1, *SHAPE), np.longdouble)},
            "unreadable-data",
            ": x",
            "has values of type float128",
        ),
        ({"x": np.zeros((1, *SHAPE), "u1,f4")}, "unreadable-data", ": x", "has values of type [('f0'"),
        ({"x": np.zeros((0, *SHAPE))}, "empty-data", ": x", "there are no samples"),
        ({"x": np.zeros((1, 5, 6, 3))}, "wrong-shape", ": x", "(4, 6, 3), but found (1, 5, 6, 3)"),
        ({"x": np.float32(1)}, "wrong-shape", ": x", "(4, 6, 3), but found ()"),
        (
            {"x": pixels(2), "y": [1]},
            "wrong-labels",
            ": y",
            "2 samples need labels of shape (2,), but found (1,)",
        ),
        ({"x": pixels(2), "y": [0.0, 1.0]}, "wrong-labels", ": y", "labels are of type float64"),
        ({"x": pixels(2), "y": [0, -3]}, "wrong-labels", ": y", "the label at [1] is -3"),
    ],
)
def test_wrong_arrays(tmp_path: Path, arrays: dict[str, Array], code: str, place: str, message: str) -> None:
    path = npz(tmp_path / "data.npz", **arrays)
    problem = refusal(path)
    assert (problem.code, problem.where) == (code, f"{path}{place}")
    assert message in problem.message


@pytest.mark.parametrize(
    ("array", "shape", "hint"),
    [
        (pixels(2, (3, 4, 6)), SHAPE, "the channels come first here: save x.transpose(0, 2, 3, 1)"),
        (pixels(1)[0], SHAPE, "this is a single sample: save x[np.newaxis]"),
        (pixels(2, (4, 6)), (4, 6, 1), "the channel is missing: save x[..., np.newaxis]"),
        (pixels(2, (4, 4, 3)), SHAPE, "the array's shape must be (samples, 4, 6, 3)"),
    ],
)
def test_what_to_do_about_a_wrong_shape(tmp_path: Path, array: Array, shape: tuple[int, ...], hint: str) -> None:
    problem = refusal(npz(tmp_path / "data.npz", x=array), shape)
    assert (problem.code, problem.hint) == ("wrong-shape", hint)


def test_one_hot_labels_get_a_hint(tmp_path: Path) -> None:
    problem = refusal(npz(tmp_path / "data.npz", x=pixels(3), y=np.eye(3)))
    assert problem.hint == "these look like one column per class: save y.argmax(axis=1)"


@pytest.mark.parametrize(("value", "shown"), [(np.nan, "nan"), (np.inf, "inf"), (1e300, "1e+300")])
def test_the_place_of_a_value_that_is_not_finite(tmp_path: Path, value: float, shown: str) -> None:
    values = pixels(3).astype(np.float64)
    values[1, 2, 5, 0] = value
    problem = refusal(npz(tmp_path / "data.npz", x=values))
    assert problem.code == "non-finite-values"
    assert problem.message == f"the value at [1, 2, 5, 0] is {shown}, which is not a finite float32"


# Hostile files


HEADER = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 4, 6, 3), }"


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (b"", "unreadable-data", "has no valid npy header"),
        (b"\x93NUMPY\x01", "unreadable-data", "has no valid npy header"),
        (npy_bytes("{"), "unreadable-data", "has no valid npy header"),
        (npy_bytes("[" * 4000), "unreadable-data", "has no valid npy header"),
        (npy_bytes(HEADER + " " * 5000), "unreadable-data", "has no valid npy header"),
        (npy_bytes(HEADER, version=b"\x09\x00"), "unreadable-data", "is of version 9.0 of the npy format"),
        (npy_bytes(HEADER.replace("2,", "-2,")), "unreadable-data", "has the shape (-2, 4, 6, 3)"),
        (npy_bytes(HEADER.replace("u1", "O")), "unreadable-data", "has values of type object"),
        (npy_bytes(HEADER, b"1234"), "unreadable-data", "should have 144 bytes of values, but has 4"),
        (npy_bytes(HEADER, b"1" * 145), "unreadable-data", "should have 144 bytes of values, but has 145"),
        (npy_bytes(HEADER.replace("(2,", "(99999999999,")), "unsafe-data", "more than 2147483648"),
        (npy_bytes(HEADER.replace("4, 6", f"{1 << 62}, {1 << 62}")), "unsafe-data", "more than 2147483648"),
    ],
)
def test_hostile_npy_files(tmp_path: Path, content: bytes, code: str, message: str) -> None:
    path = tmp_path / "data.npy"
    path.write_bytes(content)
    problem = refusal(path)
    assert (problem.code, problem.where) == (code, str(path))
    assert message in problem.message


def archive(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


def test_an_archive_that_unpacks_to_far_more_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    shape = (1 << 13, 128, 128, 1)
    zeros = npy_bytes(f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}", bytes(1 << 27))
    path = archive(tmp_path / "data.npz", x=zeros)
    tracemalloc.start()
    problem = refusal(path, shape[1:])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert problem.code == "unsafe-data"
    assert f"{path.stat().st_size} bytes would become" in problem.message
    assert peak < 1 << 20


def test_an_archive_that_lies_about_its_members_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "data.npz", x=npy_bytes(HEADER, bytes(144)))
    content = path.read_bytes()
    size = (len(npy_bytes(HEADER)) + 144).to_bytes(4, "little")
    for claimed in (1 << 20, 3 << 30, 10):
        path.write_bytes(content.replace(size, claimed.to_bytes(4, "little")))
        assert refusal(path).code in ("unreadable-data", "unsafe-data")


def test_an_archive_with_too_many_members_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "data.npz", **{f"a{index}": b"" for index in range(65)})
    assert refusal(path).message == "has 65 arrays, more than 64"


def test_damage_is_noticed(tmp_path: Path) -> None:
    path = npz(tmp_path / "data.npz", x=pixels(2))
    content = bytearray(path.read_bytes())
    content[content.index(pixels(2).tobytes()) + 5] ^= 1
    path.write_bytes(content)
    problem = refusal(path)
    assert problem.code == "unreadable-data"
    assert "is damaged, or no .npz file: Bad CRC-32" in problem.message


@settings(max_examples=300, deadline=None)
@given(place=st.integers(0, 400), value=st.binary(min_size=1, max_size=8), end=st.integers(0, 600))
def test_no_damage_makes_anything_but_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: bytes, end: int
) -> None:
    folder = tmp_path_factory.getbasetemp()
    for name, save in (("fuzz.npz", np.savez_compressed), ("fuzz.npy", np.save)):
        stream = io.BytesIO()
        save(stream, np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3))
        content = bytearray(stream.getvalue())
        content[place : place + len(value)] = value
        path = folder / name
        path.write_bytes(content[: len(content) - end] if end < 100 else content)
        try:
            sizes = [array.nbytes for array in read_arrays(path).values()]
        except McukitError:
            continue
        assert all(size <= len(content) for size in sizes)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent.npz", "can't be read: No such file or directory"),
        ("absent.npy", "can't be read: No such file or directory"),
        ("absent", "does not exist"),
        ("note.txt", "is neither an .npz or .npy file nor a folder"),
        ("text.npz", "is damaged, or no .npz file: File is not a zip file"),
    ],
)
def test_paths_that_hold_no_samples(tmp_path: Path, name: str, message: str) -> None:
    for existing in ("note.txt", "text.npz"):
        (tmp_path / existing).write_text("hello")
    problem = refusal(tmp_path / name)
    assert (problem.code, problem.where) == ("unreadable-data", str(tmp_path / name))
    assert message in problem.message


# Images


def save_image(path: Path, mode: str = "RGB", size: tuple[int, int] = (6, 4)) -> None:
    values = pixels(1, (size[1], size[0], 3))[0]
    Image.fromarray(values).convert(mode).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images and a few files that are none."""
    images = tmp_path / "images"
    (images / "folder").mkdir(parents=True)
    for name in ("b.png", "A.BMP", "c.jpeg"):
        save_image(images / name)
    (images / ".hidden.png").write_text("not an image")
    (images / "notes.txt").write_text("not an image")
    return images


def test_images_are_read_by_name(folder: Path) -> None:
    data = load_inputs(folder, SHAPE)
    assert data.names == ("A.BMP", "b.png", "c.jpeg")
    assert data.values.shape == (3, *SHAPE)
    assert data.values.dtype == np.uint8
    assert np.array_equal(data.values[1], pixels(1)[0])


def test_images_are_resized_as_a_whole_with_pillow(folder: Path) -> None:
    save_image(folder / "b.png", size=(50, 31))
    data = load_inputs(folder, SHAPE)
    with Image.open(folder / "b.png") as image:
        expected = np.asarray(image.resize((6, 4), Image.Resampling.BILINEAR))
    assert np.array_equal(data.values[1], expected)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_all_modes_become_gray_or_rgb(folder: Path, mode: str, channels: int) -> None:
    save_image(folder / "b.png", mode)
    data = load_inputs(folder, (4, 6, channels))
    with Image.open(folder / "b.png") as image:
        expected = np.asarray(image.convert("L" if channels == 1 else "RGB")).reshape(4, 6, channels)
    assert np.array_equal(data.values[1], expected)


def test_labels_are_ordered_as_the_images(folder: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("\ufeffclass,note,image\n7,x,c.jpeg\n 0 ,,A.BMP\n999,,b.png\n")
    data = load_inputs(folder, SHAPE, labels=labels)
    assert data.labels is not None
    assert data.labels.tolist() == [0, 999, 7]


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("", "", "the first line must name the columns image and class"),
        ("file,class\nb.png,1\n", "", "the first line must name the columns image and class"),
        ("image,class\nx.png,1\n", ": line 2", "there is no image 'x.png' in the folder"),
        ("image,class\nb.png,1\nb.png,2\n", ": line 3", "b.png was there before"),
        (
            "image,class\nb.png,cat\n",
            ": line 2",
            "'cat' is not a class: it must be a whole number of 0 or more",
        ),
        ("image,class\nb.png,-1\n", ": line 2", "'-1' is not a class"),
        (f"image,class\nb.png,{'0' * 5000}1\n", ": line 2", "is not a class"),
        ("image,class\nb.png\n", ": line 2", "None is not a class"),
        ("image,class\nb.png,1\nA.BMP,1\n", "", "there is no class for c.jpeg"),
        ('image,class\n"b.png', ": line 2", "is not CSV"),
    ],
)
def test_wrong_labels(folder: Path, tmp_path: Path, text: str, place: str, message: str) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text(text)
    problem = refusal(folder, labels=labels)
    assert problem.where == f"{labels}{place}"
    assert message in problem.message


def test_labels_that_can_not_be_read(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "binary.csv").write_bytes(b"\xff\x00")
    assert refusal(folder, labels=tmp_path / "absent.csv").message == "can't be read: No such file or directory"
    assert refusal(folder, labels=tmp_path / "binary.csv").message == "is not a UTF-8 text file"


def test_a_file_of_labels_does_not_go_with_arrays(tmp_path: Path) -> None:
    path = npz(tmp_path / "data.npz", x=pixels(1))
    problem = refusal(path, labels=tmp_path / "labels.csv")
    assert (problem.code, problem.hint) == ("wrong-labels", "put the labels into data.npz as the array y")


def test_every_image_that_can_not_be_read_is_named(folder: Path) -> None:
    (folder / "d.png").write_bytes((folder / "b.png").read_bytes()[:60])
    (folder / "e.jpg").write_text("%!PS-Adobe-3.0 EPSF-3.0\n")
    (folder / "f.gif").touch()
    Image.fromarray(np.zeros((2, 2), np.uint16)).save(folder / "g.png")
    with pytest.raises(McukitError) as caught:
        load_inputs(folder, SHAPE)
    named = [(Path(problem.where).name, problem.code) for problem in caught.value.problems]
    assert named == [(name, "unreadable-data") for name in ("d.png", "e.jpg", "f.gif", "g.png")]
    assert "more than 8 bits" in caught.value.problems[3].message


@pytest.mark.parametrize("side", [9_000, 10_000, 30_000])
def test_a_huge_image_is_refused_by_its_header(folder: Path, side: int) -> None:
    content = bytearray((folder / "A.BMP").read_bytes())
    content[18:26] = side.to_bytes(4, "little") * 2
    (folder / "A.BMP").write_bytes(content)
    problem = refusal(folder)
    assert (problem.code, problem.where) == ("unsafe-data", str(folder / "A.BMP"))
    assert "more than 67108864 pixels" in problem.message


def test_folders_without_images(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    problem = refusal(tmp_path)
    assert (problem.code, problem.where) == ("empty-data", str(tmp_path))


@pytest.mark.parametrize("shape", [(4, 6, 2), (24,)])
def test_images_do_not_fit_every_model(folder: Path, shape: tuple[int, ...]) -> None:
    problem = refusal(folder, shape)
    assert (problem.code, problem.hint) == (
        "wrong-shape",
        "images have 1 or 3 channels; give an .npz file instead",
    )


def test_images_that_would_fill_the_memory_are_refused_before_they_are_read(folder: Path) -> None:
    assert refusal(folder, (40_000, 40_000, 3)).code == "unsafe-data"


# Synthetic images


def test_synthetic_images_are_the_same_for_the_same_arguments() -> None:
    one, two = synthetic_inputs((16, 20, 3), 5, seed=3), synthetic_inputs((16, 20, 3), 9, seed=3)
    assert one.values.shape == (5, 16, 20, 3)
    assert one.values.dtype == np.uint8
    assert np.array_equal(one.values, two.values[:5])
    assert not np.array_equal(one.values, synthetic_inputs((16, 20, 3), 5, seed=4).values)


@pytest.mark.parametrize("shape", [(96, 96, 3), (64, 48, 1), (33, 17, 5)])
def test_synthetic_images_are_like_natural_ones(shape: tuple[int, ...]) -> None:
    """They use all of 0..255, and neighbours are alike, unlike in white noise, where this would be 0."""
    values = synthetic_inputs(shape, 40).values.astype(np.float64)
    assert values.min() == 0
    assert values.max() == 255
    assert 100 < values.mean() < 156
    left, right = values[:, :, :-1] - values.mean(), values[:, :, 1:] - values.mean()
    assert (left * right).mean() / values.var() > 0.8


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 9, 3), (2, 1, 2)])
def test_synthetic_images_may_be_tiny(shape: tuple[int, ...]) -> None:
    assert synthetic_inputs(shape, 3).values.shape == (3, *shape)


@pytest.mark.parametrize(
    ("shape", "count", "code"),
    [
        ((16,), 1, "wrong-shape"),
        ((0, 4, 3), 1, "wrong-shape"),
        ((4, 4, 3), 0, "empty-data"),
        ((4096, 4096, 3), 100, "unsafe-data"),
    ],
)
def test_synthetic_images_that_can_not_be(shape: tuple[int, ...], count: int, code: str) -> None:
    with pytest.raises(McukitError) as caught:
        synthetic_inputs(shape, count)
    assert caught.value.problems[0].code == code

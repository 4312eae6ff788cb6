# SPDX-License-Identifier: Apache-2.0
"""Statistics from the cache are those that would be computed, and nothing else is believed."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mcukit.calibration import statistics_cache
from mcukit.calibration.float_model import FloatModel
from mcukit.calibration.statistics import MapStatistics, collect_statistics
from mcukit.calibration.statistics_cache import MOST_FILES, cached_statistics, statistics_key
from tests.float_networks import classifier, images

MODEL = FloatModel(classifier())


class Counter:
    """Stands for collect_statistics and counts how often it is asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(
        self, model: FloatModel, inputs: np.ndarray, progress: Callable[[int, int], None] | None = None
    ) -> dict[str, MapStatistics]:
        self.calls += 1
        return collect_statistics(model, inputs, progress)


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Counter:
    counter = Counter()
    monkeypatch.setattr(statistics_cache, "collect_statistics", counter)
    return counter


def assert_same(found: dict[str, MapStatistics], expected: dict[str, MapStatistics]) -> None:
    assert list(found) == list(expected)
    for name, item in expected.items():
        assert (found[name].minimum, found[name].maximum) == (item.minimum, item.maximum)
        np.testing.assert_array_equal(found[name].counts, item.counts, strict=True)
        np.testing.assert_array_equal(found[name].mean, item.mean, strict=True)


def test_the_second_time_nothing_is_computed(tmp_path: Path, counter: Counter) -> None:
    seen: list[tuple[int, int]] = []
    first = cached_statistics(MODEL, images(), folder=tmp_path)
    second = cached_statistics(MODEL, images(), lambda done, total: seen.append((done, total)), tmp_path)

    assert counter.calls == 1
    assert seen == [(48, 48)]
    assert_same(first, collect_statistics(MODEL, images()))
    assert_same(second, {name: first[name] for name in second})
    assert [path.suffix for path in tmp_path.iterdir()] == [".npz"]


def test_the_key_follows_from_network_and_images() -> None:
    graph = classifier()
    changed = images()
    changed[3, 0, 0, 0] += 1
    other = graph.replace(outputs=("conv2d6",), nodes=graph.nodes[:-1])
    keys = [
        statistics_key(*pair)
        for pair in [(graph, images()), (graph, changed), (graph, images()[:23]), (other, images())]
    ]

    assert len(set(keys)) == 4
    assert statistics_key(classifier(), images()) == keys[0]


def empty(path: Path) -> None:
    path.write_bytes(b"")


def garbage(path: Path) -> None:
    path.write_bytes(np.random.default_rng(1).bytes(5000))


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def rewritten(path: Path, name: str, change: Callable[[np.ndarray], np.ndarray], compression: int = 0) -> None:
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays[name] = change(arrays[name])
    with zipfile.ZipFile(path, "w", compression) as archive:
        for key, array in arrays.items():
            with archive.open(f"{key}.npy", "w") as file:
                np.lib.format.write_array(file, array, allow_pickle=True)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "empty": empty,
    "garbage": garbage,
    "half": half,
    "one bit": flipped,
    "a map missing": lambda path: rewritten(path, "counts", lambda a: a[:-1]),
    "other bins": lambda path: rewritten(path, "counts", lambda a: a[:, :1000]),
    "other numbers": lambda path: rewritten(path, "counts", lambda a: a.astype(np.float64)),
    "objects": lambda path: rewritten(path, "counts", lambda a: a.astype(object)),
    "negative counts": lambda path: rewritten(path, "counts", lambda a: -a),
    "too many values": lambda path: rewritten(path, "counts", lambda a: a + 1),
    "turned extremes": lambda path: rewritten(path, "extremes", lambda a: a[:, ::-1]),
    "infinite": lambda path: rewritten(path, "extremes", lambda a: np.full_like(a, np.inf)),
    "no mean": lambda path: rewritten(path, "mean1", lambda a: np.full_like(a, np.nan)),
    "another shape": lambda path: rewritten(path, "mean1", lambda a: a[1:]),
    "compressed": lambda path: rewritten(path, "mean1", lambda a: a, zipfile.ZIP_DEFLATED),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_cannot_be_is_computed_again(tmp_path: Path, counter: Counter, damage: str) -> None:
    expected = cached_statistics(MODEL, images(), folder=tmp_path)
    path = next(tmp_path.iterdir())
    DAMAGES[damage](path)

    assert_same(cached_statistics(MODEL, images(), folder=tmp_path), expected)
    assert counter.calls == 2
    cached_statistics(MODEL, images(), folder=tmp_path)
    assert counter.calls == 2, "the file was repaired"


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path: Path, counter: Counter) -> None:
    (tmp_path / "file").write_bytes(b"")
    for _ in range(2):
        found = cached_statistics(MODEL, images(), folder=tmp_path / "file")
    assert_same(found, collect_statistics(MODEL, images()))
    assert counter.calls == 2


def test_the_users_cache_folder_is_the_default(
    tmp_path: Path, counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for _ in range(2):
        cached_statistics(MODEL, images())
    assert counter.calls == 1
    assert [path.parent.name for path in tmp_path.rglob("*.npz")] == ["statistics"]

    (tmp_path / "other").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    cached_statistics(MODEL, images())
    assert counter.calls == 2


def test_only_the_newest_files_are_kept(tmp_path: Path) -> None:
    for index in range(MOST_FILES + 3):
        path = tmp_path / f"{index}.npz"
        path.write_bytes(b"")
        os.utime(path, (index, index))
    cached_statistics(MODEL, images(), folder=tmp_path)

    names = {path.name for path in tmp_path.iterdir()}
    assert names == {f"{index}.npz" for index in range(4, MOST_FILES + 3)} | {
        f"{statistics_key(classifier(), images())}.npz"
    }

# SPDX-License-Identifier: Apache-2.0
"""The cache of compiled objects: right before fast."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcukit.emulation import toolchain
from mcukit.emulation.targets import TARGETS
from mcukit.errors import McukitError

HOST = TARGETS["host"]
SOURCE = """
#include "answer.h"
int answer(void);
int answer(void) { return ANSWER + EXTRA; }
"""


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "answer.h").write_text("#define ANSWER 42\n")
    (tmp_path / "answer.c").write_text(SOURCE)
    return tmp_path / "answer.c"


def compile_one(source: Path, define: str = "EXTRA=0", flags: tuple[str, ...] = ()) -> Path:
    (compiled,) = toolchain.compile_objects(
        [source], HOST, includes=[source.parent], defines=[define], extra_flags=flags
    )
    return compiled


def test_the_same_source_is_compiled_once(source: Path) -> None:
    first = compile_one(source)
    made_at = first.stat().st_ino
    assert compile_one(source) == first
    assert first.stat().st_ino == made_at


def test_a_change_of_header_define_or_flag_compiles_again(source: Path) -> None:
    objects = [
        compile_one(source),
        compile_one(source, define="EXTRA=1"),
        compile_one(source, flags=("-Os",)),
    ]
    (source.parent / "answer.h").write_text("#define ANSWER 43\n")
    objects.append(compile_one(source))
    assert len(set(objects)) == 4


def test_what_a_define_does_not_reach_is_not_compiled_again(source: Path) -> None:
    objects = {compile_one(source), compile_one(source, flags=("-DOTHER",))}
    assert len(objects) == 2, "flags are taken as they are"
    (same,) = toolchain.compile_objects([source], HOST, includes=[source.parent], defines=["EXTRA=0", "OTHER=1"])
    assert same in objects


def test_all_that_is_included_counts(source: Path) -> None:
    """From the folder of the file, from another one and through a define; in a circle, and where it is left out."""
    folder = source.parent / "other"
    folder.mkdir()
    source.write_text('#include "first.h"\n#include <second.h>\n# include THIRD\nint n = ONE + TWO + THREE;\n')
    (source.parent / "first.h").write_text('#ifndef ONE\n#define ONE 1\n#include "first.h"\n#endif\n')
    (folder / "first.h").write_text("#error the file beside the source comes first\n")
    (folder / "second.h").write_text('#define TWO 2\n#if 0\n#include "fourth.h"\n#endif\n')
    (folder / "third.h").write_text("#define THREE 3\n")

    def compiled() -> Path:
        (made,) = toolchain.compile_objects([source], HOST, includes=[folder], defines=['THIRD="third.h"'])
        return made

    objects = [compiled()]
    for path in (source.parent / "first.h", folder / "second.h", folder / "third.h", folder / "fourth.h", source):
        before = path.read_text() if path.exists() else ""
        path.write_text(before + "/* changed */\n")
        objects.append(compiled())
    assert len(set(objects)) == 6
    (folder / "first.h").unlink()
    assert compiled() == objects[-1]


def test_the_compiler_is_not_called_where_it_would_read_the_same(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = compile_one(source, flags=("-g1",))
    with monkeypatch.context() as without_compiler:
        without_compiler.setattr(toolchain, "_run", lambda *_, **__: pytest.fail("the compiler was called"))
        assert compile_one(source, flags=("-g1",)) == first
    header = source.parent / "answer.h"
    header.write_text("#define ANSWER 24\n")
    second = compile_one(source, flags=("-g1",))
    assert second != first
    second.unlink()
    assert compile_one(source, flags=("-g1",)) == second
    assert second.exists()


def test_the_objects_unused_for_longest_leave_a_full_cache(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, recent = compile_one(source), compile_one(source, define="EXTRA=1")
    compile_one(source)
    monkeypatch.setattr(toolchain, "_OBJECT_CACHE_BYTES", 2 * old.stat().st_size)
    newest = compile_one(source, define="EXTRA=2")
    assert (old.exists(), recent.exists(), newest.exists()) == (True, False, True)


def test_a_failed_compilation_leaves_nothing_behind(source: Path) -> None:
    source.write_text("this is not C\n")
    with pytest.raises(McukitError):
        compile_one(source)
    assert list((source.parent / "cache" / "mcukit" / "objects").iterdir()) == []

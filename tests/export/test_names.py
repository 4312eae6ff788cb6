# SPDX-License-Identifier: Apache-2.0
"""Names from files that try to be more than names."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcukit.export.names import LONGEST_COMMENT, IdentifierTable, c_identifier, comment_text, file_stem
from mcukit.resources import firmware_dir

IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*")


@pytest.mark.parametrize(
    ("name", "identifier"),
    [
        ("conv1", "conv1"),
        ("Features/0/Conv_1", "features_0_conv_1"),
        ("1 2 3", "n_1_2_3"),
        ("../x", "x"),
        ("main", "n_main"),
        ("while", "n_while"),
        ("mk_conv2d", "n_mk_conv2d"),
        ("run_a", "n_run_a"),
        ("a_map", "a_map_layer"),
        ("", "fallback"),
        ("\N{SNOWMAN}*/", "fallback"),
        ("x" * 41, "fallback"),
        ("x" * 40, "x" * 40),
        ("a\nb\0c", "a_b_c"),
    ],
)
def test_identifiers(name: str, identifier: str) -> None:
    assert c_identifier(name, "fallback") == identifier


OWN_HEADERS = sorted({path.stem for path in firmware_dir().rglob("*.h")})


@pytest.mark.parametrize("header", ["string", "stdint", "Math", "Arduino", "SPI", "run", "mcukit", *OWN_HEADERS])
def test_a_network_is_not_called_like_a_header_that_is_included(header: str) -> None:
    assert file_stem(header) == f"n_{header.lower()}"


@pytest.mark.parametrize(("name", "stem"), [("model", "model"), ("", "model"), ("/", "model"), ("net.v2", "net_v2")])
def test_stems(name: str, stem: str) -> None:
    assert file_stem(name) == stem


@given(st.text())
def test_identifiers_and_stems_are_always_c(name: str) -> None:
    assert IDENTIFIER.fullmatch(c_identifier(name, "fallback"))
    assert IDENTIFIER.fullmatch(file_stem(name))


@given(st.text(alphabet=st.sampled_from("*/\\?\n\r\t\0a \N{SNOWMAN}"), max_size=2 * LONGEST_COMMENT))
def test_comments_stay_comments(name: str) -> None:
    text = comment_text(name)
    assert re.fullmatch(r"[ -~]*", text)
    assert len(text) <= LONGEST_COMMENT
    assert not re.search(r"\*/|/\*|\?\?|\\", text)


@pytest.mark.parametrize(
    ("name", "text"),
    [("*/", "* /"), ("*\\", "* /"), ("*/*", "* / *"), ("???/", "? ? ?/"), ("a\nb", "a?b"), ("conv/1", "conv/1")],
)
def test_comments(name: str, text: str) -> None:
    assert comment_text(name) == text


@given(st.lists(st.sampled_from(["a", "A", "a_2", "a/2", "a_2_2", "", "while", "n_while", "fallback", "é"])))
def test_a_table_never_gives_a_name_twice(names: list[str]) -> None:
    table = IdentifierTable(("a",))
    claimed = [table.claim(name, "fallback") for name in names]
    assert len({"a", *claimed}) == len(claimed) + 1

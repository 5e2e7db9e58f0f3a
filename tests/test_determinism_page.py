"""Every line of docs/determinism.md names tests that there are."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "determinism.md"


def lines() -> list[str]:
    """Of the table, without its head."""
    return [line for line in PAGE.read_text().splitlines() if line.startswith("| ")][1:]


def functions(name: str) -> set[str]:
    """The functions of a file of tests."""
    tree = ast.parse((TESTS / name).read_text())
    return {one.name for one in tree.body if isinstance(one, ast.FunctionDef)}


def test_every_line_names_a_test():
    assert len(lines()) > 15
    for line in lines():
        assert re.search(r"`test_\w+\.py::test_\w+`", line.split("|")[-2]), line


def test_the_tests_that_are_named_exist():
    named = re.findall(r"`(test_\w+\.py)::(\w+)`", PAGE.read_text())
    assert [one for one in named if one[1] not in functions(one[0])] == []

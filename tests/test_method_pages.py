"""What the pages on methods say: the table of hyperparameters, and code that runs as written."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import fedast_jax as fx
from fedast_jax.algorithms import ALGORITHMS
from fedast_jax.methods.built_in import BUILT_IN
from fedast_jax.study.variants import make_variants

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "docs"))

from list_methods import PAGE, with_table  # noqa: E402


def test_the_table_of_hyperparameters_is_that_of_the_methods():
    page = PAGE.read_text(encoding="utf-8")
    assert with_table(page) == page, "run python docs/list_methods.py"
    for method in BUILT_IN:
        assert f"| `{method.name}` |" in page
        assert method.source.split(",")[0].split(";")[0] in page


def test_the_walk_through_an_own_method_runs_as_written(monkeypatch):
    """Its comparison, smaller: without training anything."""
    monkeypatch.setattr(fx, "compare", lambda table, labels: (table, labels), raising=False)
    text = (ROOT / "docs" / "extending_methods.md").read_text(encoding="utf-8")
    first, second = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(first.split("study =")[0].strip().splitlines()) <= 15
    names: dict = {}
    known = dict(ALGORITHMS)
    try:
        exec(first + second, names)
        table, labels = names["study"]
        for label in labels:
            fx.plan({**table, "algorithm": label})
        assert fx.plan({**table, "algorithm": names["ring"]}).events == 60
    finally:
        ALGORITHMS.clear()
        ALGORITHMS.update(known)


@pytest.mark.parametrize(("name", "number"), [("methods", 8), ("methods_lr", 48)])
def test_the_shipped_comparisons_are_of_every_method(name, number):
    import tomllib

    table = tomllib.loads((ROOT / "configs" / f"{name}.toml").read_text(encoding="utf-8"))
    variants = make_variants(table)
    assert len(variants) == number
    assert {variant.method for variant in variants} == {"fedast", *(one.name for one in BUILT_IN)}

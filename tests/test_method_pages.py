"""What the pages on methods say: the table of hyperparameters, and configurations that ship."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fedast_jax.algorithms.methods.built_in import BUILT_IN
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


@pytest.mark.parametrize(("name", "number"), [("methods", 8), ("methods_lr", 48)])
def test_the_shipped_comparisons_are_of_every_method(name, number):
    import tomllib

    table = tomllib.loads((ROOT / "configs" / f"{name}.toml").read_text(encoding="utf-8"))
    variants = make_variants(table)
    assert len(variants) == number
    assert {variant.method for variant in variants} == {"fedast", *(one.name for one in BUILT_IN)}

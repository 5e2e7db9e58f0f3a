"""What a misspelt name was meant to be."""

from __future__ import annotations

import pytest

from fedast_jax.config.closest import closest, did_you_mean, num_slips


@pytest.mark.parametrize(
    ("one", "other", "slips"),
    [
        ("", "", 0),
        ("ab", "", 2),
        ("mnist", "mnits", 1),
        ("law", "lav", 1),
        ("kitten", "sitting", 3),
    ],
)
def test_slips(one, other, slips):
    assert num_slips(one, other) == num_slips(other, one) == slips


KNOWN = ["num_clients", "num_seeds", "paired_seeds", "dirichlet_alpha", "law"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("num_client", "num_clients"),
        ("Num-Clients", "num_clients"),
        ("num_sedes", "num_seeds"),
        ("lav", "law"),
        ("alpha", "dirichlet_alpha"),
        ("seeds", None),  # of two
        ("saw_dust", None),
        ("batch_width", None),
        ("", None),
    ],
)
def test_only_a_name_that_is_close_is_suggested(name, meant):
    assert closest(name, KNOWN) == meant


def test_where_none_is_close_all_are_named():
    assert did_you_mean("lav", KNOWN) == "did you mean 'law'?"
    assert did_you_mean("zzzz", ["b", "a"]) == "choose from a, b"

"""The Dirichlet partition: conservation, order, independence of chunks, and its statistics."""

import hashlib
import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedast_jax.data import DataError, Partition
from fedast_jax.data.partition import CHUNK, round_to_counts

LABELS = np.random.default_rng(0).integers(0, 10, 5000).astype(np.int32)
ALPHAS = [1e-300, 1e-3, 0.1, 1.0, 100.0, 1e300]


@st.composite
def partitions(draw):
    """Small partitions of every kind: pools that wrap, classes without samples, odd alphas."""
    num_classes = draw(st.integers(1, 6))
    labels = draw(st.lists(st.integers(0, num_classes - 1), min_size=1, max_size=40))
    arguments = {
        "labels": np.array(labels, np.int32),
        "num_classes": num_classes,
        "num_clients": draw(st.integers(1, 30)),
        "samples_per_client": draw(st.sampled_from([1, 2, 7, 60, 300])),
        "alpha": draw(st.sampled_from(ALPHAS)),
        "seed": draw(st.lists(st.integers(0, 2**64 - 1), max_size=3)),
    }
    return arguments, Partition(**arguments)


@given(partitions())
def test_counts_sum_to_samples_per_client(drawn):
    arguments, drawn_partition = drawn
    sums = drawn_partition.counts.sum(axis=1, dtype=np.int64)
    assert (sums == arguments["samples_per_client"]).all()


@given(partitions())
def test_samples_have_the_classes_that_the_counts_say(drawn):
    arguments, drawn_partition = drawn
    samples = drawn_partition.samples(np.arange(arguments["num_clients"]))
    assert samples.dtype == np.int32
    assert samples.shape == (arguments["num_clients"], arguments["samples_per_client"])
    for row, counts in zip(arguments["labels"][samples], drawn_partition.counts, strict=True):
        np.testing.assert_array_equal(np.bincount(row, minlength=len(counts)), counts)


@given(partitions())
def test_clients_take_each_pool_in_turn_and_start_over(drawn):
    """An oracle: hand out each class's samples one by one, from an endless cycle of its pool."""
    arguments, drawn_partition = drawn
    labels = arguments["labels"]
    starts, sizes = drawn_partition.pool_starts, drawn_partition.pool_sizes
    pools = [drawn_partition.pool[a : a + n] for a, n in zip(starts, sizes, strict=True)]
    for class_, pool in enumerate(pools):
        assert sorted(pool) == np.flatnonzero(labels == class_).tolist()
    endless = [itertools.cycle(pool) for pool in pools]
    for client in range(arguments["num_clients"]):
        expected = [
            next(endless[class_])
            for class_, count in enumerate(drawn_partition.counts[client])
            for _ in range(count)
        ]
        assert drawn_partition.samples([client])[0].tolist() == expected


@given(partitions())
def test_classes_without_samples_get_no_mass(drawn):
    arguments, drawn_partition = drawn
    absent = np.bincount(arguments["labels"], minlength=arguments["num_classes"]) == 0
    assert not drawn_partition.counts[:, absent].any()


@given(partitions(), st.lists(st.integers(0, 29), max_size=12))
def test_samples_of_any_clients_in_any_order(drawn, clients):
    arguments, drawn_partition = drawn
    clients = [client % arguments["num_clients"] for client in clients]
    everyone = drawn_partition.samples(np.arange(arguments["num_clients"]))
    np.testing.assert_array_equal(drawn_partition.samples(clients), everyone[clients])


@pytest.mark.parametrize("chunk", [1, 3, 64, 1000])
def test_chunks_change_nothing(monkeypatch, chunk):
    arguments = (LABELS, 10, 200, 60, 0.1, [1, 2])
    whole = Partition(*arguments)
    monkeypatch.setattr("fedast_jax.data.partition.CHUNK", chunk)
    parts = Partition(*arguments)
    np.testing.assert_array_equal(parts.counts, whole.counts)
    np.testing.assert_array_equal(parts.offsets, whole.offsets)
    everyone = np.concatenate(list(parts.all_samples(clients_per_chunk=chunk)))
    np.testing.assert_array_equal(everyone, whole.samples(np.arange(200)))


def test_clients_do_not_depend_on_how_many_follow():
    few, many = (Partition(LABELS, 10, number, 60, 0.1, [5]) for number in (50, 400))
    np.testing.assert_array_equal(few.samples(range(50)), many.samples(range(50)))


@settings(max_examples=20)
@given(partitions())
def test_the_same_seed_gives_the_same_partition(drawn):
    arguments, drawn_partition = drawn
    again = Partition(**arguments)
    clients = range(arguments["num_clients"])
    np.testing.assert_array_equal(again.samples(clients), drawn_partition.samples(clients))


def test_seeds_that_differ_in_anything_give_other_partitions():
    seeds = [[], [0], [0, 0], [1], [1, 0], [0, 1], [2**32], [2**32 + 1], [1, 1]]
    drawn = {
        Partition(LABELS, 10, 20, 60, 0.1, seed).samples(range(20)).tobytes() for seed in seeds
    }
    assert len(drawn) == len(seeds)


def test_golden_partition():
    """Written by this code with NumPy 2.4 on x86-64; shows a change of NumPy's streams, or ours."""
    drawn = Partition(np.arange(1000) % 10, 10, 100, 30, 0.1, [2024, 7])
    assert drawn.counts[0].tolist() == [5, 13, 0, 0, 0, 0, 4, 0, 0, 8]
    samples = drawn.samples(range(100)).astype("<i4").tobytes()
    expected = "9e2058934bcf79e8b06072556377b090ca47d9da80c1dccdeb85538f86038230"
    assert hashlib.sha256(samples).hexdigest() == expected


@pytest.mark.parametrize("alpha", [0.1, 1.0, 10.0])
def test_proportions_have_the_moments_of_the_dirichlet(alpha):
    """Each share has mean 1/C and variance (1/C)(1 - 1/C)/(C alpha + 1)."""
    num_classes, num_clients, samples = 10, 20_000, 10_000
    drawn = Partition(LABELS, num_classes, num_clients, samples, alpha, [3])
    shares = drawn.counts / samples
    variance = (1 / num_classes) * (1 - 1 / num_classes) / (num_classes * alpha + 1)
    standard_error = np.sqrt(variance / num_clients)
    assert np.abs(shares.mean(axis=0) - 1 / num_classes).max() < 5 * standard_error
    np.testing.assert_allclose(shares.var(axis=0), variance, rtol=0.06)


@pytest.mark.parametrize("alpha", [5e-324, 1e-300, 1e-9])
def test_tiny_alpha_puts_a_client_on_one_class(alpha):
    drawn = Partition(LABELS, 10, 10_000, 60, alpha, [4])
    assert (drawn.counts.max(axis=1) == 60).all()
    chosen = np.bincount(drawn.counts.argmax(axis=1), minlength=10)
    chi_square = ((chosen - 1000) ** 2 / 1000).sum()
    assert chi_square < 33.7  # 9 degrees of freedom: exceeded once in 10,000 seeds


@pytest.mark.parametrize("alpha", [1e8, 1e12, 1e300, 1.7e308])
def test_huge_alpha_spreads_a_client_evenly(alpha):
    assert (Partition(LABELS, 10, 100, 60, alpha, [4]).counts == 6).all()


def test_pools_are_used_evenly():
    """Each class's samples are handed out the same number of times, give or take one."""
    drawn = Partition(LABELS, 10, 1000, 60, 0.1, [6])
    times_used = np.bincount(drawn.samples(range(1000)).ravel(), minlength=len(LABELS))
    for class_ in range(10):
        used = times_used[np.flatnonzero(class_ == LABELS)]
        assert used.max() - used.min() <= 1


def test_rounding_worked_by_hand():
    proportions = np.array(
        [
            [0.25, 0.25, 0.25, 0.25],  # 2.5 each: the lower two classes are rounded up
            [0.33, 0.33, 0.34, 0.0],  # 3.3, 3.3, 3.4: the largest remainder is rounded up
            [1.0, 0.0, 0.0, 0.0],
        ]
    )
    expected = [[3, 3, 2, 2], [3, 3, 4, 0], [10, 0, 0, 0]]
    assert round_to_counts(proportions, 10).tolist() == expected


def test_smallest_type_that_holds_the_counts():
    assert Partition(LABELS, 10, 5, 255, 1e-300, [0]).counts.max() == 255
    assert Partition(LABELS, 10, 5, 256, 1e-300, [0]).counts.max() == 256


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_clients": 0}, "num_clients must be at least 1, got 0"),
        ({"samples_per_client": 0}, "samples_per_client must be in .*got 0"),
        ({"alpha": 0.0}, "alpha must be a positive number, got 0.0"),
        ({"alpha": -1.0}, "got -1.0"),
        ({"alpha": float("nan")}, "got nan"),
        ({"alpha": float("inf")}, "got inf"),
        ({"labels": np.array([0, 1, 10])}, "label 10 at position 2"),
        ({"labels": np.array([0, -1])}, "label -1 at position 1"),
        ({"labels": np.array([], np.int32)}, "non-empty"),
        ({"labels": np.array([0.0, 1.0])}, "integers, got float64"),
        ({"labels": np.zeros((2, 2), np.int32)}, r"got int32\[2, 2\]"),
        ({"seed": [-1]}, r"seeds must be .*\[-1\]"),
        ({"seed": [2**64]}, "seeds must be"),
    ],
)
def test_arguments_out_of_range_are_refused(change, message):
    arguments = {
        "labels": LABELS,
        "num_classes": 10,
        "num_clients": 5,
        "samples_per_client": 60,
        "alpha": 0.1,
        "seed": [1],
    }
    with pytest.raises(DataError, match=message):
        Partition(**(arguments | change))


@pytest.mark.parametrize("client", [-1, 5])
def test_client_that_does_not_exist_is_refused(client):
    with pytest.raises(DataError, match=rf"\[0, 5\), got {client}"):
        Partition(LABELS, 10, 5, 60, 0.1, [1]).samples([0, client])


def test_no_clients_have_no_samples():
    assert Partition(LABELS, 10, 5, 60, 0.1, [1]).samples([]).shape == (0, 60)


def test_a_million_clients_fit_in_memory():
    """At most 300 MB; 300 samples for each would be 1.2 GB."""
    tracemalloc.start()
    drawn = Partition(LABELS, 10, 1_000_000, 300, 0.1, [1])
    assert drawn.samples([0, 999_999]).shape == (2, 300)
    assert next(drawn.all_samples()).shape == (CHUNK, 300)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300e6

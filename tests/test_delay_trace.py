"""Recorded durations: which are drawn, what is refused and in which words, where files are."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedast_jax.algorithms import ALGORITHMS
from fedast_jax.clients.delays import client_delays
from fedast_jax.clients.trace import ClientTrace, Trace, read_trace
from fedast_jax.config.errors import ConfigError
from fedast_jax.config.settings import Config
from fedast_jax.data import DataError
from fedast_jax.run.resolve import load_config, make_config

RECORDED = Trace(("laptop", "phone"), (np.array([2.0, 6.0]), np.array([4.0, 5.0, 5.0, 9.0])))


def test_quantiles_by_hand():
    """Clients 0 and 2 are laptops. Of two durations the first serves u up to 1/2, of four the
    first up to 1/4, the second up to 2/4 and so on."""
    drawn = ClientTrace(RECORDED, np.array([0, 1, 0, 1], np.int8))
    clients = np.array([0, 2, 0, 2, 1, 3, 1, 3, 1, 1])
    u = np.array([2.0**-54, 0.5, 0.5 + 1e-9, 1 - 2.0**-53, 0.25, 0.26, 0.5, 0.75, 0.76, 1e-9])
    assert drawn.durations(clients, u).tolist() == [2, 2, 6, 6, 4, 5, 5, 5, 9, 4]


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=9), st.integers(1, 50))
def test_even_quantiles_bring_every_duration_equally_often(times, turns):
    """The law of the draws is that of the rows, exactly."""
    drawn = ClientTrace(Trace(("a",), (np.sort(times),)), np.zeros(1, np.int8))
    u = (np.arange(turns * len(times)) + 0.5) / (turns * len(times))
    found = drawn.durations(np.zeros(len(u), int), u)
    assert found.tolist() == np.repeat(np.sort(times), turns).tolist()


def write(path: Path, rows: Sequence[str], header: str = "device_class,duration") -> str:
    """A CSV file."""
    path.write_text("\n".join([header, *rows]) + "\n")
    return str(path)


def assert_recorded(trace: Trace) -> None:
    assert trace.classes == RECORDED.classes
    assert [one.tolist() for one in trace.durations] == [one.tolist() for one in RECORDED.durations]
    assert trace.shares == (2 / 6, 4 / 6)


ROWS = ["phone,9", "laptop, 6.0", "phone,4e0", "phone,5", "laptop,2", "phone,5.0"]


def test_csv_and_parquet_are_read(tmp_path):
    assert_recorded(read_trace(write(tmp_path / "trace.csv", ROWS)))
    more = [f"x,{row}" for row in ROWS]
    assert_recorded(read_trace(write(tmp_path / "b.csv", more, "note,device_class,duration")))
    table = pd.read_csv(tmp_path / "trace.csv")
    table[::-1].to_parquet(tmp_path / "trace.parquet")
    assert_recorded(read_trace(str(tmp_path / "trace.parquet")))
    table.astype({"duration": int}).to_parquet(tmp_path / "whole.parquet")
    assert_recorded(read_trace(str(tmp_path / "whole.parquet")))


def test_a_changed_file_is_read_anew(tmp_path):
    path = write(tmp_path / "trace.csv", ["a,1"])
    assert read_trace(path).durations[0].tolist() == [1]
    write(tmp_path / "trace.csv", ["a,2", "a,1"])
    assert read_trace(path).durations[0].tolist() == [1, 2]


BAD_ROWS = {  # the rows, and what the message must say
    "too long": (["a,1", "a,1e308"], ["row 2", "got '1e308' (the longest that can be is 1e+18)"]),
    "zero": (["a,1", "a,0"], ["row 2", "duration must be a positive number, got '0'"]),
    "negative": (["a,-1.5"], ["row 1", "got '-1.5'"]),
    "no number": (["a,1", "b,2", "a,fast"], ["row 3", "got 'fast'"]),
    "not finite": (["a,inf"], ["row 1", "got 'inf'"]),
    "nan": (["a,nan"], ["row 1", "got 'nan'"]),
    "no duration": (["a,1", "a,"], ["row 2", "got nothing"]),
    "no class": (["a,1", ",1"], ["row 2", "device_class is missing"]),
    "too many values": (["a,1", "a,1,2"], ["expected 2 columns, got 3"]),
    "no rows": ([], ["has no rows"]),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_bad_rows_are_refused(name, tmp_path):
    rows, says = BAD_ROWS[name]
    message = refusal(write(tmp_path / "trace.csv", rows))
    assert all(part.lower() in message.lower() for part in says), message


def refusal(path: str) -> str:
    """One line that names the file."""
    with pytest.raises(DataError) as caught:
        read_trace(path)
    message = str(caught.value)
    assert "\n" not in message
    assert repr(path) in message
    return message


@pytest.mark.parametrize("header", ["device,duration", "device_class,time"])
def test_missing_columns_are_refused(header, tmp_path):
    missing = ({"device_class", "duration"} - set(header.split(","))).pop()
    message = refusal(write(tmp_path / "trace.csv", ["a,1"], header))
    assert f"one column {missing!r}; it has {header.replace(',', ', ')}" in message
    twice = write(tmp_path / "twice.csv", ["a,1,1"], "device_class,duration,duration")
    assert "one column 'duration'" in refusal(twice)


def test_files_that_are_no_trace_are_refused(tmp_path):
    assert "No such file" in refusal(str(tmp_path / "none.csv"))
    assert ".csv or .parquet" in refusal(write(tmp_path / "trace.txt", ["a,1"]))
    assert "cannot read" in refusal(write(tmp_path / "text.parquet", ["a,1"]))
    assert "cannot read" in refusal(write(tmp_path / "empty.csv", [], ""))


@pytest.mark.parametrize(
    ("column", "says"),
    [
        ([1.0, None], "row 2: duration must be a positive number, got nothing"),
        ([1.0, -2.0], "row 2: duration must be a positive number, got -2.0"),
        ([pd.Timestamp(0), pd.Timestamp(1)], "must hold numbers, not timestamp"),
        ([True, True], "must hold numbers, not bool"),
    ],
)
def test_bad_parquet_columns_are_refused(column, says, tmp_path):
    path = tmp_path / "trace.parquet"
    pd.DataFrame({"device_class": ["a", "b"], "duration": column}).to_parquet(path)
    assert says in refusal(str(path))


def make(delays: dict, num_clients: int = 60) -> Config:
    """A configuration with a trace."""
    task = {"kind": "softmax", "num_active": 20}
    return make_config(
        {"delays": delays, "tasks": {"a": task}, "max_updates": 10, "num_clients": num_clients}
    )


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"law": "trace"}, "delays: law 'trace' needs trace"),
        ({"law": "trace", "trace": "a.csv", "speeds": [1.0]}, "speeds have no meaning"),
        ({"law": "trace", "trace": "a.csv", "shares": [1.0]}, "classes and shares must have one"),
        ({"law": "trace", "trace": "a.csv", "classes": ["a"]}, "classes and shares must have one"),
        (
            {"law": "trace", "trace": "a.csv", "classes": ["a", "a"], "shares": [0.5, 0.5]},
            "classes must differ",
        ),
        (
            {"law": "trace", "trace": "a.csv", "classes": ["a", "b"], "shares": [0.5, 0.4]},
            "shares must add up to 1",
        ),
        ({"law": "trace", "trace": "a.csv", "trace_scale": 0.0}, "delays.trace_scale"),
        ({"law": "trace", "trace": 3}, "delays.trace"),
        ({"trace": "a.csv"}, "trace has a meaning for laws 'trace' and 'devices' only, got law"),
        ({"trace_scale": 2.0}, "trace_scale has a meaning for laws 'trace' and 'devices' only"),
        ({"classes": ["a"]}, "classes has a meaning for law 'trace' only, got law 'shifted_exp"),
        ({"law": "tracee"}, "did you mean 'trace'?"),
    ],
)
def test_settings_that_do_not_go_together(wrong, says):
    with pytest.raises(ConfigError) as caught:
        make(wrong)
    assert says in str(caught.value)


def test_shares_of_the_classes(tmp_path):
    """By default in proportion to the rows, one laptop on two phones; else as configured."""
    path = write(tmp_path / "trace.csv", ROWS)
    law = {"law": "trace", "trace": path}
    assert counts(law) == [20, 40]
    assert counts({**law, "classes": ["phone", "laptop"], "shares": [0.25, 0.75]}) == [15, 45]
    config = make({**law, "classes": ["phone"], "shares": [1.0]})
    timeline = ALGORITHMS["fedast"].make_timeline(config, 0)
    assert set(timeline.requests.arrives_at) <= {4 * i + 5 * j for i in range(9) for j in range(9)}
    with pytest.raises(DataError, match="no device class 'watch'; it has 'laptop', 'phone'"):
        counts({**law, "classes": ["watch"], "shares": [1.0]})


def counts(delays: dict) -> list[int]:
    """Clients of each class."""
    config = make(delays)
    return np.bincount(client_delays(config.delays, 0, 60).classes).tolist()


def test_more_than_a_hundred_classes(tmp_path):
    path = write(tmp_path / "trace.csv", [f"{number:03},{number + 1}" for number in range(300)])
    config = make({"law": "trace", "trace": path}, num_clients=300)
    found = client_delays(config.delays, 0, 300)
    assert np.sort(found.classes).tolist() == list(range(300))


def test_tau_and_beta_do_not_change_recorded_durations(tmp_path):
    """Nor does the task; the scale does, and equal quantiles are met whatever it is."""
    path = write(tmp_path / "trace.csv", ROWS)

    def times(scale: float, **task) -> np.ndarray:
        delays = {"law": "trace", "trace": path, "trace_scale": scale}
        table = {"tasks": {"tanh": task}, "delays": delays, "max_updates": 9}
        columns = ALGORITHMS["fedast"].make_timeline(make_config(table), 3).requests
        return np.asarray(columns.arrives_at) - np.asarray(columns.started_at)

    first = times(1.0, num_active=6)
    assert set(first) <= {2.0, 4.0, 5.0, 6.0, 9.0}
    assert times(1.0, num_active=6, local_steps=9, step_time=7.0).tolist() == first.tolist()
    np.testing.assert_allclose(times(2.5, num_active=6), 2.5 * first, rtol=1e-12)


def test_relative_paths(tmp_path, monkeypatch):
    """In a file from its folder, in an override and in Python from the working directory."""
    folder, elsewhere = tmp_path / "configs", tmp_path / "work"
    folder.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    config_path = folder / "run.toml"
    config_path.write_text(
        'max_updates = 9\n[delays]\nlaw = "trace"\ntrace = "t.csv"\n[tasks.softmax]\n'
    )
    relative = Path(os.path.relpath(config_path))
    config = load_config(relative)
    assert config.delays.trace == str(elsewhere / relative.parent / "t.csv")
    changed = load_config(relative, ["delays.trace=t.csv"])
    assert changed.delays.trace == str(elsewhere / "t.csv")
    assert make({"law": "trace", "trace": "t.csv"}).delays.trace == str(elsewhere / "t.csv")
    (elsewhere / "again.toml").write_text(config.to_toml())
    assert load_config(elsewhere / "again.toml") == config

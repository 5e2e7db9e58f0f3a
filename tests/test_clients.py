"""Clients that come and go: their laws, what a request meets at them, settings that cannot be."""

from __future__ import annotations

import math
from copy import deepcopy

import numpy as np
import pytest
from scipy import stats

from fedast_jax.algorithms import ALGORITHMS
from fedast_jax.algorithms.log import EventLog
from fedast_jax.clients import laws
from fedast_jax.clients.availability import make_law
from fedast_jax.clients.diurnal import Diurnal
from fedast_jax.clients.on_off import OnOff
from fedast_jax.clients.on_trace import OnTrace, read_on_trace
from fedast_jax.clients.presence import Presence
from fedast_jax.config.errors import ConfigError
from fedast_jax.data.errors import DataError
from fedast_jax.run.resolve import make_config

ON_OFF = {"law": "on_off", "mean_on": 6.0, "mean_off": 9.0}
DIURNAL = {"law": "diurnal", "share_on": 0.3, "period": 40.0}


def lay_out(algorithm: str = "fedast", num_updates: int = 1500, **top) -> EventLog:
    task = {"kind": "tanh", "num_active": 30, "buffer_size": 3}
    config = make_config(
        {"num_clients": 60, "max_updates": num_updates, "tasks": {"a": task}}
        | {"algorithm": algorithm, **top}
    )
    timeline = ALGORITHMS[algorithm].make_timeline(config, 0)
    timeline.advance(num_updates)
    return timeline


def logs(timeline: EventLog) -> list:
    columns = [column.tolist() for column in vars(timeline.requests).values()]
    return [columns, timeline.lost.tolist(), timeline.rounds, timeline.time]


def test_on_off_times_are_exponential_and_steady():
    law, clients = OnOff(3, 4000, 2.0, 6.0), np.arange(4000)
    for time in (0.0, 0.4, 1000.25):
        on = law.are_on(clients, time)
        assert stats.binomtest(int(on.sum()), 4000, 0.25).pvalue > 1e-3
        assert [law.stretch(one, time)[0] <= time for one in range(50)] == on[:50].tolist()
    ons, offs = [], []
    for client in range(60):
        _, end = law.stretch(client, 0.0)
        while end < 300:
            start, later = law.stretch(client, end)
            ons.append(later - start)
            offs.append(start - end)
            end = later
    assert stats.kstest(ons, stats.expon(scale=2).cdf).pvalue > 1e-3
    assert stats.kstest(offs, stats.expon(scale=6).cdf).pvalue > 1e-3


def test_diurnal_clients_are_on_for_their_share():
    law, times = Diurnal(1, 50, 0.3, 10.0), np.linspace(0, 1000, 2001)
    for client in range(5):
        on = [law.stretch(client, time)[0] <= time for time in times.tolist()]
        assert np.mean(on) == pytest.approx(0.3, abs=0.01)
        start, end = law.stretch(client, law.stretch(client, 20.0)[1])
        assert end - start == pytest.approx(3.0)


def test_a_search_is_uniform_among_those_that_are_on():
    law = Diurnal(2, 300, 0.05, 10.0)
    presence = Presence(law, 2, 300)
    here = presence.present(3.0)
    found = [presence.search(place, 3.0) for place in range(1500)]
    counts = np.array([found.count(one) for one in here.tolist()])
    assert counts.sum() == 1500
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("algorithm", ["fedast", "sync_st", "sync_ucb_st"])
def test_always_on_without_losses_is_as_without_the_table(algorithm):
    one = lay_out(algorithm, 300)
    other = lay_out(algorithm, 300, availability={"law": "always", "loss": 0.0})
    assert logs(one) == logs(other)


@pytest.mark.parametrize("given", [ON_OFF, DIURNAL])
def test_nobody_works_while_off_and_work_done_is_the_duration(given):
    equal = {"law": "constant", "speeds": [1.0], "shares": [1.0]}
    timeline = lay_out(availability=given, delays=equal)
    config = make_config(
        {"availability": given, "max_updates": 1, "tasks": {"a": {"kind": "tanh"}}}
    )
    law = make_law(config.availability, 0, 60)
    assert law is not None
    requests = timeline.requests
    for client, start, end in zip(
        requests.client, requests.started_at, requests.arrives_at, strict=True
    ):
        now, worked = start, 0.0
        while now < end:
            begin, off = law.stretch(client, now)
            worked += min(off, end) - begin
            assert now > start or begin == start
            now = off
        assert worked == pytest.approx(3 * 0.5 * 3.0)


def test_every_lost_request_is_followed_by_one_dispatch():
    timeline = lay_out(availability=ON_OFF | {"when_off": "lose", "loss": 0.2})
    requests, total = timeline.requests, len(timeline.requests)
    assert len(timeline.lost) > 200
    assert total == 30 + timeline.num_arrivals + len(timeline.lost)
    ends = [requests.arrives_at[one] for one in timeline.lost]
    assert ends == sorted(ends)
    assert set(ends) <= set(requests.dispatched_at)


def test_the_share_that_is_lost():
    timeline = lay_out(availability={"loss": 0.3})
    ended = timeline.num_arrivals + len(timeline.lost)
    assert stats.binomtest(len(timeline.lost), ended, 0.3).pvalue > 1e-3


@pytest.mark.parametrize("algorithm", ["fedast", "sync_st"])
def test_rewinding_and_restoring_bring_the_same_events(algorithm):
    given = {"availability": ON_OFF | {"loss": 0.2}}
    whole = lay_out(algorithm, 600, **given)
    config = make_config(
        {"num_clients": 60, "max_updates": 600, "algorithm": algorithm, **given}
        | {"tasks": {"a": {"kind": "tanh", "num_active": 30, "buffer_size": 3}}}
    )
    make = ALGORITHMS[algorithm].make_timeline
    cut, other = make(config, 0), make(config, 0)
    cut.advance(100)
    mark = cut.mark()
    cut.advance(350)
    cut.rewind(mark)
    other.restore(deepcopy(cut.snapshot()))
    for timeline in (cut, other):
        timeline.advance(600)
        assert logs(timeline) == logs(whole)


def write(path, header: str, rows: list[str]) -> str:
    path.write_text("\n".join([header, *rows]) + "\n")
    return str(path)


def test_a_trace_by_hand(tmp_path):
    rows = ["0,8,10", "0,0,2", "0,4,5", "0,5,6", "1,0,10", "2,3,4"]
    path = write(tmp_path / "on.csv", "client,start,end", rows)
    law = OnTrace(read_on_trace(path, 10.0, 3), 10.0)
    assert law.stretch(0, 1.0) == (1.0, 2.0)
    assert law.stretch(0, 2.0) == (4.0, 6.0)
    assert law.stretch(0, 9.0) == (9.0, 12.0)
    assert law.stretch(0, 31.0) == (31.0, 32.0)
    assert law.stretch(1, 7.0) == (7.0, math.inf)
    assert law.stretch(2, 4.0) == (13.0, 14.0)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (["0,0,5", "0,4,6", "1,0,1"], "rows 1 and 2 of client 0 overlap"),
        (["0,5,5", "1,0,1"], "row 1: end must be a number above start"),
        (["0,0,11", "1,0,1"], "end must be at most period=10"),
        (["0,-1,2", "1,0,1"], "start must be a number of at least 0"),
        (["0,0,1", "7,0,1"], "row 2: clients are numbered 0 to 1"),
        (["0,0,1"], "client 1 is never on"),
        ([], "has no rows"),
    ],
)
def test_traces_that_cannot_be_used(tmp_path, rows, says):
    path = write(tmp_path / "on.csv", "client,start,end", rows)
    with pytest.raises(DataError) as caught:
        read_on_trace(path, 10.0, 2)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"availability": {"law": "onoff"}}, "did you mean 'on_off'?"),
        ({"availability": {"law": "on_off", "mean_on": 1.0}}, "mean_off is missing"),
        ({"availability": ON_OFF | {"mean_on": 0.0}}, "mean_on must be at least"),
        ({"availability": DIURNAL | {"share_on": 1.5}}, "share_on must be at most 1"),
        ({"availability": DIURNAL | {"share_on": 1e-300}}, "share_on must be at least 1e-06"),
        (
            {"availability": {"law": "diurnal", "share_on": 0.01, "period": 1e-5}},
            "must be on for at least 1e-06 at a time, but share_on=0.01 of period=1e-05 is less",
        ),
        (
            {"availability": {"law": "on_off", "mean_on": 1.0, "mean_off": 1001.0}},
            "neither of mean_on=1 and mean_off=1001 may be more than 1,000 times the other",
        ),
        (
            {"availability": {"law": "on_off", "mean_on": 1e9, "mean_off": 1.0}},
            "neither of mean_on=1e+09 and mean_off=1 may be",
        ),
        ({"availability": {"loss": 1.0}}, "loss must be at most 0.999"),
        ({"availability": {"period": 3.0}}, "period has no meaning for law 'always'"),
        ({"delays": {"law": "lognormal", "sigm": 1.0}}, "'delays.sigm'; did you mean 'sigma'?"),
        ({"delays": {"law": "lognormal", "sigma": 9.0}}, "sigma must be from 0.001 to 5, got 9"),
        ({"delays": {"law": "lognormal", "sigma": "a"}}, "sigma must be a number"),
        ({"delays": {"law": "devices"}}, "law 'devices' needs trace"),
    ],
)
def test_settings_that_cannot_be(table, says):
    with pytest.raises(ConfigError) as caught:
        make_config({"max_updates": 9, "tasks": {"a": {"kind": "tanh"}}, **table})
    assert says in str(caught.value)


def test_requests_that_are_always_lost_end_in_one_sentence(monkeypatch):
    monkeypatch.setattr("fedast_jax.clients.presence.MOST_LOST", 500)
    short = {"law": "diurnal", "share_on": 0.1, "period": 1.0, "when_off": "lose"}
    with pytest.raises(ConfigError, match="500 requests were lost one after the other"):
        lay_out(availability=short)


@pytest.mark.parametrize("algorithm", ["fedast", "sync_st"])
def test_devices_take_what_the_formula_says(tmp_path, algorithm):
    rows = [f"{client},{0.01 * (client + 1)},{1000.0 * (client + 1)}" for client in range(60)]
    header = "client,seconds_per_sample,bytes_per_second"
    path = write(tmp_path / "devices.csv", header, rows)
    timeline = lay_out(algorithm, 200, delays={"law": "devices", "trace": path})
    model = 4 * (64 * 8 + 8 + 8 * 10 + 10)
    requests = timeline.requests
    client = np.asarray(requests.client)
    taken = np.asarray(requests.arrives_at) - np.asarray(requests.started_at)
    expected = 3 * 24 * 0.01 * (client + 1) + 2 * model / (1000.0 * (client + 1))
    np.testing.assert_allclose(taken, expected, rtol=1e-9)


def test_a_law_of_ones_own(capsys, monkeypatch):
    monkeypatch.setitem(laws.LAWS, "own", laws.LAWS["constant"])
    laws.register_delay("own", lambda u, a: 3.0 + 0.0 * u + a, {"a": (0.0, 0.0, 2.0)})
    assert "'own' is there already" in capsys.readouterr().err
    equal = {"law": "own", "a": 1.0, "speeds": [1.0], "shares": [1.0]}
    requests = lay_out(num_updates=50, delays=equal).requests
    taken = np.asarray(requests.arrives_at) - np.asarray(requests.started_at)
    np.testing.assert_allclose(taken, 1.5 * 4.0)
    with pytest.raises(ValueError, match="finite numbers of at least 0"):
        laws.register_delay("bad", lambda u: u - 1.0)

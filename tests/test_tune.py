"""``fedast tune``: what it finds, what it keeps, and what runs make of it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from itertools import count, cycle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_cli import run
from test_exactness import check_for_real, fixed_scenario

import fedast_jax as fx
from fedast_jax.cli.job import Job
from fedast_jax.config.errors import ConfigError, ResumeError
from fedast_jax.run import machine, tuned
from fedast_jax.run.checkpoint import Checkpoints
from fedast_jax.run.devices import settle
from fedast_jax.run.prepare import prepare_run
from fedast_jax.run.resolve import make_config
from fedast_jax.run.tune import GAIN, best, outward, take_turns, tune
from fedast_jax.run.tuned import Kept, forget, here, keep, kept_numbers, read_kept

NARROW = {"batch_width": 4}
TABLE = {"num_clients": 20, "max_updates": 24, "tasks": {"softmax": {}}, "machine": NARROW}
RATES = {1: 2.0, 16: 1.0}


def kept(kind: str = "softmax", best: int = 1, num_devices: int = 1) -> Kept:
    """As ``tune`` returns it; the shipped number is 16: a whole batch."""
    where = here(num_devices)
    return Kept(where=where, kind=kind, digest="", shipped=16, best=best, rates=RATES)


@pytest.fixture
def file(monkeypatch, tmp_path: Path) -> Path:
    """Where measurements are kept."""
    path = tmp_path / "cache" / "tuned.json"
    monkeypatch.setattr(tuned, "kept_file", lambda: path)
    tuned._warn_once.cache_clear()
    machine._say_once.cache_clear()
    return path


@pytest.mark.parametrize(
    ("shipped", "most", "numbers"),
    [(1, 16, [1, 2, 4, 8, 16]), (8, 16, [8, 4, 16, 2, 1]), (3, 8, [3, 4, 2, 8, 1])],
)
def test_the_neighbours_of_the_shipped_number_come_first(shipped, most, numbers):
    assert outward(shipped, most) == numbers


@pytest.mark.parametrize(
    ("rates", "number"),
    [
        ({2: [10, 10, 10], 4: [14, 14, 14], 8: [12, 12, 12]}, 4),
        ({2: [10, 10, 10], 4: [10.4, 10.4, 10.4]}, 2),  # less than the margin
        ({2: [10, 20, 10, 20], 4: [13, 26, 13, 26]}, 4),  # what disturbs meets both
        ({2: [10, 10, 10, 10], 4: [14, 9, 14, 9]}, 2),  # faster on average, and not for certain
        ({2: [10, 10, 10, 10], 4: [14, 9, 14, 9], 1: [11, 11, 11, 11]}, 1),
        ({2: [10, 10], 4: [14, 14]}, 2),  # too few turns
        ({2: [10, 10, 10], 4: [9, 9, 9]}, 2),
        ({2: [10]}, 2),
    ],
)
def test_another_number_is_best_where_it_is_faster_for_certain(rates, number):
    assert best(rates, shipped=2) == number


def test_the_margin_lies_between():
    for gain, number in ((GAIN - 0.01, 1), (GAIN + 0.01, 4)):
        assert best({1: [1.0] * 3, 4: [gain] * 3}, shipped=1) == number


class Clock:
    """Time that passes where the test says so; compiling takes ten seconds."""

    def __init__(self) -> None:
        self.now, self.order = 0.0, []

    def __call__(self) -> float:
        return self.now

    def start(self, number: int) -> Callable[[], float]:
        self.now += 10.0
        return lambda: self.turn(number)

    def turn(self, number: int) -> float:
        """As long as the number is large."""
        self.order.append(number)
        self.now += number
        return 100.0 / number


def test_numbers_take_turns_there_and_back_until_the_time_is_up():
    clock = Clock()
    rates = take_turns([1, 2, 4], clock.start, 60.0, clock)
    assert rates == {1: [100.0] * 4, 2: [50.0] * 4, 4: [25.0] * 4}
    assert clock.order == [1, 2, 4, 4, 2, 1, 1, 2, 4, 4, 2, 1]
    assert clock.now == 58.0


@pytest.mark.parametrize(
    ("seconds", "numbers"), [(0.0, [1]), (31.0, [1, 2]), (53.0, [1, 2, 4]), (1e6, [1, 2, 4, 8])]
)
def test_numbers_for_which_there_is_no_time_are_left_out(seconds, numbers):
    """Those that are measured have three turns each, within the time."""
    clock = Clock()
    rates = take_turns([1, 2, 4, 8], clock.start, seconds, clock)
    assert list(rates) == numbers
    assert seconds == 0 or min(map(len, rates.values())) >= 3
    assert seconds == 0 or clock.now <= seconds


def test_a_real_measurement():
    measured = tune("digits", 1.0)
    assert (measured.kind, measured.shipped, measured.digest) == ("digits", 8, "")
    assert measured.rates[8] > 1
    assert measured.best in measured.rates


def test_what_is_kept_is_found_again_and_forgotten(file):
    assert (read_kept(), kept_numbers(["softmax"], 1)) == ([], {})
    keep([kept("softmax", 16), kept("mnist", 2)])
    keep([kept("softmax", 1), kept("mnist", 4, num_devices=2)])
    assert [one.kind for one in read_kept()] == ["mnist", "softmax", "mnist"]
    kinds = ["softmax", "mnist", "cifar10"]
    assert kept_numbers(kinds, 1) == {"softmax": 1, "mnist": 2}
    assert kept_numbers(kinds, 2) == {"mnist": 4}
    assert kept_numbers(kinds, 3) == {}
    assert forget(["mnist"]) == 2
    assert kept_numbers(kinds, 1) == {"softmax": 1}
    assert [path.name for path in file.parent.iterdir()] == ["tuned.json"]
    assert forget([]) == 1
    assert not file.exists()


@pytest.mark.parametrize("name", ["machine_name", "package_version"])
def test_another_machine_or_version_finds_nothing(file, monkeypatch, name):
    keep([kept()])
    monkeypatch.setattr(tuned, name, lambda *package: "another")
    assert kept_numbers(["softmax"], 1) == {}


def test_the_shipped_number_is_no_other(file):
    keep([kept(best=16)])
    assert kept_numbers(["softmax"], 1) == {}


BROKEN = {
    "cut": lambda text: text[: len(text) // 2],
    "another's": lambda text: '{"kept": 3}',
    "a later format": lambda text: text.replace('"format": 1', '"format": 2'),
    "a number that is none": lambda text: text.replace('"best": 1', '"best": 100000'),
    "not finite": lambda text: text.replace("2.0", "1e999"),
    "a key too many": lambda text: text.replace('"kind"', '"x": 1, "kind"'),
    "deep": lambda text: "[" * 10**5,
    "binary": lambda text: "\udcff",
    "large": lambda text: " " * 10**6 + text,
    "empty": lambda text: "",
}


@pytest.mark.parametrize("harm", BROKEN)
def test_a_damaged_file_is_as_none_and_told_once(file, harm, capsys):
    keep([kept()])
    file.write_bytes(BROKEN[harm](file.read_text()).encode("utf-8", "surrogateescape"))
    for _ in range(2):
        assert kept_numbers(["softmax"], 1) == {}
    said = capsys.readouterr().err
    assert said.count("\n") == said.count("warning: cannot use ") == 1
    keep([kept()])
    assert kept_numbers(["softmax"], 1) == {"softmax": 1}


def test_what_is_no_file_is_as_none(file, capsys):
    file.mkdir(parents=True)
    assert read_kept() == []
    assert "it is no plain file" in capsys.readouterr().err


def test_models_equal_the_oracle_with_another_number():
    machine = {**NARROW, "side_by_side": {"softmax": 2}}
    tasks = {"softmax": {"num_active": 7, "test_every": 1}}
    ran, _ = check_for_real(fixed_scenario(machine=machine, tasks=tasks, max_updates=30))
    assert ran.driver.pools[0].spec.micro_batch == 2


def test_a_run_uses_what_is_kept_and_says_so(file, capsys):
    """The result's configuration names it, so it is the same where nothing is kept."""
    plain = fx.simulate(TABLE)
    assert "side_by_side" not in plain.config.to_toml()
    assert plain.manifest()["side_by_side"] == {}
    assert "side by side" not in capsys.readouterr().err
    keep([kept(best=2)])
    results = [fx.simulate(TABLE) for _ in range(2)]
    said = capsys.readouterr().err
    assert said == "note: clients trained side by side on a device: 2 of softmax\n"
    config = results[0].config
    assert config.machine.side_by_side == results[0].manifest()["side_by_side"] == {"softmax": 2}
    file.unlink()
    again = fx.simulate(make_config(tomllib.loads(config.to_toml())))
    pd.testing.assert_frame_equal(again.evaluations, results[0].evaluations, check_exact=True)
    assert again.config == config
    np.testing.assert_allclose(again.evaluations.loss, plain.evaluations.loss, rtol=1e-4)


def micro_batch(table: dict) -> int:
    (config,) = settle([make_config(table)])
    return prepare_run([config]).pools[0].spec.micro_batch


def test_the_program_is_another_one(file):
    """As its key says, by which compiled programs are told apart."""
    assert micro_batch(TABLE) == 4
    keep([kept(best=2)])
    assert micro_batch(TABLE) == 2
    machines = [{**NARROW, "side_by_side": {"softmax": number}} for number in (1, 2)]
    configs = [make_config({**TABLE, "machine": machine}) for machine in machines]
    assert len({prepare_run([config]).pools[0].spec.key for config in configs}) == 2


@pytest.mark.parametrize(
    "given",
    [
        {"num_devices": 1},  # as a run folder names them: what it says is all
        {"precision": "float64"},  # nothing was measured in it
        {"side_by_side": {"softmax": 8}},
    ],
)
def test_what_is_given_is_not_overruled(file, given):
    keep([kept()])
    (config,) = settle([make_config({**TABLE, "machine": given})])
    assert config.machine.side_by_side == given.get("side_by_side", {})


def test_other_machines_take_nothing_from_this_one(file):
    """Those of a cluster: what is kept is looked at where a run is this process's alone."""
    keep([kept()])
    assert settle([make_config(TABLE)], lambda: 1)[0].machine.side_by_side == {}


def test_a_study_names_it(file):
    """Its table, of which its configurations are made."""
    keep([kept()])
    job = Job("study", [make_config(TABLE)], {"save": []}, TABLE).settled(None)
    settled = {"batch_width": 4, "num_devices": 1, "side_by_side": {"softmax": 1}}
    assert job.settings["machine"] == settled
    assert Job.from_json(job.to_json()) == job
    given = make_config({**TABLE, "machine": {"side_by_side": {"mnist": 4}}})
    numbers = [config.machine.side_by_side for config in settle([given, make_config(TABLE)])]
    assert numbers == [{"softmax": 1, "mnist": 4}] * 2


def test_a_run_goes_on_with_what_it_began_with(file, tmp_path: Path):
    table = {**TABLE, "max_updates": 300, "machine": {**NARROW, "checkpoint_seconds": 0.0}}
    keep([kept(best=2)])
    whole, calls = fx.simulate(table), count()
    checkpoints = Checkpoints(tmp_path / "run")
    first = fx.simulate(table, checkpoints=checkpoints, is_stopped=lambda: next(calls) > 3)
    assert first.status == "interrupted"
    keep([kept(best=4)])
    with pytest.raises(ResumeError, match="belong to other settings"):
        fx.simulate(table, overrides=["machine.side_by_side.softmax=1"], checkpoints=checkpoints)
    rest = fx.simulate(table, checkpoints=checkpoints)
    assert (rest.status, rest.config.machine.side_by_side) == ("finished", {"softmax": 2})
    pd.testing.assert_frame_equal(rest.evaluations, whole.evaluations, check_exact=True)


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        ({"softmax": 0}, "machine.side_by_side.softmax must be at least 1, got 0"),
        ({"softmax": 2048}, "machine.side_by_side.softmax must be at most 1,024, got 2048"),
        ({"softmax": 6}, "'softmax' side by side are a power of two, got 6: take 4 or 8"),
        ({"softmax": "2"}, "machine.side_by_side.softmax must be a whole number, got '2'"),
        (
            {"sofmax": 2},
            "machine.side_by_side: unknown task kind 'sofmax'; did you mean 'softmax'?",
        ),
        (3, "machine.side_by_side must be a table of settings, got 3"),
    ],
)
def test_numbers_that_cannot_be(numbers, says):
    with pytest.raises(ConfigError) as error:
        make_config({**TABLE, "machine": {"side_by_side": numbers}})
    assert says in str(error.value)


def test_runs_together_have_one_number():
    configs = [
        make_config({**TABLE, "machine": {"num_devices": 1, "side_by_side": {"softmax": number}}})
        for number in (1, 2)
    ]
    with pytest.raises(ConfigError, match=r"machine\.side_by_side must be the same for all"):
        fx.simulate_together(configs)


@pytest.fixture
def fast(monkeypatch):
    """A measurement that takes no time: one client at a time is fastest, whatever the kind."""
    found = cycle([kept("mnist", 1), kept("cifar10", 16)])
    monkeypatch.setattr("fedast_jax.run.tune.tune", lambda kind, seconds: next(found))


def test_command_line(monkeypatch, file, fast, capsys):
    assert run(monkeypatch, "tune", "mnist", "cifar10", "mnist") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines[1:]] == [
        ["mnist", "1,", "not"],
        ["cifar10", "16", "(shipped)"],
    ]
    assert "1: 2, 16: 1" in lines[1]
    assert len(json.loads(file.read_text())["kept"]) == 2
    assert run(monkeypatch, "tune", "--show") == 0
    assert capsys.readouterr().out.splitlines() == lines
    assert run(monkeypatch, "tune", "--forget", "mnist") == 0
    assert capsys.readouterr().out.startswith("1 dropped")
    assert run(monkeypatch, "tune", "--show", "mnist") == 0
    assert capsys.readouterr().out.startswith("nothing is kept in ")


def test_without_names_the_kinds_of_the_paper_are_measured(monkeypatch, file):
    asked = []
    monkeypatch.setattr(
        "fedast_jax.run.tune.tune", lambda kind, seconds: asked.append(kind) or kept(kind)
    )
    assert run(monkeypatch, "tune", "--seconds", "5") == 0
    assert asked == ["mnist", "fashion_mnist", "cifar10", "shakespeare"]


def test_without_a_comparison_nothing_is_kept(monkeypatch, file, capsys):
    """An earlier one is not lost to a short measurement."""
    keep([kept("mnist", 1)])
    alone = kept("mnist", 16).model_copy(update={"rates": {16: 1234.5}})
    monkeypatch.setattr("fedast_jax.run.tune.tune", lambda kind, seconds: alone)
    assert run(monkeypatch, "tune", "mnist") == 0
    said = capsys.readouterr().out
    assert "16 (shipped; no time for others: raise --seconds)  16: 1,234" in said
    assert kept_numbers(["mnist"], 1) == {"mnist": 1}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["mnits"], "error: unknown task kind 'mnits'; did you mean 'mnist'?"),
        (["--show", "--forget"], "error: --show and --forget are two things to do"),
        (["--seconds", "0.5"], "Invalid value for '--seconds'"),
    ],
)
def test_what_cannot_be_asked_for(monkeypatch, file, arguments, says, capsys):
    assert run(monkeypatch, "tune", *arguments) == 2
    assert says in capsys.readouterr().err
    assert not file.exists()


def test_a_measurement_that_cannot_be_kept_is_shown(monkeypatch, file, fast, capsys):
    file.parent.parent.joinpath("cache").write_text("in the way")
    assert run(monkeypatch, "tune", "mnist") == 2
    said = capsys.readouterr()
    assert "mnist" in said.out
    assert said.err.startswith("error: ")

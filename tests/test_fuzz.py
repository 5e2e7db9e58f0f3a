"""Scenarios drawn from seeds, the engine against the oracle; and the machinery that does it."""

from __future__ import annotations

from dataclasses import replace
from itertools import count, islice
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fedast_jax.algorithms.async_server import Server
from fedast_jax.cli.commands import app
from fedast_jax.config.errors import ConfigError
from fedast_jax.study.fuzz.cases import Case, draw_case
from fedast_jax.study.fuzz.check import bounded, check_case, digest, results_of, run_again
from fedast_jax.study.fuzz.choices import Seeded
from fedast_jax.study.fuzz.difference import Difference, are_like, expect_column, is_like
from fedast_jax.study.fuzz.fuzz import Log, fuzz, read_case, seeds_from, try_case
from fedast_jax.study.fuzz.knobs import Knobs, small_numbers
from fedast_jax.study.fuzz.shrink import shrink

FOUND = sorted((Path(__file__).parent / "found").glob("*.toml"))
PER_BLOCK = 50


@pytest.mark.parametrize("block", range(6))
def test_three_hundred_scenarios_do_not_differ(block):
    drawn = (draw_case(seed) for seed in range(100_000 + 100 * block, 100_100 + 100 * block))
    cases, log = islice((one for one in drawn if one.knobs.is_symbolic), PER_BLOCK), Log()
    for case in cases:
        failure = try_case(case, log=log)
        assert failure is None, failure.to_toml()
    assert log.num_cases == PER_BLOCK
    assert not log.refused


def test_a_scenario_that_is_trained_does_not_differ():
    cases = (one for one in map(draw_case, range(1000)) if one.knobs.is_real)
    small = min(islice(cases, 8), key=lambda one: one.table["max_updates"])
    assert check_case(small).requests["used"] > 0


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.stem)
def test_what_was_found_once_does_not_come_back(path):
    check_case(read_case(path))


# The same on every machine: these scenarios use no function whose last bits a machine chooses.
GOLDEN = {
    "constant": "70c8a889f2201f8efa256e10ade4da8fcd481a487a670b191c958c1b0cdfece2",
    "shifted_uniform": "6c2b523ceb8f890f6c64563a4dc2cdb27cba7f9e21de67fdc9c981c4d6e1b819",
    "steps": "398b01b7ac902ca659c44cd00dfc4b9498ddc0d47e454d7a87ce452bcca7fe0e",
}


@pytest.mark.parametrize("law", GOLDEN)
def test_the_order_of_events_is_the_same_everywhere(law):
    tasks = {
        "a": {"kind": "softmax", "num_active": 5, "target_accuracy": 0.9},
        "b": {"kind": "tanh", "num_active": 4, "copies": 2, "step_time": 0.75},
    }
    table = {
        "tasks": tasks,
        "num_clients": 20,
        "max_active_clients": 9,
        "max_updates": 300,
        "machine": {"batch_width": 4},
        "delays": {"law": law},
        "availability": {"law": "diurnal", "share_on": 0.5, "period": 8.0, "loss": 0.125},
    }
    assert check_case(Case(0, table, Knobs())).digest == GOLDEN[law]


def test_a_seed_says_everything():
    for seed in range(40):
        case = draw_case(seed)
        assert case == draw_case(seed)
        assert Case.from_toml(case.to_toml()) == case
    assert len({draw_case(seed).to_toml() for seed in range(40)}) == 40


def test_choices_reach_both_ends():
    choose = Seeded(7)
    assert {choose.whole(2, 4) for _ in range(100)} == {2, 3, 4}
    assert {choose.coin() for _ in range(100)} == {False, True}
    assert sum(choose.one_in(10) for _ in range(1000)) == pytest.approx(100, abs=40)


def test_two_runs_of_a_scenario_have_one_digest():
    case = next(one for one in map(draw_case, range(100)) if one.knobs.stops == (True,))
    with small_numbers(case.knobs.granules, case.knobs.chunk):
        first, second = (digest(results_of(run_again(case))) for _ in range(2))
    assert first == second


def test_a_case_is_made_as_small_as_it_fails():
    case = draw_case(3)
    assert len(case.to_toml()) > 500

    def fails(one: Case) -> bool:
        return one.table["num_clients"] >= 2 and "seed" in one.table

    table = {**case.table, "num_clients": 20, "seed": 9}
    small = shrink(replace(case, table=table), fails)
    assert small.table == {"num_clients": 2, "seed": 0, "max_updates": 0}
    assert small.knobs == Knobs()


def test_what_never_ends_is_told():
    with bounded(0.02), pytest.raises(Difference, match="has not ended"):
        any(one < 0 for one in count())


def test_differences_name_their_place():
    with pytest.raises(Difference, match=r"times, row 1: the engine says 2\.0, the oracle 3\.0"):
        expect_column("times", [1.0, 2.0], [1.0, 3.0])
    with pytest.raises(Difference, match="times, number of rows: the engine says 1, the oracle 2"):
        expect_column("times", [1.0], [1.0, 3.0])
    assert is_like(float("nan"), float("nan"))
    assert not is_like(float("nan"), 1.0)
    assert are_like([1.0, float("inf")], [1.0 + 1e-12, float("inf")], 1e-9)
    assert not are_like([1.0], [1.0 + 1e-6], 1e-9)


def test_seeds_end_with_the_number_the_time_and_the_last_one():
    assert list(seeds_from(3, 2, None)) == [3, 4]
    assert list(seeds_from(2**31 - 2, None, None)) == [2**31 - 2, 2**31 - 1]
    assert list(seeds_from(3, None, -1.0)) == []


def test_what_cannot_be_run_is_no_failure():
    def refuse(case):
        raise ConfigError("no")

    log, failure = fuzz(range(3), check=refuse)
    assert failure is None
    assert log.refused == {"no": 3}
    assert log.num_cases == 0


def test_a_failure_becomes_a_file_that_fails_again(monkeypatch, tmp_path):
    with monkeypatch.context() as fault:
        fault.setattr(Server, "dispatch", lambda self, tasks: None)
        done = CliRunner().invoke(
            app, ["fuzz", "--seed", "0", "--scenarios", "5", "--out", tmp_path]
        )
        assert done.exit_code == 4
        (path,) = tmp_path.iterdir()
        assert path.read_text() in done.output
        assert f"fedast fuzz --seed {path.stem[5:]} --scenarios 1" in done.output
        assert "# seed" in path.read_text()
        assert CliRunner().invoke(app, ["fuzz", str(path), "--out", str(tmp_path)]).exit_code == 4
    done = CliRunner().invoke(app, ["fuzz", str(path)])
    assert done.exit_code == 0
    assert "1 scenarios without a difference" in done.output


NO_CASES = [
    "=",
    "seed = 1",
    "seed = 1\n[config]\ntasks = 3",
    "seed = 1\nconfig = 4",
    "[config]\n[knobs]\nwindow = 0",
    "[config]\n[knobs]\nspeed = 1",
]


@pytest.mark.parametrize("text", NO_CASES)
def test_a_file_that_holds_no_case_is_refused(tmp_path, text):
    path = tmp_path / "odd.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"odd\.toml"):
        read_case(path)

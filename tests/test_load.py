"""Results and studies saved, read again, and told apart; Ctrl-C in a call of the library."""

from __future__ import annotations

import signal

import numpy as np
import pytest
from pandas.testing import assert_frame_equal

import fedast_jax as fx
from fedast_jax.config.errors import OutputError, RecordError

TABLE = {
    "name": "small", "num_clients": 20, "max_updates": 24, "num_seeds": 2,
    "machine": {"batch_width": 4},
    "tasks": {"softmax": {"target_accuracy": 0.3, "test_every": 1}, "tanh": {}},
}  # fmt: skip


@pytest.fixture(scope="module")
def result() -> fx.Result:
    return fx.simulate(TABLE, keep_models=True)


def test_a_result_comes_back(tmp_path, result):
    folder = result.save(tmp_path / "out", ["requests", "models"])
    again = fx.load_result(folder)
    assert again.config == result.config
    assert again.summary() == result.summary()
    assert again.manifest() == result.manifest()
    assert again.counts == result.counts
    assert_frame_equal(again.evaluations, result.evaluations, check_dtype=False)
    assert_frame_equal(again.lanes, result.lanes, check_dtype=False)
    assert_frame_equal(again.allocations(), result.allocations(), check_dtype=False)
    assert_frame_equal(again.requests(), result.requests(), check_dtype=False)
    assert again.models().keys() == result.models().keys()
    for name, leaf in result.models().items():
        np.testing.assert_array_equal(again.models()[name], leaf)


def test_its_picture_has_the_same_lines(tmp_path, result):
    again = fx.load_result(result.save(tmp_path / "out"))
    for ours, theirs in zip(again.plot().axes, result.plot().axes, strict=True):
        for line, other in zip(ours.lines, theirs.lines, strict=True):
            np.testing.assert_array_equal(line.get_xydata(), other.get_xydata())


def test_what_was_not_kept_is_not_there(tmp_path, result):
    again = fx.load_result(result.save(tmp_path / "out"))
    with pytest.raises(ValueError, match="keep_requests"):
        again.requests()
    with pytest.raises(ValueError, match="keep_models"):
        again.models()


def test_a_folder_that_exists_is_refused(tmp_path, result):
    with pytest.raises(OutputError, match="exists already"):
        result.save(tmp_path)
    with pytest.raises(ValueError, match="extras are requests, models, partition, got 'all'"):
        result.save(tmp_path / "out", ["all"])


def test_a_study_comes_back(tmp_path):
    study = fx.sweep(TABLE, {"tasks.tanh.buffer_size": [1, 2]})
    again = fx.load_study(study.save(tmp_path / "out"))
    assert again.summary() == study.summary()
    assert again.manifest() == study.manifest()
    assert_frame_equal(again.evaluations, study.evaluations, check_dtype=False)
    assert [one.config for one in again.results] == [one.config for one in study.results]
    with pytest.raises(RecordError, match="read it by load_study"):
        fx.load_result(tmp_path / "out")


def test_a_run_is_no_study(tmp_path, result):
    with pytest.raises(RecordError, match="read it by load_result"):
        fx.load_study(result.save(tmp_path / "out"))


@pytest.fixture
def ctrl_c():
    """As in a terminal: what is started in the background has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_is_raised_once_the_state_is_safe(tmp_path):
    """And the run goes on from there to the same results."""
    config = fx.make_config({**TABLE, "max_updates": 120, "tasks": {"tanh": {}}})
    pressed = []

    def press(progress) -> None:
        if not pressed:
            pressed.append(progress.updates)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fx.simulate(config, checkpoints=fx.Checkpoints(tmp_path), on_progress=press)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    rest = fx.simulate(config, checkpoints=fx.Checkpoints(tmp_path))
    whole = fx.simulate(config)
    assert 0 < pressed[0] < whole.counts.updates
    assert rest.evaluations.equals(whole.evaluations)

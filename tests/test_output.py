"""What a run can do without may fail: one line says so."""

from __future__ import annotations

import io
import os
import sys

import pytest

from fedast_jax.results.output import attempt, has_lost_output, lasting_output, reason_of


def test_a_failed_attempt_is_a_warning_that_names_it(capsys):
    with attempt("draw"):
        raise ValueError("two\n  lines")
    assert capsys.readouterr().err == (
        "warning: cannot draw (ValueError: two lines): going on without\n"
    )


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError("full"), "full"),
        (KeyError(), "KeyError"),
        (ValueError("x" * 999), "ValueError: " + "x" * 188),
    ],
)
def test_reasons_are_one_short_line(error, words):
    assert reason_of(error) == words


def test_a_closed_pipe_is_told_once_and_ends_nothing(monkeypatch, capsys):
    ours, theirs = os.pipe()
    os.close(ours)
    with os.fdopen(theirs, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with lasting_output():
            print("lost", flush=True)
            assert has_lost_output()
            print("lost as well")
        print("after", flush=True)  # what is printed at the exit fails no more
    assert capsys.readouterr().err == (
        "warning: cannot print the rest (Broken pipe): going on without\n"
    )


def test_output_that_is_written_only_at_the_end_may_fail_too(monkeypatch, capsys):
    ours, theirs = os.pipe()
    os.close(ours)
    with os.fdopen(theirs, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with lasting_output():
            print("waits in the buffer")
    assert "Broken pipe" in capsys.readouterr().err


def test_characters_that_the_encoding_lacks(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "ascii"))
    with lasting_output():
        print("1 ± 2")
        assert not has_lost_output()
    assert written.getvalue() == b"1 ? 2\n"


def test_a_program_without_streams(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    with lasting_output(), attempt("draw"):
        raise ValueError
    assert sys.stdout is None

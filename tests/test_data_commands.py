"""``fedast data``: what the commands print, and that errors reach the main program."""

import io

import pytest
from rich.console import Console
from typer.testing import CliRunner

from fedast_jax.cli import data as commands
from fedast_jax.data import DataError

run = CliRunner()


@pytest.fixture(autouse=True)
def empty_places(tmp_path, monkeypatch):
    for variable in ("FEDAST_CACHE_DIR", "TFDS_DATA_DIR"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    monkeypatch.delenv("FEDAST_DATA_DIR", raising=False)
    monkeypatch.setattr("fedast_jax.data.sources.download_folder", lambda: tmp_path / "downloads")


def test_list_is_plain_text_without_a_terminal():
    result = run.invoke(commands.app, ["list"])
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0].split("  ")[0] == "data set"
    assert [line.split()[:2] for line in lines[1:]] == [
        ["digits", "yes"],
        ["mnist", "no"],
        ["fashion_mnist", "no"],
        ["cifar10", "no"],
        ["cifar100", "no"],
        ["shakespeare", "no"],
    ]
    assert "1,437 + 360" in lines[1]


def test_check_shows_what_is_in_a_set():
    result = run.invoke(commands.app, ["check", "digits"])
    assert result.exit_code == 0
    shown = dict(line.split("  ", 1) for line in result.output.splitlines())
    shown = {what: value.strip() for what, value in shown.items()}
    assert shown["train + test"] == "1,437 + 360"
    assert shown["image"] == "8 x 8 x 1"
    assert sum(map(int, shown["train images per class"].split())) == 1437
    assert len(shown["SHA-256 of the arrays"]) == 64


def test_check_of_a_text(tmp_path, monkeypatch):
    plays = tmp_path / "data" / "shakespeare" / "plays"
    plays.mkdir(parents=True)
    speech = "Words, words, words. " * 30
    (plays / "one.txt").write_text(f"HAMLET:\n{speech}\n\nGHOST:\nMark me\u2014\n", "utf-8")
    monkeypatch.setenv("FEDAST_DATA_DIR", str(tmp_path / "data"))
    result = run.invoke(commands.app, ["check", "shakespeare"])
    assert result.exit_code == 0
    shown = dict(line.split("  ", 1) for line in result.output.splitlines())
    shown = {what: value.strip() for what, value in shown.items()}
    assert shown["clients (roles)"] == "1"  # the ghost says too little
    assert shown["characters"] == str(len(speech))
    assert "yes" in run.invoke(commands.app, ["list"]).output.splitlines()[-1]


def test_a_table_on_a_terminal(monkeypatch):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=60, markup=False)
    monkeypatch.setattr(commands, "Console", lambda **options: console)
    commands.print_table(("what", "value"), [("folder", "/data/[bold]/mnist")])
    assert "/data/[bold]/mnist" in screen.getvalue()
    assert "\x1b[" in screen.getvalue()


def test_prepare_of_a_set_without_files():
    result = run.invoke(commands.app, ["prepare", "digits"])
    assert result.exit_code == 0
    assert "needs no files" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "minst"], "did you mean 'mnist'"),
        (["check", "mnist"], "fedast data prepare mnist"),
        (["check", "shakespeare"], "plays/*.txt"),
        (["prepare", "shakespeare"], "plays/*.txt"),
        (["check", "toy", "--tfds"], "TFDS set 'toy' is not prepared"),
        (["prepare", "minst"], "did you mean 'mnist'"),
    ],
)
def test_errors_reach_the_main_program(arguments, message):
    result = run.invoke(commands.app, arguments)
    assert isinstance(result.exception, DataError)
    assert message in str(result.exception)

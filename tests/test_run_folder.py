"""Data first: what fails in tables and figures afterwards is told, and loses nothing."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure
from rich.console import Console

import fedast_jax as fx
from fedast_jax.config import disk
from fedast_jax.results import figures, run_folder
from fedast_jax.results.console import show_result
from fedast_jax.results.palette import plain
from fedast_jax.results.result import Result

DATA = {
    "config.toml",
    "evaluations.parquet",
    "allocations.parquet",
    "lanes.parquet",
    "summary.json",
    "manifest.json",
    "checksums.json",
}


@pytest.fixture(scope="module")
def result() -> Result:
    table = {
        "max_updates": 6,
        "num_clients": 10,
        "machine": {"batch_width": 4},
        "tasks": {"softmax": {}},
    }
    return fx.simulate(fx.make_config(table), keep_models=True)


def renamed(result: Result, name: str) -> Result:
    """A result of a name that no configuration allows."""
    return dataclasses.replace(result, config=result.config.model_copy(update={"name": name}))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_figure_that_fails_is_a_warning(monkeypatch, tmp_path, result, capsys):
    def fail(self):
        raise ValueError("no picture")

    monkeypatch.setattr(Result, "plot", fail)
    folder = run_folder.save(result, tmp_path / "out")
    assert names(folder) == DATA
    assert names(tmp_path) == {"out"}
    said = capsys.readouterr().err
    assert said.startswith("warning: cannot draw the figures in ")
    assert "no picture" in said


def test_a_figure_that_cannot_be_written_is_named(monkeypatch, tmp_path, result, capsys):
    def fail(self, file, **options):
        file.write(b"half")
        raise ValueError("no picture")

    monkeypatch.setattr(Figure, "savefig", fail)
    folder = run_folder.save(result, tmp_path / "out")
    assert names(folder) == DATA
    assert "cannot draw accuracy (ValueError: no picture)" in capsys.readouterr().err


def test_figures_are_drawn_into_a_folder_that_is_complete(monkeypatch, tmp_path, result):
    seen = []
    monkeypatch.setattr(Result, "plot", lambda self: seen.append(names(tmp_path / "out")))
    run_folder.save(result, tmp_path / "out")
    assert seen == [DATA]


def test_a_file_that_cannot_be_made_does_not_take_the_others_along(
    monkeypatch, tmp_path, result, capsys
):
    monkeypatch.setattr(Result, "summary", lambda self: {"time": float("inf")})
    folder = run_folder.save(result, tmp_path / "out")
    assert names(folder) == DATA - {"summary.json"} | {"figures"}
    assert "warning: cannot write summary.json (ValueError: " in capsys.readouterr().err


def test_where_not_all_has_room_the_rest_is_saved(monkeypatch, tmp_path, result):
    def fail(result, path):
        path.write_text("half")
        raise OSError(28, "No space left on device")

    (tmp_path / "rescue").mkdir()
    monkeypatch.setattr(run_folder, "write_models", fail)
    monkeypatch.setattr(disk, "scratch", lambda: tmp_path / "rescue")
    with pytest.raises(run_folder.OutputError, match=r"the results are in .*, without models.npz$"):
        run_folder.save(result, tmp_path / "out", ["models"])
    assert names(tmp_path) == {"rescue"}
    (saved,) = (tmp_path / "rescue").iterdir()
    assert names(saved) == DATA
    assert len(pd.read_parquet(saved / "evaluations.parquet")) == len(result.evaluations)


def test_where_nothing_has_room(monkeypatch, tmp_path, result):
    def fail(path, *more):
        raise OSError(27, "File too large")

    (tmp_path / "rescue").mkdir()
    monkeypatch.setattr(run_folder, "write_text", fail)
    monkeypatch.setattr(run_folder, "write_table", fail)
    monkeypatch.setattr(disk, "scratch", lambda: tmp_path / "rescue")
    with pytest.raises(run_folder.OutputError, match="File too large; the results are lost"):
        run_folder.save(result, tmp_path / "out")
    assert names(tmp_path / "rescue") == set()


def test_names_as_long_as_the_file_system_allows(tmp_path, result):
    folder = run_folder.save(result, tmp_path / ("x" * 247))
    assert json.loads((folder / "manifest.json").read_text())["status"] == "finished"


@pytest.mark.parametrize("name", ["$x^$", r"$\foo$", "a$b$c", "_hidden", "[/red]", "[red]"])
def test_names_are_neither_formulas_nor_markup(tmp_path, result, name, capsys):
    odd, text = renamed(result, name), io.StringIO()
    show_result(odd, Console(file=text, width=120))
    assert f"{name}: fedast" in text.getvalue()
    odd.plot().savefig(tmp_path / "accuracy.png")
    figure = Figure()
    panel = figure.subplots()
    figures.finish_panel(panel, name)
    panel.plot([0], [0], label=plain(name))
    assert panel.get_legend_handles_labels()[1] == [plain(name)]
    figure.savefig(tmp_path / "panel.png")

"""Finished folders shown again: the same table, the same figures, from the files alone."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pandas.testing import assert_frame_equal
from rich.console import Console

import fedast_jax as fx
from fedast_jax.cli.show import show
from fedast_jax.config.errors import RecordError
from fedast_jax.config.sheet import Row, Sheet
from fedast_jax.results import run_folder
from fedast_jax.results.console import show_costs, show_summary
from fedast_jax.study.beside import side_by_side
from fedast_jax.study.recorded import read_folder
from fedast_jax.study.report import show_tables
from fedast_jax.study.study import Study
from fedast_jax.study.study_folder import save_study

TABLE = {
    "name": "small",
    "num_clients": 20,
    "max_active_clients": 12,
    "keep_first": 3,
    "max_updates": 24,
    "num_seeds": 3,
    "machine": {"batch_width": 8},
    "tasks": {"softmax": {"target_accuracy": 0.2, "copies": 2}},
}
GRID = {"keep_first": [2, 3], "delays.law": ["constant", "half_normal"]}
GRID |= {"tasks.softmax.client_lr, tasks.softmax.buffer_size": [[0.5, 1], [1.0, 2]]}


@pytest.fixture(scope="module")
def compared() -> Study:
    return fx.compare(TABLE, ["fedast", "sync_st"], keep_models=True)


@pytest.fixture(scope="module")
def swept() -> Study:
    return fx.sweep(TABLE | {"max_updates": 8}, GRID, seeds=1)


@pytest.fixture(scope="module")
def folders(compared, swept, tmp_path_factory) -> dict[str, Path]:
    """A run, a comparison and a sweep."""
    place = tmp_path_factory.mktemp("runs")
    run_folder.save(compared.results[0], place / "run")
    save_study(compared, place / "study", ["requests", "models", "partition"])
    save_study(swept, place / "sweep")
    return {path.name: path for path in place.iterdir()}


def printed(print_to: Any) -> str:
    console = Console(record=True, width=200, quiet=False, file=open("/dev/null", "w"))  # noqa: SIM115
    print_to(console)
    console.file.close()
    return console.export_text()


def test_a_study_is_read_as_it_was_written(folders, compared, swept):
    for name, study in {"study": compared, "sweep": swept}.items():
        found = read_folder(folders[name]).study
        assert found.summary() == study.summary()
        assert_frame_equal(found.evaluations, study.evaluations, check_dtype=False)
        for ours, theirs in zip(study.results, found.results, strict=True):
            assert_frame_equal(ours.lanes, theirs.lanes.reset_index(drop=True), check_dtype=False)
            assert len(ours.allocations()) == len(theirs.allocations())


@pytest.mark.parametrize("name", ["run", "study", "sweep"])
def test_figures_are_the_same_bytes_and_the_table_the_same_words(
    folders, compared, swept, tmp_path, name
):
    words = printed(lambda console: show([folders[name]], tmp_path / "figures", console))
    written = sorted((folders[name] / "figures").iterdir())
    drawn = sorted((tmp_path / "figures").iterdir())
    assert [path.name for path in written] == [path.name for path in drawn]
    for path in written:
        assert path.read_bytes() == (tmp_path / "figures" / path.name).read_bytes()
    manifest = json.loads((folders[name] / "manifest.json").read_text())

    def at_the_end_of_the_run(console: Console) -> None:
        if name == "run":
            show_summary(compared.results[0].summary(), console)
            show_costs(manifest, console)
        else:
            show_tables(compared if name == "study" else swept, console)
            show_costs(manifest, console)

    assert words.splitlines()[:-1] == printed(at_the_end_of_the_run).splitlines()[:-1]


def test_nothing_of_the_simulation_is_imported(folders, tmp_path):
    """One process alone: no device, no data set, no timeline (SciPy is for the intervals)."""
    code = (
        "import sys\n"
        f"sys.argv = {['fedast', 'show', str(folders['study']), '--out', str(tmp_path / 'a')]}\n"
        "from fedast_jax import cli\n"
        "try: cli.main()\n"
        "except SystemExit as ended: assert not ended.code\n"
        "heavy = {'jax', 'sklearn', 'flax', 'fedast_jax.algorithms', 'fedast_jax.data'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "small: fedast against sync_st" in done.stdout
    assert (tmp_path / "a" / "accuracy.pdf").exists()


def test_runs_side_by_side_are_paired_by_seed(compared, tmp_path):
    """Two folders of one run each say what the comparison says."""
    paths = [tmp_path / result.config.algorithm for result in compared.results]
    for result, path in zip(compared.results, paths, strict=True):
        run_folder.save(result, path)
    found = side_by_side([read_folder(path) for path in paths])
    assert found.methods == ["fedast", "sync_st"]
    assert found.compared() == compared.compared() | {
        "algorithms": {
            method: summary | {"name": found.name}
            for method, summary in compared.compared()["algorithms"].items()
        }
    }
    assert "small" in printed(lambda console: show(paths, tmp_path / "figures", console))
    assert (tmp_path / "figures" / "accuracy.png").exists()


def test_other_worlds_are_side_by_side_but_not_paired(folders, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(folders["run"], other)
    text = (other / "config.toml").read_text()
    (other / "config.toml").write_text(text.replace("num_clients = 20", "num_clients = 30"))
    found = side_by_side([read_folder(path) for path in (folders["run"], other)])
    assert found.methods == ["run: fedast", "other: fedast"]
    gain = found.compared()["gain"]["other: fedast"]
    assert (gain["mean"], gain["reason"]) == (None, "not paired, since num_clients differs")
    words = printed(lambda console: show([folders["run"], other], tmp_path / "figures", console))
    assert "not paired, since num_clients differs" in words


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["run", "run"], "is there twice"),
        (["run", "sweep"], "sweep over different settings"),
    ],
)
def test_what_cannot_be_shown_together(folders, names, says):
    with pytest.raises(RecordError, match=says):
        side_by_side([read_folder(folders[name]) for name in names])


BROKEN = {
    "config.toml": ["", "tasks = 3", "\x00", "[tasks.a]\ncopies = 'x'", "a = [" * 5000],
    "manifest.json": ["", "[]", "{}", '{"status": "gone"}', "[" * 100_000],
    "evaluations.parquet": ["", "PAR1", None],
    "lanes.parquet": ["nothing", None],
}


@pytest.mark.parametrize(
    ("name", "content"), [(name, content) for name, found in BROKEN.items() for content in found]
)
def test_a_broken_folder_is_one_sentence(folders, tmp_path, name, content):
    broken = tmp_path / "broken"
    shutil.copytree(folders["run"], broken)
    (broken / name).unlink()
    if content is not None:
        (broken / name).write_text(content)
    with pytest.raises(RecordError) as caught:
        show([broken], tmp_path / "figures", Console(quiet=True))
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "figures").exists()


def test_tables_of_another_run_are_refused(folders, tmp_path):
    mixed = tmp_path / "mixed"
    shutil.copytree(folders["run"], mixed)
    text = (mixed / "config.toml").read_text()
    (mixed / "config.toml").write_text(text.replace("[tasks.softmax]", "[tasks.other]"))
    with pytest.raises(RecordError, match="'softmax_1' that its configuration has not"):
        read_folder(mixed)
    shutil.copytree(folders["sweep"], tmp_path / "less")
    next((tmp_path / "less" / "configs").iterdir()).unlink()
    with pytest.raises(RecordError, match="names 8 configurations, and there are 7"):
        read_folder(tmp_path / "less")


def test_the_command_line_ends_with_exit_code_2(monkeypatch, capsys, tmp_path):
    from fedast_jax.cli import commands as cli

    for path in (tmp_path / "none", tmp_path):
        monkeypatch.setattr(sys, "argv", ["fedast", "show", str(path)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 2
        said = capsys.readouterr().err
        assert said.startswith("error: ")
        assert said.count("\n") == 1
        assert str(path) in said


def test_studies_save_more_tables_too(folders, compared):
    import numpy as np
    import pandas as pd

    requests = pd.read_parquet(folders["study"] / "requests.parquet")
    held = pd.read_parquet(folders["study"] / "partition.parquet")
    for table in (requests, held):
        assert next(iter(table)) == "algorithm"
        assert list(dict.fromkeys(table.algorithm)) == ["fedast", "sync_st"]
    assert len(requests) == sum(len(one.requests()) for one in compared.results)
    models = np.load(folders["study"] / "models.npz")
    assert {key.split("/")[0] for key in models} == {"0-fedast", "1-sync_st"}


@pytest.mark.parametrize("of", ["config", "result", "study"])
def test_what_a_prompt_shows_is_one_line(compared, of):
    result = compared.results[0]
    one = {"config": result.config, "result": result, "study": compared}[of]
    assert len(repr(one)) < 200
    assert "\n" not in repr(one)
    for word in ("small", "fedast", "3 seeds"):
        assert word in repr(one)
    html = one._repr_html_()
    assert html.count("<table>") == html.count("</table>") == 1
    assert "softmax" in html


def test_notebooks_show_names_as_they_are():
    """No configuration allows such a name; a sheet takes any."""
    sheet = Sheet("<b>&", ["task"], [], [Row(["<i>"])])
    assert "<caption>&lt;b&gt;&amp;</caption>" in sheet.to_html()
    assert "&lt;i&gt;" in sheet.to_html()

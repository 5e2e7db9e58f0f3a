"""``fedast figure``: what it leaves, that it runs once, what it refuses; every smoke figure."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from test_cli import run

from fedast_jax.cli import figure as command
from fedast_jax.cli.job import Job
from fedast_jax.study.paper import rates
from fedast_jax.study.paper.experiments import EXPERIMENTS, Experiment
from fedast_jax.study.paper.judge import FAILS, HOLDS, OPEN
from fedast_jax.study.variants import make_variants

TINY = {
    "num_clients": 20,
    "max_active_clients": 12,
    "keep_first": 3,
    "max_updates": 60,
    "num_seeds": 3,
    "machine": {"batch_width": 8},
    "study": {"compare": ["fedast:dynamic", "sync_st"]},
    "tasks": {"softmax": {"target_accuracy": 0.2}, "tanh": {}},
}


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    """Figures 6 and 7 with two tiny tasks."""
    whole = Experiment.table

    def table(self: Experiment, scale: str, seeds: int | None = None) -> dict[str, Any]:
        if self.name != "fig6-fig7":
            return whole(self, scale, seeds)
        return json.loads(json.dumps(TINY)) | {"name": f"{self.name}-{scale}"}

    monkeypatch.setattr(Experiment, "table", table)


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("figures") / "fig6-fig7-smoke"


def test_a_figure_is_run_drawn_and_judged(monkeypatch, capsys, done):
    assert run(monkeypatch, "figure", "fig7", "--out", done) == 0
    told = capsys.readouterr().out
    for name in ("fig6", "fig7"):  # of one study: both are drawn
        assert (done / "figures" / f"{name}.png").stat().st_size > 1000
        assert (done / "figures" / f"{name}.pdf").stat().st_size > 1000
        assert str(done / "figures" / f"{name}.png") in told
    claims = json.loads((done / "claims.json").read_text())["claims"]
    assert {claim["figure"] for claim in claims} == {"fig6", "fig7"}
    assert {claim["verdict"] for claim in claims} <= {HOLDS, FAILS, OPEN}
    assert not any("paper's" in claim["words"] for claim in claims)  # asked at its settings alone
    record = json.loads((done / "figure.json").read_text())
    assert (record["scale"], record["figures"]) == ("smoke", ["fig6", "fig7"])
    assert record["changed"]


def test_a_figure_that_is_there_is_drawn_again_without_running(monkeypatch, done):
    monkeypatch.setattr(command, "begin", None)
    claims = (done / "claims.json").read_bytes()
    shutil.rmtree(done / "figures")
    (done / "claims.json").unlink()
    assert run(monkeypatch, "figure", "fig6", "--out", done) == 0
    assert (done / "figures" / "fig7.png").exists()
    assert (done / "claims.json").read_bytes() == claims


def test_a_folder_with_something_else_is_refused(monkeypatch, capsys, done, tmp_path):
    assert run(monkeypatch, "figure", "fig7", "--seeds", 4, "--out", done) == 2
    assert "its num_seeds is 3, not 4; name another folder with --out" in capsys.readouterr().err
    (tmp_path / "other").mkdir()
    assert run(monkeypatch, "figure", "fig7", "--out", tmp_path / "other") == 2
    assert "no 'config.toml' in it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fig77"], "unknown figure 'fig77'; did you mean 'fig7'?"),
        (["fig7", "--scale", "huge"], "--scale is one of smoke, laptop, paper, got 'huge'"),
        (["fig7", "--seeds", "many"], "num_seeds must be a whole number, got 'many'"),
        (["fig7", "--seeds", "0"], "num_seeds must be at least 1"),
        (["fig7", "runs"], "only 'page' takes folders"),
        (["page"], "name the folders of figures"),
        (["page", "nowhere"], "is not the folder of a figure: there is no 'figure.json'"),
    ],
)
def test_what_is_refused(monkeypatch, capsys, tmp_path, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "figure", *arguments) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_interrupted_figure_names_the_way_on(monkeypatch, capsys, done, tmp_path):
    folder = tmp_path / "half"
    shutil.copytree(done, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"status": "interrupted"}))
    assert run(monkeypatch, "figure", "fig7", "--out", folder) == 2
    assert f"go on with it by 'fedast resume {folder}'" in capsys.readouterr().err


def test_a_theorem_without_its_requests_names_what_would_save_them(monkeypatch, capsys, done):
    thm1 = next(one for one in EXPERIMENTS if one.name == "thm1")
    monkeypatch.setattr(command, "check_same", lambda folder, table: None)
    assert thm1.save == ("requests",)
    assert run(monkeypatch, "figure", "thm1", "--out", done) == 2
    assert "--save requests" in capsys.readouterr().err


def test_a_job_of_a_figure_is_read_again():
    table = {"name": "small", **TINY}
    configs = [variant.config for variant in make_variants(table)]
    job = Job("figure", configs, {"save": [], "figure": "fig7", "scale": "smoke"}, table)
    assert Job.from_json(job.to_json()) == job
    with pytest.raises(ValueError, match="unknown figure 'fig0'"):
        Job.from_json(job.to_json().replace("fig7", "fig0"))
    with pytest.raises(ValueError, match="--scale is one of"):
        Job.from_json(job.to_json().replace("smoke", "huge"))


def test_the_page_shows_what_is_there(monkeypatch, done, tmp_path, capsys):
    page = tmp_path / "docs" / "reproduction.md"
    assert run(monkeypatch, "figure", "page", done, "--out", page) == 0
    text = page.read_text()
    assert "## fig7 smoke" in text
    assert "3 seeds" in text
    assert "scikit-learn's 8x8 digits" in text
    for name in ("fig6.png", "fig7.png", "claims.json", "lanes.csv"):
        assert (tmp_path / "docs" / "reproduction" / "fig6-fig7-smoke" / name).stat().st_size
    assert 'src="reproduction/fig6-fig7-smoke/fig7.png"' in text
    again = run(monkeypatch, "figure", "page", done, "--out", page), page.read_text()
    assert again == (0, text)


def test_a_page_takes_no_other_file_s_place(monkeypatch, capsys, done, tmp_path):
    other = tmp_path / "notes.md"
    other.write_text("mine")
    assert run(monkeypatch, "figure", "page", done, "--out", other) == 2
    assert "exists and is no such page" in capsys.readouterr().err
    assert other.read_text() == "mine"
    assert run(monkeypatch, "figure", "page", done, done, "--out", tmp_path / "page.md") == 2
    assert "is there twice" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "words"),
    [('{"format": 99}', "is of format 99, this version reads 1"), ("[]", "is of format None"),
     ("{", "is not as it was written"), ('{"format": 1, "study": "fig99"}', "names no figure")],
)  # fmt: skip
def test_a_record_of_another_version_is_refused(
    monkeypatch, capsys, done, tmp_path, content, words
):
    folder = tmp_path / "figure"
    shutil.copytree(done, folder)
    (folder / "figure.json").write_text(content)
    assert run(monkeypatch, "figure", "page", folder, "--out", tmp_path / "page.md") == 2
    assert words in capsys.readouterr().err


def test_the_list_plans_and_measures_once(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("FEDAST_CACHE_DIR", str(tmp_path))
    only = [one for one in EXPERIMENTS if one.name == "fig6-fig7"]
    monkeypatch.setattr(command, "EXPERIMENTS", only)
    shown = {name: one for name, one in command.FIGURES.items() if name in only[0].figures}
    monkeypatch.setattr(command, "FIGURES", shown)
    monkeypatch.setattr(rates, "examples_per_second", lambda kind: 10.0)
    for table in (TINY,):
        assert "time_limit" not in table  # smoke: nothing is cut
    assert run(monkeypatch, "figure", "list") == 0
    told = capsys.readouterr()
    assert "40.1%" in told.out
    assert "planning fig6-fig7-smoke (once" in told.err
    monkeypatch.setattr(rates, "plan", None)
    assert run(monkeypatch, "figure", "list") == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1 s"), (20, "20 s"), (240, "4 min"), (9000, "2.5 h")]
)
def test_times_in_words(seconds, words):
    assert rates.in_words(seconds) == words


@pytest.mark.slow
@pytest.mark.parametrize("name", [one.figures[-1] for one in EXPERIMENTS])
def test_every_smoke_figure_runs(monkeypatch, tmp_path, name):
    monkeypatch.undo()
    folder = tmp_path / "figure"
    assert run(monkeypatch, "figure", name, "--out", folder) == 0
    assert (folder / "figures" / f"{name}.png").stat().st_size > 10_000
    assert (folder / "claims.json").exists()

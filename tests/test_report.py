"""Pages of finished folders: what is in the file, and what is refused."""

from __future__ import annotations

import errno
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_folders import TARGET, make_folder

from fedast_jax.config.errors import OutputError, RecordError
from fedast_jax.views.curves import Room, all_curves, notes
from fedast_jax.views.load import gini, lorenz
from fedast_jax.views.markup import json_text
from fedast_jax.views.report import write_report
from fedast_jax.views.settings import settings_of
from fedast_jax.views.shown import Shown
from fedast_jax.views.thin import thinned

COMPARED = {"compare": ["fedast", "sync_st"]}
SWEPT = {"sweep": {"tasks.digits.buffer_size": [1, 2], "delays.law": ["constant", "half_normal"]}}
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&%{x}$a_b$"


class Page(HTMLParser):
    """The elements of a page, and its data."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.raw = path.read_text("utf-8")
        self.feed(self.raw)
        found = re.search(r'<script type="application/json" id="data">(.*?)</script>', self.raw)
        assert found
        self.json = found[1]
        self.data = json.loads(self.json)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        if self.tags and self.tags[-1] not in ("script", "style"):
            self.text += data


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("made")
    return {
        "run": make_folder(place / "run"),
        "study": make_folder(place / "study", COMPARED, with_requests=True),
        "sweep": make_folder(place / "sweep", SWEPT),
    }


@pytest.fixture(scope="module")
def pages(folders, tmp_path_factory) -> dict[str, Page]:
    place = tmp_path_factory.mktemp("pages")
    wanted = {name: [path] for name, path in folders.items()}
    wanted["both"] = [folders["run"], folders["study"]]
    return {
        name: Page(write_report(paths, place / f"{name}.html")) for name, paths in wanted.items()
    }


@pytest.mark.parametrize("name", ["run", "study", "sweep", "both"])
def test_a_page_has_every_section_and_its_own_script(pages, name):
    page = pages[name]
    assert page.tags.count("h2") == 10
    assert page.tags.count("script") == 3
    assert not {"link", "img", "iframe"} & set(page.tags)
    assert not re.search(r'\b(src|href)="(?!#)', page.raw.partition("<script")[0])
    for words in ("made", "compile 2.0 s", "0.0.1", "fedast run ", "<b>slow</b>", "90.0% full"):
        assert words in page.text
    assert {len(row["t"]) for row in page.data["curves"]["seeds"]} == {30}


def test_results_side_by_side_keep_their_own_curves(pages, folders):
    """Each result's requests and curves are those of its folder, whatever the order."""
    both, study = pages["both"].data, pages["study"].data
    names = [variant["name"] for variant in both["variants"]]
    assert names == ["run: FedAST", "study: FedAST", "Sync-ST"]
    ours = [row | {"v": row["v"] + 1} for row in study["curves"]["duration"]]
    assert both["curves"]["duration"] == ours
    assert "not in" in pages["both"].text
    assert str(folders["run"]) in pages["both"].text


def test_a_sweeps_results_are_at_their_values(folders, pages):
    data = pages["sweep"].data
    assert [one["name"] for one in data["dimensions"]] == ["method", "buffer_size", "law"]
    lanes = pd.read_parquet(folders["sweep"] / "lanes.parquet")
    for number, variant in enumerate(data["variants"]):
        size, law = (data["dimensions"][axis]["values"][variant["places"][axis]] for axis in (1, 2))
        assert variant["name"] == f"buffer_size = {size}, law = {law}"
        mine = lanes[
            (lanes["tasks.digits.buffer_size"] == int(size)) & (lanes["delays.law"] == law)
        ]
        shown = [row for row in data["curves"]["passages"] if row["v"] == number]
        times = sorted(time for row in shown for time in row["t"])
        assert times == sorted(mine.target_time.dropna())


def test_without_saved_requests_a_sentence_says_so(pages):
    assert (
        pages["run"].text.count("--save requests` keeps when a run is made; here it has not") == 2
    )
    assert "it has not" not in pages["study"].text
    assert pages["study"].data["curves"]["lorenz"]
    assert not pages["run"].data["curves"]["lorenz"]


def test_names_are_no_markup(tmp_path):
    """A folder may be called anything; a swept text may be anything too."""
    folder = make_folder(tmp_path / HOSTILE, with_requests=True)
    page = Page(write_report([folder], tmp_path / "page.html"))
    assert page.tags.count("script") == 3
    assert "img" not in page.tags
    assert "<" not in page.json
    assert str(folder) in page.text
    assert json.loads(json_text(HOSTILE)) == HOSTILE
    assert not set("<>&") & set(json_text(HOSTILE))


def test_a_figures_claims_are_there(folders, tmp_path):
    import shutil

    folder = tmp_path / "figure"
    shutil.copytree(folders["study"], folder)
    claim = {
        "figure": "fig5", "words": "<i>faster</i>", "paper": "46.0%", "verdict": "cannot tell",
        "estimate": 0.25, "interval": [-0.5, 0.75], "num_seeds": 3, "seeds_needed": 12,
        "reason": "wide", "form": "{:.1%}",
    }  # fmt: skip
    (folder / "claims.json").write_text(json.dumps({"format": 1, "claims": [claim]}))
    (folder / "figure.json").write_text(json.dumps({"figures": ["fig5"], "scale": "smoke"}))
    text = Page(write_report([folder], tmp_path / "page.html")).text
    for words in ("fig5: <i>faster</i>", "cannot tell", "-0.5 to 0.75", "about 12 seeds"):
        assert words in text
    assert "fedast figure fig5 --scale smoke" in text
    for broken in ("[]", "{}", '{"claims": [3]}', "{"):
        (folder / "claims.json").write_text(broken)
        with pytest.raises(RecordError, match="is not as a run wrote it"):
            write_report([folder], tmp_path / "other.html")


def test_settings_that_differ_are_marked(folders):
    lines, unknown = settings_of(Shown.read([folders["study"]]))
    by_key = {line.key: line for line in lines}
    assert not unknown
    assert by_key["num_clients"][1:] == ("30", "1000", True)
    assert by_key["time_limit"].is_changed
    assert by_key["tasks.digits.kind"][1:] == ("digits", "digits", False)
    assert not by_key["tasks.digits.server_lr"].is_changed  # each method's own default
    assert by_key["tasks.digits.server_lr"].value == "0.2 (FedAST); 1.0 (Sync-ST)"


def test_a_kind_that_is_not_known_here_has_no_defaults(folders, tmp_path):
    import shutil

    shutil.copytree(folders["run"], tmp_path / "other")
    config = tmp_path / "other" / "config.toml"
    config.write_text(config.read_text().replace('kind = "digits"', 'kind = "mine"'))
    lines, unknown = settings_of(Shown.read([tmp_path / "other"]))
    assert len(unknown) == 1
    assert "mine" in unknown[0]
    assert not any(line.is_changed for line in lines)


def test_extremes_and_first_passages_survive_thinning():
    random = np.random.default_rng(0)
    for count in (1, 5, 24, 25, 400, 5000):
        values = random.normal(size=count)
        always = [int(random.integers(count))]
        kept = thinned(values, 24, always)
        assert (np.diff(kept) > 0).all()
        assert {0, count - 1, *always, values.argmin(), values.argmax()} <= set(kept.tolist())
        assert len(kept) <= (24 if count > 24 else count)
    assert thinned(np.full(100, np.nan), 10).tolist() == [0, 99]


def test_thinned_curves_say_so_and_keep_what_counts(folders):
    shown = Shown.read([folders["study"]])
    room = Room(num_points=8, num_seeds=2, num_mean_points=10, num_steps=4)
    curves = all_curves(shown, room)
    said = " ".join(notes(shown, room, curves))
    assert "first 2 of 3" in said
    assert "more than 8 tests (the longest has 30)" in said
    assert not notes(shown, Room.of(shown), all_curves(shown, Room.of(shown)))
    tests = shown.results[0].evaluations
    for row in (row for row in curves["seeds"] if row["v"] == 0):
        mine = tests[(tests.replicate == row["s"]) & (tests.task == shown.tasks[row["m"]])]
        assert len(row["t"]) <= 8
        assert max(row["a"]) == pytest.approx(100 * mine.accuracy.max(), abs=1e-3)
        assert min(row["a"]) == pytest.approx(100 * mine.accuracy.min(), abs=1e-3)
        first = mine.loc[mine.accuracy >= TARGET, "time"].iloc[0]
        met = [
            time for time, value in zip(row["t"], row["a"], strict=True) if value >= 100 * TARGET
        ]
        assert met[0] == pytest.approx(first, rel=1e-5)
    assert {row["s"] for row in curves["seeds"]} == {0, 1}


def test_load_by_hand():
    """Three clients work 1, 1 and 2, one does not: the sum of |x - y| over all pairs
    is 12, and 2 n² times the mean 32."""
    worked = np.array([1.0, 1.0, 2.0])
    assert gini(worked, 1) == pytest.approx(12 / 32)
    assert lorenz(worked, 1)[[0, 25, 50, 75, 100]].tolist() == [0, 0, 0.25, 0.5, 1]
    assert gini(np.ones(5), 0) == 0
    assert gini(np.zeros(2), 1) == 0


def test_a_file_that_is_there_stays_unless_forced(folders, tmp_path):
    path = tmp_path / "page.html"
    path.write_text("mine")
    with pytest.raises(OutputError, match="exists already; replace it with --force"):
        write_report([folders["run"]], path)
    assert path.read_text() == "mine"
    assert "made" in Page(write_report([folders["run"]], path, force=True)).text
    with pytest.raises(OutputError, match="is a folder"):
        write_report([folders["run"]], tmp_path, force=True)


def test_a_full_disk_leaves_what_was_there(folders, tmp_path, monkeypatch):
    path = tmp_path / "page.html"
    path.write_text("mine")

    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("fedast_jax.views.report.disk.write_text", full)
    with pytest.raises(OutputError, match="No space left on device; free some space"):
        write_report([folders["run"]], path, force=True)
    assert path.read_text() == "mine"
    assert [one.name for one in tmp_path.iterdir()] == ["page.html"]


def test_without_its_library_a_sentence_says_what_to_install(folders, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(OutputError, match="pip install 'fedast-jax"):
        write_report([folders["run"]], tmp_path / "page.html")


def test_folders_that_are_none(folders, tmp_path):
    (tmp_path / "run.partial").mkdir()
    for path, says in {"none": "does not exist", "run.partial": "run that has ended"}.items():
        with pytest.raises(RecordError, match=says):
            write_report([tmp_path / path], tmp_path / "page.html")
    with pytest.raises(RecordError, match="different settings"):
        write_report([folders["run"], folders["sweep"]], tmp_path / "page.html")


def test_the_command_writes_into_the_folder(folders, monkeypatch, capsys):
    from fedast_jax.cli import commands as cli

    monkeypatch.setattr(sys, "argv", ["fedast", "report", str(folders["run"])])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    assert capsys.readouterr().out.strip() == str(folders["run"] / "report.html")
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1

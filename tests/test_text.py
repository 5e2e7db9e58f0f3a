"""Shakespeare's text: its readers, the split, the alphabet, who holds what, and how it is drawn."""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from itertools import combinations
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedast_jax.clients.draws import draw_from_span, draw_subsets
from fedast_jax.config.errors import ConfigError
from fedast_jax.data import DataError
from fedast_jax.data.task_data import evenly
from fedast_jax.data.text import SYMBOLS, Roles, decode, encode, make_text_dataset, split_text
from fedast_jax.data.text_data import TextData
from fedast_jax.data.text_sources import join_windows, load_roles, parse_play
from fedast_jax.run.prepare import prepare_run
from fedast_jax.run.resolve import make_config

PLAY = """ROMEO:
But, soft! what light
through yonder window breaks?

JULIET:
Ay me!

ROMEO:
She speaks:
O, speak again.
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty ``$FEDAST_DATA_DIR/shakespeare``; nothing elsewhere."""
    for variable in ("FEDAST_DATA_DIR", "TFDS_DATA_DIR"):
        (tmp_path / variable).mkdir()
        monkeypatch.setenv(variable, str(tmp_path / variable))
    monkeypatch.setattr("fedast_jax.data.sources.download_folder", lambda: tmp_path / "downloads")
    (tmp_path / "FEDAST_DATA_DIR" / "shakespeare").mkdir()
    return tmp_path / "FEDAST_DATA_DIR" / "shakespeare"


def write_play(folder: Path, name: str, text: str) -> None:
    (folder / "plays").mkdir(exist_ok=True)
    (folder / "plays" / f"{name}.txt").write_text(text)


def speech(role: str, size: int) -> str:
    """A role that says ``size`` characters."""
    text = "".join("abcdefg hij."[i * i % 12] for i in range(size))
    return f"{role}:\n{text}\n\n"


def leaf_file(users: dict[str, str], share: slice) -> dict:
    """LEAF's form of some users' whole texts; ``share`` of their samples."""
    data = {}
    for user, text in users.items():
        samples = [(text[i : i + 80], text[i + 80]) for i in range(len(text) - 80)][share]
        data[user] = {"x": [x for x, _ in samples], "y": [y for _, y in samples]}
    sizes = [len(one["y"]) for one in data.values()]
    return {"users": list(users), "num_samples": sizes, "user_data": data}


def write_leaf(folder: Path, part: str, table: dict) -> None:
    (folder / part).mkdir(exist_ok=True)
    (folder / part / f"all_data_{part}_8.json").write_text(json.dumps(table))


def windows(dataset, starts) -> list[str]:
    """The samples that start there: 80 characters and the next one."""
    return [decode(dataset.text[start : start + 81]) for start in starts]


def test_a_roles_lines_are_joined_by_spaces():
    roles = parse_play(PLAY, "romeo_juliet", "here")
    assert [(role.name, role.text) for role in roles] == [
        (
            "romeo_juliet/ROMEO",
            "But, soft! what light through yonder window breaks? She speaks: O, speak again.",
        ),
        ("romeo_juliet/JULIET", "Ay me!"),
    ]


def test_the_split_is_leafs():
    # 380 characters are 300 samples: 240 train (their windows are characters 0 to 318), and those
    # from 319 on test, the first of which begins where no training window reaches.
    role = split_text("role", "x" * 380)
    np.testing.assert_array_equal(role.train_starts, np.arange(240))
    np.testing.assert_array_equal(role.test_starts, np.arange(319, 300))
    longer = split_text("role", "x" * 1080)
    assert (len(longer.train_starts), longer.test_starts[0], longer.test_starts[-1]) == (
        800,
        879,
        999,
    )
    assert len(split_text("role", "x" * 160).train_starts) == 64
    assert len(split_text("role", "x" * 20).train_starts) == 0


def test_clients_are_the_roles_of_160_characters_and_more(folder):
    write_play(folder, "b", speech("LONG", 900) + speech("SHORT", 159) + speech("JUST", 160))
    write_play(folder, "a", speech("LONG", 700))
    dataset = load_roles()
    assert dataset.clients == ("a/LONG", "b/LONG", "b/JUST")
    assert dataset.num_windows.tolist() == [496, 656, 64]
    assert dataset.first_window.tolist() == [0, 496, 1152]
    assert len(dataset.train_starts) == 1216
    assert len(dataset.text) == 1760
    assert dataset.train_starts[496] == 700
    assert len(dataset.test_starts) == (620 - 575) + (820 - 735)
    assert windows(dataset, dataset.train_starts[[496]])[0] == speech("X", 900)[3 : 3 + 81]


def test_no_test_window_shares_a_character_with_a_training_window(folder):
    write_play(folder, "a", speech("A", 700) + speech("B", 1300))
    dataset = load_roles()
    seen = np.zeros(len(dataset.text), bool)
    for start in dataset.train_starts:
        seen[start : start + 80] = True
    assert not any(seen[start : start + 80].any() for start in dataset.test_starts)


def test_symbols_are_leafs():
    assert len(SYMBOLS) == len(set(SYMBOLS)) == 80
    codes, num_unknown = encode(SYMBOLS)
    np.testing.assert_array_equal(codes, np.arange(80))
    assert num_unknown == 0


@given(st.text("aZ }~$\0\u00e9\u2028\U0001f600\ud800"))
def test_unknown_characters_become_spaces_and_are_counted(text):
    codes, num_unknown = encode(text)
    assert decode(codes) == "".join(one if one in SYMBOLS else " " for one in text)
    assert num_unknown == sum(one not in SYMBOLS for one in text)


def test_unknown_characters_are_reported_once(folder, caplog):
    write_play(folder, "a", speech("A", 900) + "A:\n$5, \u00e9t\u00e9\n")
    with caplog.at_level(logging.WARNING, "fedast_jax"):
        assert load_roles().num_unknown == 3
        load_roles()
    assert [record.getMessage()[:61] for record in caplog.records] == [
        "characters outside the 80 known symbols, read as spaces: 3 (pl"[:61]
    ]


TEXTS = {"A": speech("", 900)[2:-2], "B": speech("", 700)[2:-2]}


def test_leafs_files_give_the_same_windows(folder):
    write_leaf(folder, "train", leaf_file(TEXTS, slice(0, 500)))
    write_leaf(folder, "test", leaf_file(TEXTS, slice(579, None)))
    write_play(folder, "ignored", speech("A", 900))
    dataset = load_roles()
    assert dataset.clients == ("A", "B")
    assert dataset.num_windows.tolist() == [500, 500]
    wanted = [text[i : i + 81] for text in TEXTS.values() for i in range(500)]
    assert windows(dataset, dataset.train_starts) == wanted
    wanted = [text[i : i + 81] for text in TEXTS.values() for i in range(579, len(text) - 80)]
    assert windows(dataset, dataset.test_starts) == wanted
    assert len(dataset.text) < 2 * 2 * 900, "windows are not kept one by one"


def test_leafs_user_who_only_tests_is_no_client(folder):
    write_leaf(folder, "train", leaf_file({"A": TEXTS["A"]}, slice(0, 50)))
    write_leaf(folder, "test", leaf_file(TEXTS, slice(300, 400)))
    dataset = load_roles()
    assert dataset.clients == ("A",)
    assert len(dataset.test_starts) == 200


@given(st.text("ab ", min_size=90, max_size=200), st.data())
def test_joined_windows_are_the_windows(text, data):
    count = len(text) - 80
    places = data.draw(st.lists(st.integers(0, count - 1), max_size=20))
    x = [text[i : i + 80] for i in places]
    y = [text[i + 80] for i in places]
    joined, starts = join_windows(x, y)
    assert [joined[i : i + 81] for i in starts] == [a + b for a, b in zip(x, y, strict=True)]


def test_windows_in_order_share_their_characters():
    text = TEXTS["A"]
    places = [i for i in range(820) if i % 5]  # LEAF may leave samples out
    joined, starts = join_windows(
        [text[i : i + 80] for i in places], [text[i + 80] for i in places]
    )
    assert joined == text[1:]
    np.testing.assert_array_equal(starts, np.array(places) - 1)


BROKEN_LEAF = {
    "no table user_data": {"users": ["A"]},
    "list of users is missing or empty": {"users": [], "user_data": {}},
    "user_data lacks 'B'": {"users": ["A", "B"], "user_data": {"A": {"x": [], "y": []}}},
    "must have lists x and y": {"users": ["A"], "user_data": {"A": {"x": []}}},
    "x of length 1 but y of length 2": {
        "users": ["A"],
        "user_data": {"A": {"x": ["a" * 80], "y": ["b", "c"]}},
    },
    "x of 80 characters, got 'aaa'": {
        "users": ["A"],
        "user_data": {"A": {"x": ["aaa"], "y": ["b"]}},
    },
    "y of 1 characters, got 7": {
        "users": ["A"],
        "user_data": {"A": {"x": ["a" * 80], "y": [7]}},
    },
}


@pytest.mark.parametrize("message", BROKEN_LEAF)
def test_a_broken_leaf_file_is_refused(folder, message):
    write_leaf(folder, "train", leaf_file(TEXTS, slice(0, 9)))
    write_leaf(folder, "test", BROKEN_LEAF[message])
    with pytest.raises(DataError, match=message) as error:
        load_roles()
    assert "all_data_test_8.json" in str(error.value)


def test_a_leaf_file_that_is_no_json_is_refused(folder):
    write_leaf(folder, "test", leaf_file(TEXTS, slice(0, 9)))
    with pytest.raises(DataError, match=r"only a part of LEAF's files: add train/\*\.json"):
        load_roles()
    (folder / "train").mkdir()
    (folder / "train" / "a.json").write_text("{")
    with pytest.raises(DataError, match=r"a\.json .* is no JSON file"):
        load_roles()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no roles"),
        ("\n \n", "has no roles"),
        ("Act one\n\nROMEO:\nBut soft", "line 1 of .*a.txt is 'Act one', before any line 'ROLE:'"),
        ("ROMEO:\nBut soft", "no role of at least 160 characters"),
        (speech("ROMEO", 160), "no sample for testing"),
    ],
)
def test_a_file_without_roles_is_refused(folder, text, message):
    write_play(folder, "a", text)
    with pytest.raises(DataError, match=message):
        load_roles()


def test_a_file_that_is_no_text_is_refused(folder):
    write_play(folder, "a", "")
    (folder / "plays" / "a.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(DataError, match=r"a\.txt \(not UTF-8 text\)"):
        load_roles()


def test_missing_data_is_answered_with_what_to_do():
    with pytest.raises(DataError, match="set FEDAST_DATA_DIR to a folder"):
        load_roles()


def dataset_of(*sizes: int):
    roles = [split_text(f"r{i}", "ab" * (size // 2)) for i, size in enumerate(sizes)]
    return make_text_dataset("shakespeare", roles, "here")


def test_every_role_is_a_client_or_a_seeded_choice():
    dataset = dataset_of(*range(900, 940, 2))
    assert Roles(dataset, 20, [1, 2]).role.tolist() == list(range(20))
    few = Roles(dataset, 7, [1, 2])
    assert few.role.tolist() == sorted(set(few.role.tolist()))
    assert few.role.tolist() == Roles(dataset, 7, [1, 2]).role.tolist()
    assert few.role.tolist() != Roles(dataset, 7, [2, 2]).role.tolist()
    spans = few.samples([3, 0])
    assert spans.dtype == np.int32
    assert spans[0].tolist() == [
        dataset.first_window[few.role[3]],
        dataset.num_windows[few.role[3]],
    ]
    held = [block[0] for block in few.all_samples()]
    assert [[one[0], len(one)] for one in held] == few.samples(range(7)).tolist()
    with pytest.raises(DataError, match=r"clients must be in \[0, 7\), got 7"):
        few.samples([7])


@pytest.mark.parametrize("number", [0, 4])
def test_more_clients_than_roles_are_refused(number):
    with pytest.raises(DataError, match=rf"num_clients must be in \[1, 3\] .* got {number}"):
        Roles(dataset_of(900, 900, 900), number, [0])


def test_tests_use_evenly_spaced_windows():
    assert evenly(10, None).tolist() == list(range(10))
    assert evenly(10, 4).tolist() == [0, 2, 5, 7]
    assert evenly(3, 4).tolist() == [0, 1, 2]
    dataset = dataset_of(1500, 1500)
    data = TextData(dataset, 50)
    assert data.num_tests == 50
    assert (np.diff(data.test_starts) > 0).all()
    assert set(data.test_starts) <= set(dataset.test_starts)
    assert data.on_device.train["text"].dtype == jnp.uint8
    assert data.on_device.test["text"] is data.on_device.train["text"]
    shapes = jax.tree.map(lambda one: jax.ShapeDtypeStruct(one.shape, one.dtype), data.on_device)
    assert shapes.train == data.train_shapes


def shakespeare_config(num_clients: int, **task):
    return make_config(
        {"num_clients": num_clients, "max_updates": 4, "tasks": {"shakespeare": task}}
    )


def test_a_run_with_more_clients_than_roles_is_refused_before_it_starts(folder):
    write_play(folder, "a", speech("A", 900) + speech("B", 900))
    with pytest.raises(DataError, match=r"num_clients must be in \[1, 2\] for shakespeare"):
        prepare_run([shakespeare_config(3)])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"samples_per_client": 5}, "samples_per_client has no meaning for kind 'shakespeare'"),
        ({"dirichlet_alpha": 0.1}, "dirichlet_alpha has no meaning"),
        ({"local_epochs": 2}, "local_epochs has no meaning"),
        ({"batch_size": "all"}, "batch_size must be a number"),
    ],
)
def test_settings_without_meaning_for_text_are_refused(setting, message):
    with pytest.raises(ConfigError, match=message):
        shakespeare_config(3, **setting)


def test_a_text_tasks_configuration_survives_its_own_file():
    config = shakespeare_config(3)
    assert make_config(config.to_dict()) == config
    assert config.tasks["shakespeare"].work == (64, None, 27, None)


def test_every_subset_is_equally_likely():
    num = 12_000
    subsets = np.sort(jax.jit(draw_subsets, static_argnums=(0, 1))(num, 3, 6, jax.random.key(0)))
    counts = Counter(map(tuple, subsets.tolist()))
    assert set(counts) == set(combinations(range(6), 3))
    # Each of the 20 subsets: binomial(12000, 1/20), mean 600, standard deviation 24.
    assert max(abs(count - 600) for count in counts.values()) < 5 * 24


@pytest.mark.parametrize("count", [64, 65, 1000, 49_014])
def test_a_step_draws_distinct_windows_of_the_client(count):
    draw = jax.jit(draw_from_span, static_argnums=(0, 1))
    drawn = np.asarray(draw(27, 64, jnp.array([1000, count]), jax.random.key(1)))
    assert drawn.shape == (27, 64)
    assert drawn.dtype == np.int32
    assert all(len(set(step)) == 64 for step in drawn.tolist())
    assert 1000 <= drawn.min() <= drawn.max() < 1000 + count
    if count > 65:
        assert len({tuple(sorted(step)) for step in drawn.tolist()}) == 27


def test_every_window_is_drawn_equally_often():
    draw = jax.jit(draw_from_span, static_argnums=(0, 1))
    drawn = np.asarray(draw(6000, 64, jnp.array([7, 160]), jax.random.key(3))) - 7
    counts = np.bincount(drawn.ravel(), minlength=160)
    # Each window is in a step with probability 64/160: mean 2400, standard deviation 38.
    assert np.abs(counts - 2400).max() < 5 * 38


def test_a_client_with_few_windows_draws_with_replacement():
    draw = jax.jit(draw_from_span, static_argnums=(0, 1))
    drawn = np.asarray(draw(2000, 64, jnp.array([5, 10]), jax.random.key(2))) - 5
    counts = np.bincount(drawn.ravel(), minlength=10)
    # 128,000 draws: mean 12800, standard deviation 107.
    assert np.abs(counts - 12_800).max() < 5 * 107
    one = np.asarray(draw(3, 64, jnp.array([5, 1]), jax.random.key(2)))
    assert (one == 5).all()


def test_a_clients_draws_do_not_depend_on_the_others():
    keys = jax.random.split(jax.random.key(4), 3)
    spans = jnp.array([[0, 100], [100, 30], [130, 900]])
    together = jax.jit(jax.vmap(lambda s, k: draw_from_span(5, 64, s, k)))(spans, keys)
    for row in range(3):
        np.testing.assert_array_equal(together[row], draw_from_span(5, 64, spans[row], keys[row]))


REAL = Path(os.environ.get("FEDAST_DATA_DIR", "")) / "shakespeare" / "plays"


@pytest.mark.skipif(not any(REAL.glob("*.txt")), reason="needs $FEDAST_DATA_DIR/shakespeare")
def test_the_plays_have_1054_clients(monkeypatch):
    monkeypatch.setenv("FEDAST_DATA_DIR", str(REAL.parents[1]))
    dataset = load_roles()
    assert len(dataset.clients) == 1054
    assert dataset.num_windows.min() == 64
    assert len(dataset.train_starts) == 3_374_033


def test_tfds_tiny_shakespeare_is_one_play_in_three_parts(tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    text = speech("First Citizen", 900) + speech("All", 500) + speech("Servant", 30)

    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # pyright: ignore
        name, VERSION = "tiny_shakespeare", tfds.core.Version("1.0.0")

        def _info(self):
            features = tfds.features.FeaturesDict({"text": tfds.features.Text()})
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, dl_manager):
            parts = {"train": text[:700], "validation": text[700:800], "test": text[800:]}
            return {name: [(0, {"text": part})] for name, part in parts.items()}

        def _generate_examples(self):
            raise NotImplementedError

    tfds.disable_progress_bar()
    Builder(data_dir=tmp_path / "TFDS_DATA_DIR", file_format="array_record").download_and_prepare()
    dataset = load_roles()
    assert dataset.clients == ("tiny_shakespeare/First Citizen", "tiny_shakespeare/All")
    assert windows(dataset, dataset.train_starts[:1])[0] == speech("X", 900)[3 : 3 + 81]
    assert "TFDS" in dataset.source

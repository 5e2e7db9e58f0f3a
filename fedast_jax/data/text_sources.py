"""Where the Shakespeare text is looked for, and how each form of it is read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil

from ..config import disk
from .errors import DataError
from .sources import file_folders
from .text import SHORTEST_TEXT, WINDOW, ClientText, TextDataset, make_text_dataset, split_text
from .tfds import check_file_format, find_prepared, quiet_tfds, readable

NAME = "shakespeare"
TFDS_NAME = "tiny_shakespeare"
TFDS_SPLITS = ("train", "validation", "test")  # parts of one text, in this order
JSON_BYTES = 8  # of memory for each byte of a JSON file: windows are short texts of their own
SHOWN = 40  # characters of a wrong line or value that a message shows


class TextSource(NamedTuple):
    """One place where the text was found."""

    words: str  # for the user
    load: Callable[[], TextDataset]


def load_roles(name: str = NAME) -> TextDataset:
    """Load a text, by default Shakespeare's.

    Raises:
        DataError: nothing found, or files that are incomplete or damaged.
    """
    source = find_roles(name)
    if source is None:
        raise DataError(how_to_get_text(name))
    return source.load()


def find_roles(name: str = NAME) -> TextSource | None:
    """The first of these that is there.

    1. LEAF's files ``NAME/train/*.json`` and ``NAME/test/*.json``;
    2. plays ``NAME/plays/*.txt``: a line ``ROLE:``, the lines of that speech, a blank line;
       both in ``$FEDAST_DATA_DIR``, or among the downloaded files;
    3. of Shakespeare the prepared TFDS set ``tiny_shakespeare`` (roles of different plays are not
       told apart).
    """
    for folder in file_folders(name):
        leaf = [disk.find(folder / part, "*.json") for part in ("train", "test")]
        if any(leaf):
            return TextSource(f"LEAF files in {folder}", partial(load_leaf, folder, *leaf))
        plays = disk.find(folder / "plays", "*.txt")
        if plays:
            words = f"plays in {folder / 'plays'}"
            return TextSource(words, partial(load_plays, plays, words))
    prepared = find_prepared(TFDS_NAME) if name == NAME else None
    if prepared is None:
        return None
    return TextSource(f"texts of TFDS, {prepared}", partial(load_tiny_shakespeare, prepared))


def how_to_get_text(name: str = NAME) -> str:
    """One sentence on which files to put where."""
    tfds = f", or prepare {TFDS_NAME} of TFDS" if name == NAME else ""
    return (
        f"data set {name!r} was not found: set FEDAST_DATA_DIR to a folder whose folder {name} "
        f"holds plays/*.txt or LEAF's train/*.json and test/*.json{tfds}"
    )


def load_plays(paths: Sequence[Path], source: str) -> TextDataset:
    """Plays as text; the roles of every file are its own.

    Raises:
        DataError: a file is damaged, or no role says enough.
    """
    return roles_dataset([role for path in paths for role in read_play(path)], source)


def roles_dataset(roles: Sequence[ClientText], source: str) -> TextDataset:
    """Clients of the roles that say enough.

    Raises:
        DataError: there are none.
    """
    clients = [role for role in roles if len(role.text) >= SHORTEST_TEXT]
    if not clients:
        raise DataError(f"{source} have no role of at least {SHORTEST_TEXT} characters")
    return make_text_dataset(NAME, clients, source)


def read_play(path: Path) -> list[ClientText]:
    """The roles of one file, in order of appearance.

    Raises:
        DataError: it cannot be read, or does not begin with a role.
    """
    try:
        text = disk.read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise DataError(f"cannot read {path} ({reason}): check it") from error
    return parse_play(text, path.stem, str(path))


def parse_play(text: str, play: str, where: str) -> list[ClientText]:
    """The roles of a play: every role's lines joined by a space.

    Raises:
        DataError: the text does not begin with a line ``ROLE:``.
    """
    lines_of: dict[str, list[str]] = {}
    role, is_new = None, True
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            is_new = True
        elif is_new and line.rstrip().endswith(":"):
            role, is_new = line.strip()[:-1], False
            lines_of.setdefault(role, [])
        elif role is None:
            raise DataError(f"line {number} of {where} is {show(line)}, before any line 'ROLE:'")
        else:
            lines_of[role].append(line)
            is_new = False
    if not lines_of:
        raise DataError(f"{where} has no roles: it must have lines 'ROLE:'")
    return [split_text(f"{play}/{role}", " ".join(lines)) for role, lines in lines_of.items()]


def load_tiny_shakespeare(folder: Path) -> TextDataset:
    """The one text of TFDS ``tiny_shakespeare``, its three splits joined again."""
    check_file_format(TFDS_NAME, folder)
    with quiet_tfds() as tfds, readable(TFDS_NAME, folder):
        builder = tfds.builder_from_directory(folder)
        parts = [
            bytes(example["text"]).decode()
            for split in TFDS_SPLITS
            if split in builder.info.splits
            for example in builder.as_data_source(split)
        ]
    source = f"texts of TFDS, {folder}"
    return roles_dataset(parse_play("".join(parts), TFDS_NAME, source), source)


def load_leaf(folder: Path, train_files: list[Path], test_files: list[Path]) -> TextDataset:
    """LEAF's files: users who train, and test windows of all users.

    Raises:
        DataError: one of the two folders is empty, or a file is damaged.
    """
    if not train_files or not test_files:
        missing = "test/*.json" if train_files else "train/*.json"
        raise DataError(f"{folder} holds only a part of LEAF's files: add {missing}")
    train = {user: text for path in train_files for user, text in read_leaf(path)}
    test = {user: text for path in test_files for user, text in read_leaf(path)}
    clients = [_leaf_client(user, train, test) for user in {**train, **test}]
    return make_text_dataset(NAME, clients, f"LEAF files in {folder}")


def read_leaf(path: Path) -> Iterator[tuple[str, tuple[str, np.ndarray]]]:
    """Every user of a file with its text and the starts of its windows.

    Raises:
        DataError: it is not JSON in LEAF's form; the message says where.
    """
    table = _read_json(path)
    if not isinstance(table, dict) or not isinstance(table.get("user_data"), dict):
        raise DataError(f"{path} is not a file of LEAF: it has no table user_data")
    users, data = table.get("users"), table["user_data"]
    if not isinstance(users, list) or not users:
        raise DataError(f"{path} is not a file of LEAF: its list of users is missing or empty")
    unnamed = [user for user in users if not isinstance(user, str)]
    if unnamed:
        raise DataError(f"the users of {path} must be texts, got {show(unnamed[0])}")
    missing = [user for user in users if user not in data]
    if missing:
        raise DataError(f"{path} lists {len(users)} users, but user_data lacks {show(missing[0])}")
    for user in users:
        yield user, join_windows(*_leaf_samples(data[user], f"user {show(user)} of {path}"))


def _read_json(path: Path) -> Any:
    """What a JSON file holds; DataError where it is none."""
    try:
        _check_size(path)
        return json.loads(disk.read_bytes(path))
    except DataError:
        raise
    except RecursionError:
        reason = "its lists or tables lie too deep in each other"
    except OSError as error:
        reason = error.strerror or str(error)
    except UnicodeDecodeError:
        reason = "not Unicode text"
    except json.JSONDecodeError as error:
        reason = str(error)
    except ValueError:
        reason = "it has a number of thousands of digits"
    raise DataError(f"cannot read {path} ({reason}): it is no JSON file of LEAF")


def _check_size(path: Path) -> None:
    """Raise DataError where a JSON file takes more memory than there is."""
    size, room = disk.stamp(path).st_size, psutil.virtual_memory().available
    if size * JSON_BYTES > room:
        raise DataError(
            f"{path} has {size:,} bytes, and reading it takes {JSON_BYTES} times as many, but "
            f"{room:,} are free: divide it into several files"
        )


def _leaf_samples(samples: Any, where: str) -> tuple[list[str], list[str]]:
    """The checked windows and following characters of one user."""
    lists = [samples.get(key) if isinstance(samples, dict) else None for key in ("x", "y")]
    x, y = lists
    if not isinstance(x, list) or not isinstance(y, list):
        raise DataError(f"{where} must have lists x and y")
    if len(x) != len(y):
        raise DataError(f"{where} has x of length {len(x)} but y of length {len(y)}")
    for name, values, size in (("x", x, WINDOW), ("y", y, 1)):
        for value in values:
            if not isinstance(value, str) or len(value) != size:
                raise DataError(f"{where} must have {name} of {size} characters, got {show(value)}")
    return x, y


def join_windows(x: Sequence[str], y: Sequence[str]) -> tuple[str, np.ndarray]:
    """Undo the cutting: a text in which sample i is the window at ``starts[i]``.

    A window that continues the one before it, up to 80 characters on, shares its characters.
    """
    parts: list[str] = []
    starts = np.zeros(len(x), np.int64)
    sample, size = "", 0  # the one before; characters so far
    for index, (window, following) in enumerate(zip(x, y, strict=True)):
        known = sample
        while not window.startswith(known):
            known = known[1:]
        sample = window + following
        parts.append(sample[len(known) :])
        starts[index] = size - len(known)
        size += len(parts[-1])
    return "".join(parts), starts


def _leaf_client(
    user: str, train: dict[str, tuple[str, np.ndarray]], test: dict[str, tuple[str, np.ndarray]]
) -> ClientText:
    none = "", np.zeros(0, np.int64)
    (train_text, train_starts), (test_text, test_starts) = (
        train.get(user, none),
        test.get(user, none),
    )
    return ClientText(user, train_text + test_text, train_starts, test_starts + len(train_text))


def show(value: object) -> str:
    """A value in a message, cut short."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."

"""Hostile files: real ones mutated and odd ones made up, from one seed, for every reader.

``python tests/hostile.py NUMBER [SEED [READER]]`` tries so many and says what came of them. A
reader may take a file or refuse it in one sentence. It may not raise anything else, write outside
its folder, run code, take over ``SECONDS`` or, by itself, over ``MOST_BYTES`` of memory.
"""

from __future__ import annotations

import io
import json
import os
import random
import resource
import signal
import sys
import time
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SECONDS = 10
MOST_BYTES = 2 << 30
ODD_TEXTS = [
    "", "a" * 10_000, "../../out", "/etc/passwd", "a\0b", "[bold]x", "$\\frac{1}{0}$", "=1+1",
    "<script>alert(1)</script>", "nan", "none", "all", "auto", "\u202e", "\ud7ff", "-1", "1e400",
]  # fmt: skip
ODD_NUMBERS = [
    0, 1, -1, 2**31 - 1, 2**31, -(2**31), 2**63 - 1, 2**63, 10**12, 10**30, 0.5, -0.0, 1e-320,
    1e308, float("inf"), float("-inf"), float("nan"), True,
]  # fmt: skip
ODD_VALUES = [*ODD_TEXTS, *ODD_NUMBERS, [], {}, [[]], {"a": 1}, None, [0] * 1000]
ODD_TOKENS = [
    b"-1", b"0", b"1e309", b"nan", b"inf", b"9" * 30, b"9" * 5000, b"[" * 2000, b"{" * 2000, b'"',
    b"\0", b"\xff\xfe", b"\r", b",", b"1,2,3,4", b"null", b"../..", b"=", b"\xed\xa0\x80",
]  # fmt: skip
COLUMNS: list[Callable[[int], Any]] = [
    lambda n: [None] * n, lambda n: [float("nan")] * n, lambda n: ["x"] * n, lambda n: [2**62] * n,
    lambda n: [-1] * n, lambda n: [b"\xff"] * n, lambda n: [[1]] * n, lambda n: [1e308] * n,
    lambda n: [True] * n, lambda n: [{"a": 1}] * n, lambda n: list(range(n)), 
    lambda n: ["a" * 999] * n,
]  # fmt: skip


def mutate_bytes(data: bytes, chance: random.Random) -> bytes:
    """One to four changes anywhere."""
    for _ in range(chance.choice([1, 1, 1, 2, 4])):
        at = chance.randrange(len(data) + 1)
        end = min(len(data), at + chance.choice([1, 1, 2, 4, 8, 64, 1000]))
        data = data[:at] + _in_place_of(data[at:end], data, chance) + data[end:]
    return data[: chance.randrange(len(data) + 1)] if chance.random() < 0.08 else data


def _in_place_of(part: bytes, data: bytes, chance: random.Random) -> bytes:
    ways = [
        bytes(byte ^ (1 << chance.randrange(8)) for byte in part[:1]),
        b"",
        part * 2,
        chance.randbytes(len(part)),
        chance.choice([b"\0", b"\xff"]) * len(part),
        chance.choice([2**31 - 1, 2**40, 2**63 - 1]).to_bytes(8, "little"),
        (2**32 - 1).to_bytes(4, "big"),
        chance.choice(ODD_TOKENS),
        data[: chance.randrange(200)],
    ]
    return chance.choice(ways)


def mutate_tree(tree: Any, chance: random.Random) -> Any:
    """Nested plain values, one of them odd, missing, twice there or of another name."""
    if isinstance(tree, dict) and tree and chance.random() < 0.85:
        key = chance.choice(list(tree))
        kind = chance.random()
        if kind < 0.08:
            return {name: value for name, value in tree.items() if name != key}
        if kind < 0.12:
            return {
                str(chance.choice(ODD_TEXTS)) if name == key else name: value
                for name, value in tree.items()
            }
        return {**tree, key: mutate_tree(tree[key], chance)}
    if isinstance(tree, list) and tree and chance.random() < 0.85:
        at = chance.randrange(len(tree))
        kept = tree[at + 1 :] if chance.random() < 0.9 else []
        return [*tree[:at], mutate_tree(tree[at], chance), *kept]
    return chance.choice(ODD_VALUES)


def mutate_json(data: bytes, chance: random.Random) -> bytes:
    if chance.random() < 0.4:
        return mutate_bytes(data, chance)
    tree = mutate_tree(json.loads(data), chance)
    return json.dumps(tree, default=str).encode("utf-8", "replace")


def mutate_toml(data: bytes, chance: random.Random) -> bytes:
    import tomllib

    import tomli_w

    tree = mutate_tree(tomllib.loads(data.decode()), chance)
    try:
        return (
            tomli_w.dumps(tree).encode("utf-8", "replace")
            if chance.random() < 0.6
            else mutate_bytes(data, chance)
        )
    except (TypeError, AttributeError, ValueError):
        return mutate_bytes(data, chance)


def mutate_parquet(data: bytes, chance: random.Random) -> bytes:
    if chance.random() < 0.4:
        return mutate_bytes(data, chance)
    table = pq.read_table(io.BytesIO(data))
    at = chance.randrange(table.num_columns)
    name, kind = table.column_names[at], chance.random()
    if kind < 0.1:
        table = table.drop_columns([name])
    elif kind < 0.2:
        table = table.rename_columns(
            [
                chance.choice(["x", "task", "replicate", ""]) if one == name else one
                for one in table.column_names
            ]
        )
    elif kind < 0.3:
        table = table.slice(0, chance.choice([0, 1, 2]))
    elif kind < 0.4:
        table = pa.concat_tables([table, table])
    elif kind < 0.7:
        table = table.set_column(at, name, pa.array(chance.choice(COLUMNS)(table.num_rows)))
    else:
        values = table[name].to_pylist()
        values[chance.randrange(len(values))] = chance.choice(
            [*values, None, *ODD_NUMBERS, *ODD_TEXTS]
        )
        try:
            table = table.set_column(at, name, pa.array(values))
        except (pa.ArrowException, OverflowError):
            return mutate_bytes(data, chance)
    packed = io.BytesIO()
    pq.write_table(table, packed)
    return packed.getvalue()


def mutate_npz(data: bytes, chance: random.Random) -> bytes:
    """Bytes anywhere, or an entry changed and packed again with the right check sums."""
    if chance.random() < 0.4:
        return mutate_bytes(data, chance)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name, kind = chance.choice(list(parts)), chance.random()
    if kind < 0.5:
        head = bytearray(parts[name])
        parts[name] = mutate_bytes(bytes(head[:128]), chance) + bytes(head[128:])
    elif kind < 0.8:
        made = io.BytesIO()
        np.lib.format.write_array(made, np.array(chance.choice(ODD_VALUES), dtype=object))
        parts[name] = chance.choice([made.getvalue(), b"\0" * 10**6, _claims(chance)])
    elif kind < 0.9:
        del parts[name]
    else:
        parts["../../out.npy"] = parts[name]
    packed = io.BytesIO()
    way = zipfile.ZIP_DEFLATED if chance.random() < 0.3 else zipfile.ZIP_STORED
    with zipfile.ZipFile(packed, "w", way) as archive:
        for part, content in parts.items():
            archive.writestr(part, content)
    return packed.getvalue()


def _claims(chance: random.Random) -> bytes:
    """The head of an array of very many numbers, and nothing behind it."""
    head = io.BytesIO()
    shape = chance.choice([(10**12,), (2**31, 2**31), (0, 2**62), (-1,), (2**63,)])
    np.lib.format.write_array_header_1_0(
        head, {"descr": "<f8", "fortran_order": False, "shape": shape}
    )
    return head.getvalue()


class Reader(NamedTuple):
    """Something that reads a file of others."""

    file: str  # where it lies in the folder that is read
    data: bytes  # as it should be
    mutate: Callable[[bytes, random.Random], bytes]
    read: Callable[[Path], object]  # of that folder


@contextmanager
def watched(folder: Path) -> Iterator[None]:
    """Raise where a file outside a folder is written, a program started or a pickle loaded."""
    _inside.append(os.path.realpath(folder))
    try:
        yield
    finally:
        _inside.pop()


_inside: list[str] = []
WRITES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate"}
NEVER = {"os.system", "subprocess.Popen", "pickle.find_class", "socket.connect", "os.exec"}


def _audit(event: str, arguments: tuple) -> None:
    if not _inside:
        return
    if event in NEVER:
        raise AssertionError(f"{event} {arguments!r:.200}")
    is_write = event in WRITES or (
        event == "open"
        and isinstance(arguments[2], int)
        and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    )
    for place in arguments[: 2 if event == "os.rename" else 1] if is_write else ():
        _check_place(event, place)


def _check_place(event: str, place: object) -> None:
    if isinstance(place, str | bytes | os.PathLike):
        path = os.path.realpath(os.fsdecode(place))
        if not path.startswith((_inside[-1], "/dev/null", "/proc/")) and "__pycache__" not in path:
            raise AssertionError(f"{event} of {path!r}, outside of the folder")


sys.addaudithook(_audit)


class TooSlow(BaseException):
    """A reader came to no end."""


def _alarm(number: int, frame: object) -> None:
    raise TooSlow(f"over {SECONDS} s")


def try_one(reader: Reader, folder: Path, chance: random.Random) -> str:
    """What a reader makes of a mutated file: "taken" or the kind of error in which it refuses."""
    from fedast_jax.config.errors import UserError
    from fedast_jax.data.errors import DataError
    from fedast_jax.run.checkpoint import Damaged

    (folder / reader.file).write_bytes(reader.mutate(reader.data, chance))
    signal.signal(signal.SIGPROF, _alarm)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)  # of this process, whatever else goes on
    try:
        with watched(folder), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reader.read(folder)
    except (UserError, DataError, Damaged) as error:
        return _refusal(type(error).__name__, str(error))
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        (folder / reader.file).write_bytes(reader.data)
    return "taken"


def _refusal(kind: str, said: str) -> str:
    assert "\n" not in said, f"over one line: {said:.500}"
    assert 10 < len(said) < 1000, f"{len(said)} characters: {said:.300}"
    return kind


def try_many(
    readers: dict[str, tuple[Path, Reader]], number: int, seed: int
) -> Iterator[tuple[str, str, int, BaseException | None]]:
    """The reader, the outcome, the seed and the error of each of many tries, reader by reader."""
    for one in range(seed, seed + number):
        chance = random.Random(one)
        weights = [1 if name.startswith(("study", "run")) else 20 for name in readers]
        (name,) = chance.choices(list(readers), weights)
        folder, reader = readers[name]
        try:
            yield name, try_one(reader, folder, chance), one, None
        except (Exception, TooSlow) as error:
            yield name, f"FAULT {type(error).__name__}", one, error


def main(number: int, seed: int = 0, only: str = "") -> int:
    """Try; say what came of it, and every fault with its seed."""
    from hostile_readers import all_readers

    with TemporaryDirectory() as place:
        readers = {name: one for name, one in all_readers(Path(place)).items() if only in name}
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MOST_BYTES, resource.RLIM_INFINITY))
        outcomes: Counter[tuple[str, str]] = Counter()
        seconds, start = dict.fromkeys(readers, 0.0), time.process_time()
        for name, outcome, one, error in try_many(readers, number, seed):
            outcomes[name, outcome] += 1
            seconds[name] += time.process_time() - start
            start = time.process_time()
            if error is not None:
                print(f"seed {one}, {name}: {type(error).__name__}: {error!s:.300}", flush=True)
                traceback.print_exception(error, limit=-3, file=sys.stdout)
    for (name, outcome), times in sorted(outcomes.items()):
        print(f"{name:12} {outcome:16} {times:7,}")
    slowest = sorted(seconds.items(), key=lambda one: -one[1])[:6]
    print("slowest:", ", ".join(f"{name} {took:.1f} s" for name, took in slowest))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    faults = sum(times for (_, outcome), times in outcomes.items() if outcome.startswith("FAULT"))
    print(
        f"{sum(outcomes.values()):,} files, {faults} faults, at most {peak:,.0f} MiB, "
        f"seeds {seed} to {seed + number - 1}"
    )
    return faults > 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int((sys.argv[2:] or ["0"])[0]), "".join(sys.argv[3:])))

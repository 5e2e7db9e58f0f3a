"""``fedast verify``: everything in a finished folder held against what it should be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...config.errors import RecordError
from ...data.errors import DataError
from .events import check_events
from .findings import Audit, Difference
from .folder import Finished, check_finished, read_finished
from .numbers import check_numbers
from .retrained import check_models, check_partition, check_requests
from .sums import check_sums


def verify(folder: str | Path, *, deep: bool = False, seed: int = 0) -> Audit:
    """Check the folder of a finished run, comparison or sweep; nothing in it is changed.

    Args:
        folder: what ``fedast run`` and its like, or ``Result.save``, have left.
        deep: train every request anew, not only a sample.
        seed: draws the sample.
    Returns:
        What was checked, what could not be, and what is wrong.
    Raises:
        RecordError: it is not the folder of a finished run.
        ConfigError: it names a task, a method or a law that is not registered here.
    """
    path, audit = Path(folder), Audit()
    check_finished(path)
    check_sums(path, audit)
    with _noting(path, audit):
        _check_content(read_finished(path), audit, deep=deep, seed=seed)
    return audit


def _check_content(finished: Finished, audit: Audit, *, deep: bool, seed: int) -> None:
    """All but the sums, what costs least first."""
    readers = check_events(finished.stories, audit)
    check_numbers(finished, readers, audit)
    with _data_at_hand("who holds which sample", audit):
        check_partition(finished, audit)
    with _data_at_hand("models and requests", audit):
        check_models(finished, audit)
        check_requests(finished, readers, audit, deep=deep, seed=seed)
    audit.unchecked.append(
        "seconds, memory, versions and batches in manifest.json, and what pictures show, beyond "
        "their sums"
    )


@contextmanager
def _noting(path: Path, audit: Audit) -> Iterator[None]:
    """What is wrong becomes a part of the audit, and ends it."""
    try:
        yield
    except Difference as difference:
        audit.differences.append(difference)
    except RecordError as error:
        audit.differences.append(Difference(path.name, "files as a run writes them", error))


@contextmanager
def _data_at_hand(words: str, audit: Audit) -> Iterator[None]:
    """Without the data some things cannot be checked."""
    try:
        yield
    except DataError as error:
        audit.unchecked.append(f"{words}: {error}")

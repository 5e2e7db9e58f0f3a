"""Case after case until one fails or the time is up; a failure is shrunk and written down."""

from __future__ import annotations

import secrets
import subprocess
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import NamedTuple

from ...config import disk
from ...config.bounds import MOST_SEED
from ...config.errors import ConfigError, UserError
from ...config.versions import package_version
from .cases import Case, draw_case
from .check import Outcome, check_case
from .knobs import small_numbers
from .shrink import shrink


class Failure(NamedTuple):
    """A case that fails."""

    case: Case  # as small as it could be made
    drawn: Case  # as its seed has it
    kind: str  # of the exception
    words: str  # its message, or where it came from

    def to_toml(self) -> str:
        """The case, with what is wrong with it in comments."""
        said = [f"seed {self.drawn.seed}, {whose()}", f"{self.kind}: {self.words}"]
        lines = [f"# {line}".rstrip() for text in said for line in text.splitlines()]
        return "\n".join([*lines, "", self.case.to_toml()])


@dataclass
class Log:
    """What a series of cases came to."""

    num_cases: int = 0
    num_real: int = 0
    num_tests: int = 0
    num_segments: int = 0
    algorithms: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)  # by status
    ends: Counter[str] = field(default_factory=Counter)  # replicates by reason
    refused: Counter[str] = field(default_factory=Counter)  # cases by the sentence
    seconds: float = 0.0
    digests: list[str] = field(default_factory=list)

    def note(self, case: Case, outcome: Outcome) -> None:
        """One more that has not failed."""
        self.num_cases += 1
        self.num_real += case.knobs.is_real
        self.num_tests += outcome.num_tests
        self.num_segments += outcome.num_segments
        self.algorithms[case.table.get("algorithm", "fedast")] += 1
        self.requests += outcome.requests
        self.ends += outcome.ends
        self.digests.append(outcome.digest)

    @property
    def digest(self) -> str:
        """Of all cases, in order."""
        return sha256("".join(self.digests).encode()).hexdigest()[:16]

    def lines(self) -> list[str]:
        """For people."""
        speed = 60 * self.num_cases / max(self.seconds, 1e-9)
        refused = sum(self.refused.values())
        return [
            f"{self.num_cases:,} scenarios without a difference, {self.num_real:,} of them "
            f"trained, in {self.seconds:.0f} s ({speed:,.0f} a minute); {refused:,} refused",
            f"requests: {in_words(self.requests)}",
            f"replicates: {in_words(self.ends)}",
            f"algorithms: {in_words(self.algorithms)}",
            f"{self.num_tests:,} tests of models, {self.num_segments:,} segments; "
            f"digest {self.digest}",
        ]


def in_words(numbers: Counter[str]) -> str:
    """The most first."""
    return ", ".join(f"{name} {number:,}" for name, number in numbers.most_common())


def seeds_from(first: int, number: int | None, seconds: float | None) -> Iterator[int]:
    """Seeds one after the other, so many at most, for so long at most; the last one there is."""
    start = time.monotonic()
    for seed in count(first) if number is None else range(first, first + number):
        if seed > MOST_SEED or (seconds is not None and time.monotonic() - start > seconds):
            return
        yield seed


def any_seed() -> int:
    """One that nobody has chosen."""
    return secrets.randbelow(MOST_SEED)


def fuzz(
    seeds: Iterable[int],
    on_case: Callable[[Log], None] = lambda log: None,
    check: Callable[[Case], Outcome] = check_case,
) -> tuple[Log, Failure | None]:
    """Check the cases of some seeds up to the first that fails, and shrink that.

    Args:
        seeds: of the cases.
        on_case: called after each.
        check: raises where something is wrong.
    """
    log, failure = try_cases(map(draw_case, seeds), on_case, check)
    return log, failure and made_small(failure, check)


def try_cases(
    cases: Iterable[Case],
    on_case: Callable[[Log], None] = lambda log: None,
    check: Callable[[Case], Outcome] = check_case,
) -> tuple[Log, Failure | None]:
    """Check cases up to the first that fails; the arguments are those of ``fuzz``."""
    log, start = Log(), time.monotonic()
    for case in cases:
        failure = try_case(case, check, log)
        log.seconds = time.monotonic() - start
        if failure is not None:
            return log, failure
        on_case(log)
    return log, None


def read_case(path: Path) -> Case:
    """A case that was written down.

    Raises:
        ConfigError: the file does not hold one, or it cannot be run.
    """
    try:
        case = Case.from_toml(disk.read_text(path))
        with small_numbers():
            assert case.config
    except (ConfigError, UnicodeDecodeError) as error:
        raise ConfigError(f"{str(path)!r}: {error}") from None
    return case


def try_case(
    case: Case, check: Callable[[Case], Outcome] = check_case, log: Log | None = None
) -> Failure | None:
    """Whether a case fails, and how; what cannot be run is no failure."""
    log = log or Log()
    try:
        log.note(case, check(case))
    except UserError as error:
        log.refused[str(error)] += 1
    except Exception as error:
        return Failure(case, case, type(error).__name__, said(error))
    return None


def said(error: Exception) -> str:
    """Its message and the place that it came from."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{str(error)[:1000]} ({Path(last.filename).name}, {last.name})"


def made_small(failure: Failure, check: Callable[[Case], Outcome] = check_case) -> Failure:
    """The failure of a case that is as small as it can be made."""

    def fails_alike(case: Case) -> bool:
        found = try_case(case, check)
        return found is not None and found.kind == failure.kind

    small = shrink(failure.case, fails_alike)
    return (try_case(small, check) or failure)._replace(drawn=failure.drawn)


def whose() -> str:
    """The version, and the commit where there is one."""
    name = f"fedast-jax {package_version('fedast-jax')}"
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return name
    return f"{name}, commit {found.stdout.strip()}"

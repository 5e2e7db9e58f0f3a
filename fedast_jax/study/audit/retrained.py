"""Models, tests and requests computed anew, by the oracle's plain loop over steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
import pandas as pd

from ...config import disk
from ...config.settings import Config
from ...oracle import RealLearner
from ...results.run_folder import as_table
from ..recorded import read_table, split
from .compare import check_rows
from .drift import strict
from .findings import Audit, Difference
from .folder import Finished
from .models import SavedModels
from .told import Reader, Story
from .trained import Trainer, Work, difference_of, train_again

SAMPLE = 100  # requests that are trained anew, if not all
PARTITION = "partition.parquet"


def check_models(finished: Finished, audit: Audit) -> None:
    """Draw the initial models anew, and test the final ones.

    Raises:
        Difference: a model is another one.
    """
    if finished.models is None:
        audit.unchecked.append("initial and final models: they are not saved (--save models)")
        return
    counts = [0, 0]
    for story, models in zip(finished.stories, finished.models, strict=True):
        with learner_of(story.config) as real:
            counts[0] += _check_initial(story, models, real)
            counts[1] += _check_final(story, models, real)
    audit.checked.append(
        f"{counts[0]} initial models, drawn anew; {counts[1]} last tests, made anew of final models"
    )


@contextmanager
def learner_of(config: Config) -> Iterator[RealLearner]:
    """What trains, in the configuration's precision."""
    with jax.enable_x64(config.machine.precision == "float64"):
        yield RealLearner(config)


def _check_initial(story: Story, models: SavedModels, real: RealLearner) -> int:
    config = story.config
    tolerance = 1e-12 if config.machine.precision == "float64" else 1e-6
    places = [(one, task) for one in range(config.num_seeds) for task in range(len(real.tasks))]
    for replicate, task in places:
        model = real.initial(config.seeds[replicate], task)
        models.check(replicate, config.named_tasks[task].name, "initial", model, tolerance)
    return len(places)


def _check_final(story: Story, models: SavedModels, real: RealLearner) -> int:
    """Of the lanes whose last version was tested."""
    names = [task.name for task in story.config.named_tasks]
    tests = story.evaluations.reset_index(drop=True)
    last: Any = tests.groupby(["replicate", "task"]).tail(1)
    rounds = story.lanes.set_index(["replicate", "task"])["rounds"]
    count, precision = 0, story.config.machine.precision
    for row, test in zip(last.index, last.itertuples(), strict=True):
        if rounds[test.replicate, test.task] == test.round:
            task = names.index(test.task)
            template = real.initial(story.config.seed, task)
            model = models.load(test.replicate, test.task, "final", template)
            saved = float(tests[story.metric(task)][row]), float(tests["loss"][row])
            test = story, int(row), task, real.score(task, model), saved
            if off := difference_of(*test, real.data[task].num_tests, strict(precision)):
                raise off
            count += 1
    return count


def check_requests(
    finished: Finished,
    readers: Sequence[Reader | None],
    audit: Audit,
    *,
    deep: bool,
    seed: int,
) -> None:
    """Train requests anew: all, or the first of one replicate of one configuration.

    Raises:
        Difference: a test, an estimate or a final model is not what comes out.
    """
    told = [number for number, one in enumerate(readers) if one is not None]
    if not told:
        return
    if deep:
        chosen = [(number, range(finished.stories[number].config.num_seeds)) for number in told]
    else:
        random = np.random.default_rng(seed)
        number = told[random.integers(len(told))]
        chosen = [(number, [int(random.integers(finished.stories[number].config.num_seeds))])]
    done = [
        _train(finished, number, readers[number], replicates, None if deep else SAMPLE)
        for number, replicates in chosen
    ]
    audit.checked.append(_in_words(done))
    if not deep:
        number, (replicate,) = chosen[0]
        where = f" of configuration {number}" if len(readers) > 1 else ""
        audit.unchecked.append(
            f"requests beyond the first {done[0].num_requests} of replicate {replicate}{where} "
            f"were not trained anew (--deep: all; --seed S: others)"
        )


def _train(
    finished: Finished,
    number: int,
    reader: Reader | None,
    replicates: Iterable[int],
    most: int | None,
) -> Work:
    assert reader is not None
    models = None if finished.models is None else finished.models[number]
    with learner_of(reader.story.config) as real:
        return train_again(Trainer(reader, real, models, most), replicates)


def _in_words(done: Sequence[Work]) -> str:
    losses, models = ([one for work in done for one in part(work)] for part in (_losses, _models))
    words = (
        f"{sum(work.num_requests for work in done):,} requests, trained anew one by one from the "
        f"versions they name: {len(losses):,} losses are off by {_spread(losses)}"
    )
    return f"{words}, {len(models)} final models by {_spread(models)}" if models else words


def _losses(work: Work) -> list[float]:
    return work.losses


def _models(work: Work) -> list[float]:
    return work.models


def _spread(values: Sequence[float]) -> str:
    return f"{np.nanmedian(values):.1e} (median), {np.nanmax(values):.1e} (most)"


def check_partition(finished: Finished, audit: Audit) -> None:
    """Divide the data anew.

    Raises:
        Difference: a client holds another sample.
    """
    path = finished.path / PARTITION
    if not disk.exists(path):
        audit.unchecked.append("who holds which sample: it is not saved (--save partition)")
        return
    variants, is_study = finished.folder.study.variants, finished.folder.is_study
    tables = split(finished.path, "partition", read_table(path), variants, is_study)
    for story, found in zip(finished.stories, tables, strict=True):
        with learner_of(story.config) as real:
            blocks, first = list(_holdings(story.config, real)), 0
        for block in blocks:
            part = found[first : first + len(block)]
            check_rows(PARTITION, as_table(block), as_table(part), part.index.tolist())
            first += len(block)
        if len(found) > first:
            row = int(found.index[first])
            raise Difference(PARTITION, f"{first} rows", f"{len(found)} rows", row)
    audit.checked.append(f"{PARTITION}: the data divided anew")


def _holdings(config: Config, real: RealLearner) -> Iterator[pd.DataFrame]:
    """Rows (replicate, task, client, sample), a table for each replicate and task."""
    for replicate, seed in enumerate(config.seeds):
        for task, (name, _) in enumerate(config.named_tasks):
            samples = [row for rows in real.held(seed, task).all_samples() for row in rows]
            clients = np.repeat(np.arange(len(samples)), [len(row) for row in samples])
            columns = {"client": clients, "sample": np.concatenate(samples).astype(np.int64)}
            yield pd.DataFrame({"replicate": replicate, "task": name, **columns})

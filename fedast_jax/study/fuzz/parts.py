"""A scenario in many parts, as a process does that is stopped and resumed: it changes nothing.

Each part has new pools, a new device and a new driver; between two of them stands what a checkpoint
holds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import jax

from ...engine.planning.pool import LanePool, PoolPlan, Test
from ...oracle import SymbolicLearner
from ...results.plain import flatten, unflatten
from ...run.driver import Driver
from ...run.executor import Executor, Interrupted, Score
from ...run.planner import Segment
from ...run.snapshot import restore_driver, snapshot_of
from .drive import KeepingDriver, make_driver
from .scenario import Scenario
from .symbols import SymbolicDevice


class Killed(Exception):
    """The process has ended."""


def there_and_back(value: Any) -> Any:
    """As through a file."""
    tree, entries = flatten(value)
    return unflatten(json.loads(json.dumps(tree)), entries)


class Parted:
    """Runs a scenario in parts."""

    def __init__(
        self,
        scenario: Scenario,
        make_device: Callable[[], Executor],
        stops: Sequence[bool],
        step_updates: int | None = None,
        make: Callable[..., KeepingDriver] = KeepingDriver,
    ) -> None:
        """Prepare.

        Args:
            scenario: what to run.
            make_device: a new device for each part.
            stops: in turn, whether a part ends after a segment.
            step_updates: instead of the driver's choice.
            make: the class of the drivers.
        """
        self.scenario, self.make_device, self.step_updates = scenario, make_device, step_updates
        self.stops, self.num_segments, self.num_parts = stops, 0, 0
        self.make, self.content = make, None

    def run(self) -> KeepingDriver:
        """All parts; the last one's driver."""
        with jax.enable_x64(self.scenario.config.machine.precision == "float64"):
            while True:
                driver = self.new_driver()
                self.num_parts += 1
                try:
                    driver.run(self.scenario.num_resident, self.scenario.window)
                except Interrupted:
                    self.content = there_and_back(snapshot_of(driver))
                except Killed:
                    pass
                else:
                    return driver

    def new_driver(self) -> KeepingDriver:
        """One that goes on from the end of the last part."""
        one = self.scenario
        driver = make_driver(
            one.config, self.make_device(), one.capacity, self.step_updates, self.make
        )
        if self.content is not None:
            restore_driver(driver, self.content)
        driver.on_segment = self.after_segment
        return driver

    def after_segment(self, driver: Driver) -> None:
        """Let the part end here, or not."""
        if isinstance(driver.executor, SymbolicDevice):
            driver.executor.on_segment(driver)
        self.num_segments += 1
        if driver.is_unfinished and self.stops[self.num_segments % len(self.stops)]:
            self.content = there_and_back(snapshot_of(driver))
            raise Killed


class Stopping(SymbolicDevice):
    """Is interrupted in the middle of its n-th call of train or test, once."""

    def __init__(self, learner: SymbolicLearner, countdown: list[int]) -> None:
        """``countdown``: how many calls are left, shared by the devices of all parts."""
        super().__init__(learner)
        self.countdown = countdown

    def train(self, pool: LanePool, plan: PoolPlan, step_updates: int) -> None:
        """As of ``Executor``, then the interruption."""
        super().train(pool, plan, step_updates)
        self.count()

    def test(self, pool: LanePool, tests: Sequence[Test]) -> list[Score]:
        """The interruption, then as of ``Executor``."""
        self.count()
        return super().test(pool, tests)

    def count(self) -> None:
        """One call less."""
        self.countdown[0] -= 1
        if self.countdown[0] == 0:
            raise Interrupted


class Rewinding(KeepingDriver):
    """Lays every segment out farther than it is wanted first, and takes that back."""

    farther = 1  # events

    def plan(self, window: int) -> Segment:
        """As every driver does, after that."""
        for replicate in self.resident:
            log = replicate.timeline
            mark = log.mark()
            log.advance(log.num_arrivals + self.farther)
            log.rewind(mark)
        return super().plan(window)


def rewinding(events: int) -> type[KeepingDriver]:
    """Drivers that lay out so many events in vain; of none, those that do not."""
    return type("Rewinding", (Rewinding,), {"farther": events}) if events else KeepingDriver


def measured(driver: Driver) -> dict[str, Any]:
    """All that a driver holds, without the clock."""
    content = snapshot_of(driver)
    del content["seconds"]
    return content

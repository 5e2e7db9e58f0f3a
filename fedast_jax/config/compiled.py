"""Whether planning runs its compiled loops: they plan the very same, and cost seconds to begin."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

PATIENCE = 500_000
"""Events that a process plans in plain Python, in some seconds, before it compiles: on a machine
where that was never done it takes ten seconds and more, later less than one."""

VARIABLE = "FEDAST_COMPILED_PLANNING"
"""An environment variable: ``never``, ``always``; anything else: once it is worth it."""


@dataclass
class Switch:
    """What a process has planned so far without compiled loops."""

    mode: str = os.environ.get(VARIABLE, "")
    num_planned: int = 0

    def is_on(self, num_events: int = 1) -> bool:
        """Whether the next events are for a compiled loop; otherwise they are counted."""
        if self.mode == "always":
            return True
        self.num_planned += num_events
        return self.num_planned > PATIENCE and self.mode != "never"

    def load(self, import_kernels: Callable[[], ModuleType]) -> ModuleType | None:
        """A module of compiled loops; None where there is no compiler, now and from now on."""
        try:
            return import_kernels()
        except (ImportError, RuntimeError):  # as where it can keep its results nowhere
            self.mode = "never"
            return None


SWITCH = Switch()

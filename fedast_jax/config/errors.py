"""What the user can mend: told in one sentence, with exit code 2 on the command line.

Nothing heavy is imported here, so that the command line can name these before it needs more.
"""

from __future__ import annotations


class UserError(Exception):
    """What was asked for cannot be done; the message is one sentence with the value and the fix."""


class ConfigError(UserError, ValueError):
    """A setting that cannot be run; the message is one sentence with the value and the fix."""


class OutputError(UserError, OSError):
    """The results could not be written where they were wanted; one sentence."""


class ResumeError(UserError, ValueError):
    """A run that cannot be continued; one sentence."""


class OutOfMemory(UserError, MemoryError):
    """A device or the machine has no room left for what was begun; one sentence."""


class RecordError(UserError, ValueError):
    """A folder that does not hold what a run leaves, or not whole; one sentence."""

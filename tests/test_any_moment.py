"""SIGTERM, SIGINT and SIGKILL at random moments of a command (see ``any_moment.py``)."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_resume import python

SCRIPT = Path(__file__).with_name("any_moment.py")


@pytest.mark.slow
def test_a_hundred_moments_of_each_signal():
    """Finished, resumable or absent; going on gives the bytes of an undisturbed run."""
    process = python(SCRIPT, 100, 0)
    said = process.communicate(timeout=3600)[0]
    print(said)
    assert process.returncode == 0
    assert said.count(": 100: ") == 3

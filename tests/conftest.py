"""What all tests share: settings of JAX and of Hypothesis, scenarios that Hypothesis draws.

Warnings are errors (see pyproject.toml).
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
from compile_cache import Exchange, open_cache
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from fedast_jax.config.compiled import SWITCH
from fedast_jax.engine import devices
from fedast_jax.run import simulate as simulate_module
from fedast_jax.run import tuned
from fedast_jax.run.executor import Device
from fedast_jax.study.fuzz import kinds as kinds  # registers its tasks
from fedast_jax.study.fuzz.programs import QUICK, shared_engine
from fedast_jax.study.fuzz.scenario import Scenario, draw_scenario

os.environ["JAX_NUM_CPU_DEVICES"] = "1"  # in processes that tests start: the same on any machine
jax.config.update("jax_num_cpu_devices", 4)  # for test_devices.py; all else uses the first
devices.usable_cores = lambda: 1  # the same numbers on any machine,
tuned.kept_file = lambda: Path(os.devnull) / "tuned.json"  # whatever was measured on it
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # in such processes, and for what is imported later
threadpool_limits(1)  # threads that wait for each other's small products would take the cores
jax.config.update("jax_numpy_dtype_promotion", "strict")  # types are mixed on purpose or not at all

SLOW_CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile(
    "fixed", deadline=None, derandomize=True, max_examples=60, suppress_health_check=SLOW_CHECKS
)
settings.register_profile(  # pytest --hypothesis-profile=search: new examples, many more of them
    "search", deadline=None, max_examples=600, suppress_health_check=SLOW_CHECKS
)
settings.load_profile("fixed")
SWITCH.mode = "never"  # compiling takes seconds; test_compiled_planning.py compares


def assert_identical(ours: Any, theirs: Any) -> None:
    """Equal in every bit and in every type, however deep; a NaN equals itself."""
    assert type(ours) is type(theirs)
    if isinstance(theirs, list | tuple):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_identical(one, other)
    elif isinstance(theirs, dict):
        assert_identical(list(ours), list(theirs))
        for key, value in theirs.items():
            assert_identical(ours[key], value)
    elif isinstance(theirs, np.ndarray | np.generic):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        assert ours.tobytes() == theirs.tobytes()
    elif isinstance(theirs, array):
        assert (ours.typecode, ours.tobytes()) == (theirs.typecode, theirs.tobytes())
    else:
        assert repr(ours) == repr(theirs)


class Drawn(NamedTuple):
    """Hypothesis as those who draw scenarios ask it."""

    draw: Callable[[st.SearchStrategy], Any]

    def whole(self, least: int, most: int) -> int:
        return self.draw(st.integers(least, most))

    def one_of(self, values: Sequence[Any]) -> Any:
        return self.draw(st.sampled_from(values))

    def coin(self) -> bool:
        return self.draw(st.booleans())


@st.composite
def scenarios(draw, **options: Any) -> Scenario:
    """As ``draw_scenario`` draws them."""
    return draw_scenario(Drawn(draw), **options).checked()


@pytest.fixture
def own_engines(monkeypatch):
    """Each run traces and compiles for itself, as outside the tests."""
    monkeypatch.setattr(simulate_module, "Device", Device)


simulate_module.Device = partial(Device, make_engine=shared_engine)  # type: ignore


@pytest.fixture(scope="session")
def _exchange(tmp_path_factory) -> Exchange:
    """Every program is compiled once in a session, whatever worker needs it next."""
    base = tmp_path_factory.getbasetemp()
    is_worker = "PYTEST_XDIST_WORKER" in os.environ  # then its folder lies in the session's
    own, shared = base / "programs", (base.parent if is_worker else base) / "all_programs"
    shared.mkdir(exist_ok=True)
    open_cache(own)
    return Exchange(own, shared)


@pytest.fixture(autouse=True)
def _programs(_exchange):
    """Those of other workers."""
    _exchange()


@pytest.fixture(scope="module", autouse=True)
def _optimisation(request):
    """Where nothing is asked of bits or speed, XLA compiles in half the time, to the same meaning.

    Not where slow tests are asked for, too: that session is as it is for a user throughout.
    """
    is_short = "not slow" in request.config.getoption("markexpr")
    is_quick = is_short and request.node.get_closest_marker("optimised") is None
    jax.config.update(QUICK, is_quick)
    os.environ[QUICK.upper()] = str(is_quick)  # for processes that tests start
    yield
    jax.config.update(QUICK, False)


@pytest.fixture(autouse=True)
def _leaves_no_trace():
    """A test that leaves JAX in double precision would change those after it."""
    assert not jax.config.read("jax_enable_x64")
    yield
    assert not jax.config.read("jax_enable_x64")

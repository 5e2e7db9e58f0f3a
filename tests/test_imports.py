"""What is not imported before it is needed; seconds would depend on the machine."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import fedast_jax as fx

HEAVY = {
    "jax", "jaxlib", "flax", "optax", "numpy", "scipy", "pandas", "pyarrow", "matplotlib",
    "sklearn", "ray",
}  # fmt: skip


def heavy_after(code: str) -> set[str]:
    """The heavy packages that a fresh interpreter has imported after some code."""
    tell = "import json, sys\nprint(json.dumps([one for one in sys.modules if '.' not in one]))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{tell}"], capture_output=True, text=True, check=True
    )
    return HEAVY & set(json.loads(done.stdout.splitlines()[-1]))


def command(*arguments: str) -> str:
    """Code that is ``fedast ARGUMENTS``."""
    return (
        f"import sys; sys.argv = {['fedast', *arguments]!r}\n"
        "from fedast_jax import cli\n"
        "try: cli.main()\n"
        "except SystemExit: pass"
    )


@pytest.mark.parametrize(
    "code", ["import fedast_jax", command("--help"), command("version"), command("run", "--help")]
)
def test_nothing_heavy_before_it_is_needed(code):
    assert heavy_after(code) == set()


ALL_WITHOUT_UNIX = """
import sys, psutil  # on Unix it needs resource itself
sys.modules |= dict.fromkeys(["fcntl", "resource", "grp", "pwd", "termios"])
import pkgutil, fedast_jax
from importlib import import_module
names = [found.name for found in pkgutil.walk_packages(fedast_jax.__path__, "fedast_jax.")]
for name in names:
    if not name.endswith("__main__"):
        import_module(name)
from fedast_jax.run.machine import peak_bytes
assert len(names) > 90 and peak_bytes() is None
"""


def test_the_package_needs_no_module_that_windows_lacks():
    done = subprocess.run([sys.executable, "-c", ALL_WITHOUT_UNIX], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_who_only_loads_data_waits_for_no_downloader():
    code = (
        "import sys, fedast_jax.data.download; assert not {'pooch', 'requests'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_name_is_found_in_any_order():
    """A name that is a module's too stays what it is once that module is imported."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import fedast_jax as fx, fedast_jax.run.simulate, fedast_jax.study.study\n"
            "assert callable(fx.simulate) and callable(fx.plan), fx.simulate\n"
            "from fedast_jax import *\n"
            "assert simulate is fx.simulate and compare is fx.compare",
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_the_table_of_contents():
    assert {"simulate", "Config", "compare", "Study", "DataError"} <= set(fx.__all__)
    assert {name for name in dir(fx) if not name.startswith("__")} == set(fx.__all__)
    assert "__doc__" in dir(fx)
    for name in fx.__all__:
        assert getattr(fx, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        fx.nothing  # type: ignore[attr-defined] # noqa: B018

"""What one test has compiled, the next one loads: JAX's cache of programs, kept for a session.

Nothing under test changes: every engine is traced and lowered as ever, and a program that is loaded
has the bits of the one that was compiled. Each worker of a session has a folder of its own and is
the only one that writes there, as JAX does not replace its files atomically; the processes that
tests start read it alone (but see ``with_cache``), so that those which are killed leave nothing
half written.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
from jax.experimental.compilation_cache import compilation_cache

HITS = "/jax/compilation_cache/cache_hits"
VARIABLES = ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS")


def open_cache(folder: Path) -> None:
    """Keep programs there from now on, where this JAX can load them again on this machine."""
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    if is_working():
        os.environ |= dict(zip(VARIABLES, (str(folder), "1e9"), strict=True))
    else:
        jax.config.update("jax_compilation_cache_dir", None)
        compilation_cache.reset_cache()


def is_working() -> bool:
    """Whether a program is found again; some versions refuse their own on some processors."""
    hits: list[str] = []

    def listen(event: str, **_: object) -> None:
        if event == HITS:
            hits.append(event)

    jax.monitoring.register_event_listener(listen)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(2):
            jax.jit(lambda x: jnp.sin(x) @ x).lower(jnp.ones((3, 3))).compile()
    jax.monitoring.unregister_event_listener(listen)
    return bool(hits)


def with_cache() -> dict[str, str]:
    """The environment of a process that keeps programs, too: one alone, and none that is killed."""
    return {**os.environ, VARIABLES[1]: "0"}


def without_cache() -> dict[str, str]:
    """The environment of a process that compiles for itself."""
    return {name: value for name, value in os.environ.items() if name not in VARIABLES}

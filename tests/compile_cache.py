"""What one test has compiled, the next one loads: JAX's cache of programs, kept for a session.

Nothing under test changes: every engine is traced and lowered as ever, and a program that is loaded
has the bits of the one that was compiled. Each worker of a session has a folder of its own and is
the only one that writes there, as JAX does not replace its files atomically; before each test the
workers exchange whole files (``Exchange``). The processes that tests start have other keys, as they
see one device, and keep their programs in a folder beside it: a file that one of them leaves half
written is a miss for the next.
"""

from __future__ import annotations

import os
import warnings
from contextlib import suppress
from pathlib import Path

import jax
import jax.numpy as jnp
from jax.experimental.compilation_cache import compilation_cache

HITS = "/jax/compilation_cache/cache_hits"
FOLDER = "JAX_COMPILATION_CACHE_DIR"
VARIABLES = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
    "JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES": "none",
}


def open_cache(folder: Path) -> None:
    """Keep programs there from now on, where this JAX can load them again on this machine."""
    folder.mkdir(exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_enable_xla_caches", "none")  # or keys hold the folder
    if is_working():
        os.environ |= VARIABLES | {FOLDER: f"{folder}_of_processes"}
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


class Exchange:
    """What a worker has compiled, given to the others of its session, and theirs taken.

    Args:
        own: the folder that this worker alone writes in.
        shared: one of all workers, in the same file system.
    """

    def __init__(self, own: Path, shared: Path) -> None:
        self.folders = own, shared
        self.seen: tuple[int, ...] = ()

    def __call__(self) -> None:
        """While nothing is compiled, so that every file is whole; a link is atomic."""
        if self.seen != self._times():
            ours, theirs = map(set, map(os.listdir, self.folders))
            self._link(ours - theirs, *self.folders)
            self._link(theirs - ours, *self.folders[::-1])
            self.seen = self._times()

    def _times(self) -> tuple[int, ...]:
        return tuple(folder.stat().st_mtime_ns for folder in self.folders)

    @staticmethod
    def _link(names: set[str], source: Path, target: Path) -> None:
        for name in names:
            with suppress(FileExistsError):
                os.link(source / name, target / name)


def without_cache() -> dict[str, str]:
    """The environment of a process that compiles for itself."""
    return {name: value for name, value in os.environ.items() if name not in {FOLDER, *VARIABLES}}

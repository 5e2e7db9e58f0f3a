"""``fedast ARGUMENTS``; once a Ray block is done a process gets SIGKILL (see test_ray_tasks.py).

Usage: lost_worker.py WHO ARGUMENTS...: ``worker``, one that is busy with another block; ``driver``,
this process, when the block is kept; ``hang``, a busy worker, which gets SIGSTOP instead.
"""

from __future__ import annotations

import os
import signal
import sys
import time

import psutil

from fedast_jax import cli
from fedast_jax.run.checkpoint import Checkpoints
from fedast_jax.run.cluster import ray_tasks

who = sys.argv[1]
sys.argv = ["fedast", *sys.argv[2:]]
open_block, write, killed = ray_tasks._open, Checkpoints.write, []


def busy_workers() -> list[psutil.Process]:
    """Ray names a worker's process after what it is doing."""
    children = psutil.Process().children(recursive=True)
    return [one for one in children if any("ray::run_block" in word for word in one.cmdline())]


def kill_a_worker() -> None:
    while not busy_workers():
        time.sleep(0.01)
    time.sleep(1.0)  # in the middle of it
    victim = busy_workers()[0]
    number = signal.SIGSTOP if who == "hang" else signal.SIGKILL
    victim.send_signal(number)
    killed.append(victim.pid)
    print(f"a worker has got {number.name}", flush=True)


def open_and_kill(*arguments):
    found = open_block(*arguments)
    if not killed:
        kill_a_worker()
    return found


def write_and_die(self, content):
    path = write(self, content)
    os.kill(os.getpid(), signal.SIGKILL)
    return path


if who in ("worker", "hang"):
    ray_tasks._open = open_and_kill
else:
    Checkpoints.write = write_and_die
cli.main()

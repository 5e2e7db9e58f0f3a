"""Nothing is sent or asked for over a network, unless `data prepare` is told to."""

from __future__ import annotations

import subprocess
import sys

ALONE = """
import socket, sys

def refuse(*arguments, **options):
    raise AssertionError(f"a connection was asked for: {arguments[1:]}")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
import fedast_jax as fx
from fedast_jax.cli import main

for name in fx.__all__:
    getattr(fx, name)
sys.argv = ["fedast", "run", "run.toml", "--out", "out"]
main()
"""


def test_a_run_opens_no_connection(tmp_path):
    """From the first import to the saved folder, in a process that can open none."""
    (tmp_path / "run.toml").write_text("num_clients = 20\n[tasks.digits]\nmax_rounds = 4\n")
    command = [sys.executable, "-c", ALONE]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "evaluations.parquet").is_file()

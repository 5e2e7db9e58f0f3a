"""``fedast ARGUMENTS``, killed in the middle of writing a checkpoint (started by test_resume.py).

Usage: killed_run.py NUMBER SHARE ARGUMENTS...: SIGKILL when SHARE of the bytes of the NUMBER-th
checkpoint are in its file; a SHARE above 1: just before it would be renamed.
"""

from __future__ import annotations

import io
import os
import signal
import sys

from fedast_jax import cli
from fedast_jax.run import checkpoint

number, share = int(sys.argv[1]), float(sys.argv[2])
sys.argv = ["fedast", *sys.argv[3:]]
write_file, count = checkpoint.write_file, 0


def write_and_die(file, content):
    global count
    count += 1
    if count < number:
        return write_file(file, content)
    whole = io.BytesIO()
    write_file(whole, content)
    file.write(whole.getvalue()[: int(share * whole.tell())])
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)


checkpoint.write_file = write_and_die
cli.main()

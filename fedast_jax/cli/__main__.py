"""``python -m fedast_jax.cli``."""

from .commands import main

main()

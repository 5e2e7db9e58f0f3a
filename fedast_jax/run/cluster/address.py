"""Network addresses: read, and tried out before anything that could hang is given one."""

from __future__ import annotations

import socket
import time
from typing import NamedTuple, Self

from .errors import ClusterError

WAIT_SECONDS = 40.0  # for an address to answer
RETRY_SECONDS = 0.2


class Address(NamedTuple):
    """A machine and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        """As it is given, with an IPv6 host in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_here(self) -> bool:
        """Whether only processes of this machine can call it."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")

    @classmethod
    def parse(cls, text: str, option: str) -> Self:
        """Read HOST:PORT.

        Args:
            text: what was given.
            option: where, for the message.
        Raises:
            ClusterError: it does not read so.
        """
        host, _, port = text.rpartition(":")
        is_port = port.isascii() and port.isdigit() and 1 <= int(port) <= 65535
        if not (host and is_port) or any(sign in host for sign in "/@ "):
            raise ClusterError(
                f"{option} must read HOST:PORT with a port from 1 to 65535, as in 10.0.0.1:6000, "
                f"got {text!r}"
            )
        return cls(host.removeprefix("[").removesuffix("]"), int(port))


def connect(address: Address, what: str, wait_seconds: float | None = None) -> socket.socket:
    """Connect, trying again for a while.

    Args:
        address: where to.
        what: is expected there, for the message.
        wait_seconds: None: ``WAIT_SECONDS``.
    Raises:
        ClusterError: nothing answers.
    """
    wait_seconds = WAIT_SECONDS if wait_seconds is None else wait_seconds
    deadline = time.monotonic() + wait_seconds
    while True:
        left = deadline - time.monotonic()
        try:
            return socket.create_connection(address, timeout=max(left, RETRY_SECONDS))
        except (OSError, UnicodeError) as error:
            if time.monotonic() + RETRY_SECONDS >= deadline:
                raise ClusterError(
                    f"{what} at {address} cannot be reached within {wait_seconds:.0f} s "
                    f"({_reason(error)}): see that it runs there, or correct the address"
                ) from None
        time.sleep(RETRY_SECONDS)


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or "no answer").lower()

"""Several processes come together, work apart, and hand in what they have measured.

Process 0 listens at the coordinator's address; every other one tells it what it is and is told what
all are. The connections stay open while the processes work: over them come the shares, and by them
process 0 notices when another one is gone.
"""

from __future__ import annotations

import json
import math
import selectors
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, Self

from .address import Address, connect
from .errors import ClusterError

WAIT_SECONDS = 45.0  # of process 0 for all others
ANSWER_SECONDS = 50.0  # of the others for what process 0 has heard
LONGEST = 1 << 20  # bytes of one message of the roll call
POLL_SECONDS = 0.5  # so that Ctrl-C is heard
LAST_SECONDS = 60.0  # of the others to hand in what they have, once the run is to stop
KEEPALIVE = {"TCP_KEEPIDLE": 20, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 4}  # 60 s until one is missed
GREETING = "fedast-jax roll call"
STOP = {"stop": True}
LENGTH_BYTES = 8  # of a share's length, which goes before it


class Card(NamedTuple):
    """What one process says about itself."""

    process_id: int
    facts: dict[str, str]  # what must be equal in all of them


class Company:
    """The connections between process 0 and the others, from the roll call on."""

    def __init__(self, members: dict[int, socket.socket]) -> None:
        """By process: as process 0 all others, else process 0 alone."""
        self._members = members
        for member in members.values():
            member.settimeout(None)
            _keep_alive(member)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for member in self._members.values():
            member.close()

    def hand_in(self, content: bytes) -> None:
        """As another process than 0: send one's share.

        Raises:
            ClusterError: process 0 is gone.
        """
        try:
            self._members[0].sendall(len(content).to_bytes(LENGTH_BYTES, "big") + content)
        except OSError:
            raise _gone() from None

    def verdict(self) -> list[str]:
        """As another process than 0: what has failed in any process, once all are done.

        Raises:
            ClusterError: process 0 is gone.
        """
        try:
            said = _receive(self._members[0])
            return (_receive(self._members[0]) if said == STOP else said)["failed"]
        except (OSError, ValueError, KeyError, TypeError):
            raise _gone() from None

    def is_over(self) -> bool:
        """As another process than 0: whether process 0 is gone, or wants the run to stop."""
        return _state(self._members[0]) != "silent"

    def awaited(self) -> list[int]:
        """As process 0: the processes that have handed nothing in yet."""
        return [number for number, one in self._members.items() if _state(one) == "silent"]

    def lost(self) -> list[int]:
        """As process 0: the processes that are gone and have handed nothing in."""
        return [number for number, one in self._members.items() if _state(one) == "gone"]

    def collect(self, is_stopped: Callable[[], bool] = lambda: False) -> dict[int, bytes]:
        """As process 0: the others' shares; that of a process that is lost is missing.

        Args:
            is_stopped: once True the others are asked to stop, and have ``LAST_SECONDS``.
        """
        parts = {number: bytearray() for number in self._members}
        deadline = math.inf
        with selectors.DefaultSelector() as selector:
            for number, member in self._members.items():
                selector.register(member, selectors.EVENT_READ, number)
            while selector.get_map() and time.monotonic() < deadline:
                if is_stopped() and deadline == math.inf:
                    _tell(self._members.values(), STOP)
                    deadline = time.monotonic() + LAST_SECONDS
                for key, _ in selector.select(POLL_SECONDS):
                    if not _read_on(self._members[key.data], parts[key.data]):
                        selector.unregister(key.fileobj)
        whole = {number: _content(part) for number, part in parts.items()}
        return {number: content for number, content in whole.items() if content is not None}

    def tell(self, failed: Sequence[str]) -> None:
        """As process 0: tell all others what has failed in any process."""
        _tell(self._members.values(), {"failed": list(failed)})


def _keep_alive(member: socket.socket) -> None:
    """Let the system ask now and then whether the other machine is there."""
    member.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):
            member.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _state(member: socket.socket) -> str:
    """``gone``, ``silent``, or ``spoken``: there is something to read."""
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(member, selectors.EVENT_READ)
            if not selector.select(0):
                return "silent"
        return "spoken" if member.recv(1, socket.MSG_PEEK) else "gone"
    except OSError:
        return "gone"


def _gone() -> ClusterError:
    return ClusterError("process 0 is gone, and with it what the processes have measured")


def _read_on(member: socket.socket, part: bytearray) -> bool:
    """Take what has come; whether more is to come."""
    try:
        data = member.recv(1 << 20)
    except OSError:
        return False
    part += data
    return bool(data) and _content(part) is None


def _content(part: bytearray) -> bytes | None:
    """A share, once all of it has come."""
    length = int.from_bytes(part[:LENGTH_BYTES], "big")
    is_whole = len(part) >= LENGTH_BYTES and len(part) == LENGTH_BYTES + length
    return bytes(part[LENGTH_BYTES:]) if is_whole else None


def call_roll(address: Address, num_processes: int, mine: Card) -> Company:
    """Wait until all processes are there and agree.

    Raises:
        ClusterError: one is missing, or they are not the same; every process that is there says so.
    """
    cards, members = (
        _hear(address, num_processes, mine)
        if mine.process_id == 0
        else _report(address, num_processes, mine)
    )
    company = Company(members)
    try:
        check_equal(cards)
    except ClusterError:
        company.__exit__()
        raise
    return company


def check_equal(cards: Sequence[Card]) -> None:
    """Raise ClusterError where facts differ, with who has what."""
    names = [name for name in cards[0].facts if len({card.facts.get(name) for card in cards}) > 1]
    if names:
        said = "; ".join(
            f"process {card.process_id} has "
            + ", ".join(f"{name} {card.facts.get(name)}" for name in names)
            for card in cards
        )
        raise ClusterError(f"the processes must be alike, but {said}")


def _hear(
    address: Address, num_processes: int, mine: Card
) -> tuple[list[Card], dict[int, socket.socket]]:
    """As process 0: collect a card from each other process, then send all of them to each."""
    deadline = time.monotonic() + WAIT_SECONDS
    cards, callers, members = {0: mine}, [], {}
    with _listen(address) as server:
        try:
            while len(cards) < num_processes:
                server.settimeout(max(deadline - time.monotonic(), 0.001))
                caller, _ = server.accept()
                callers.append(caller)
                card = _hear_one(caller)
                if card is not None:
                    _enter(card, cards, num_processes)
                    members[card.process_id] = caller
        except TimeoutError:
            _close(callers)
            raise _absence(address, num_processes, cards) from None
        except ClusterError as error:
            _tell(callers, {"refused": str(error)})
            _close(callers)
            raise
        _close(caller for caller in callers if caller not in members.values())
        in_order = [cards[number] for number in sorted(cards)]
        _tell(members.values(), {"cards": in_order})
        return in_order, members


def _absence(address: Address, num_processes: int, cards: Mapping[int, Card]) -> ClusterError:
    """Who has not come."""
    missing = [str(number) for number in range(num_processes) if number not in cards]
    return ClusterError(
        f"process 0 has waited {WAIT_SECONDS:.0f} s at {address}, and of {num_processes} "
        f"processes these did not come: {', '.join(missing)}; start them within that time"
    )


def _enter(card: Card, cards: dict[int, Card], num_processes: int) -> None:
    number = card.process_id
    if number in cards:
        raise ClusterError(f"two processes have --process-id {number}; give each its own")
    if number >= num_processes:
        raise ClusterError(
            f"a process has --process-id {number}, but process 0 has "
            f"--num-processes {num_processes}; give all the same"
        )
    cards[number] = card


def _listen(address: Address) -> socket.socket:
    """On all of this machine's addresses."""
    try:
        if socket.has_dualstack_ipv6():
            return socket.create_server(
                ("", address.port), family=socket.AF_INET6, dualstack_ipv6=True
            )
        return socket.create_server(("", address.port))
    except OSError as error:
        raise ClusterError(
            f"process 0 cannot listen at {address}: {(error.strerror or str(error)).lower()}; name "
            f"another port with --coordinator, in every process"
        ) from None


def _hear_one(caller: socket.socket) -> Card | None:
    """The card of a caller; None where it is no process of ours."""
    caller.settimeout(5.0)
    try:
        said = _receive(caller)
        if said["greeting"] != GREETING:
            return None
        return Card(int(said["process_id"]), dict(said["facts"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _report(
    address: Address, num_processes: int, mine: Card
) -> tuple[list[Card], dict[int, socket.socket]]:
    """As another process: hand in one's own card, and get all."""
    caller = connect(address, "the coordinator (process 0)")
    caller.settimeout(ANSWER_SECONDS)
    try:
        _send(caller, {"greeting": GREETING, **mine._asdict()})
        said = _receive(caller)
    except (OSError, ValueError):
        caller.close()
        raise ClusterError(
            f"what listens at {address} has not let this process in: either it is not a fedast "
            f"run of {num_processes} processes, or it waited in vain for the others"
        ) from None
    if "refused" in said:
        caller.close()
        raise ClusterError(said["refused"])
    return [Card(*card) for card in said["cards"]], {0: caller}


def _tell(callers: Iterable[socket.socket], content: dict) -> None:
    for caller in callers:
        with suppress(OSError):  # it has gone; should it have been one of ours, it will be missed
            _send(caller, content)


def _close(callers: Iterable[socket.socket]) -> None:
    for caller in callers:
        caller.close()


def _send(connection: socket.socket, content: dict) -> None:
    connection.sendall(json.dumps(content).encode() + b"\n")


def _receive(connection: socket.socket) -> dict:
    """One line of JSON; what follows it is left."""
    data = b""
    while not data.endswith(b"\n"):
        part = connection.recv(65536, socket.MSG_PEEK)
        if not part or len(data) > LONGEST:
            raise ValueError("not a whole line")
        end = part.find(b"\n") + 1
        data += connection.recv(end or len(part))
    return json.loads(data)

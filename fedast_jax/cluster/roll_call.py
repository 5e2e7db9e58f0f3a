"""Before the processes of a run begin: all are there, and all are about to run the same.

Process 0 listens at the coordinator's address; every other one tells it what it is and is told what
all are. This comes before ``jax.distributed``, which ends a process that waits in vain without a
word, and whose versions may not understand each other.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Sequence
from typing import NamedTuple

from .address import Address, connect
from .errors import ClusterError

WAIT_SECONDS = 45.0  # of process 0 for all others
ANSWER_SECONDS = 50.0  # of the others for what process 0 has heard
LONGEST = 1 << 20  # bytes of one message
GREETING = "fedast-jax roll call"


class Card(NamedTuple):
    """What one process says about itself."""

    process_id: int
    facts: dict[str, str]  # what must be equal in all of them


def call_roll(address: Address, num_processes: int, mine: Card) -> None:
    """Wait until all processes are there and agree.

    Raises:
        ClusterError: one is missing, or they are not the same; every process that is there says so.
    """
    cards = (
        _hear(address, num_processes, mine)
        if mine.process_id == 0
        else _report(address, num_processes, mine)
    )
    check_equal(cards)


def check_equal(cards: Sequence[Card]) -> None:
    """Raise ClusterError where facts differ, with who has what."""
    names = [name for name in cards[0].facts if len({one.facts.get(name) for one in cards}) > 1]
    if names:
        said = "; ".join(
            f"process {one.process_id} has "
            + ", ".join(f"{name} {one.facts.get(name)}" for name in names)
            for one in cards
        )
        raise ClusterError(f"the processes must be alike, but {said}")


def _hear(address: Address, num_processes: int, mine: Card) -> list[Card]:
    """As process 0: collect a card from each other process, then send all of them to each."""
    deadline = time.monotonic() + WAIT_SECONDS
    cards, callers = {0: mine}, []
    with _listen(address) as server:
        try:
            while len(cards) < num_processes:
                server.settimeout(max(deadline - time.monotonic(), 0.001))
                caller, _ = server.accept()
                callers.append(caller)
                card = _hear_one(caller)
                if card is not None:
                    _enter(card, cards, num_processes)
        except TimeoutError:
            missing = [str(one) for one in range(num_processes) if one not in cards]
            raise ClusterError(
                f"process 0 has waited {WAIT_SECONDS:.0f} s at {address}, and of {num_processes} "
                f"processes these did not come: {', '.join(missing)}; start them within that time"
            ) from None
        except ClusterError as error:
            _tell(callers, {"refused": str(error)})
            raise
        _tell(callers, {"cards": [cards[number] for number in sorted(cards)]})
        return [cards[number] for number in sorted(cards)]


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
    """On all of this machine's addresses, as ``jax.distributed`` will."""
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


def _report(address: Address, num_processes: int, mine: Card) -> list[Card]:
    """As another process: hand in one's own card, and get all."""
    with connect(address, "the coordinator (process 0)") as caller:
        caller.settimeout(ANSWER_SECONDS)
        try:
            _send(caller, {"greeting": GREETING, **mine._asdict()})
            said = _receive(caller)
        except (OSError, ValueError):
            raise ClusterError(
                f"what listens at {address} has not let this process in: either it is not a fedast "
                f"run of {num_processes} processes, or it waited in vain for the others"
            ) from None
    if "refused" in said:
        raise ClusterError(said["refused"])
    return [Card(*one) for one in said["cards"]]


def _tell(callers: Sequence[socket.socket], content: dict) -> None:
    for caller in callers:
        try:
            _send(caller, content)
        except OSError:
            pass  # it has gone; should it have been one of ours, the next step says so
        finally:
            caller.close()


def _send(one: socket.socket, content: dict) -> None:
    one.sendall(json.dumps(content).encode() + b"\n")


def _receive(one: socket.socket) -> dict:
    """One line of JSON."""
    data = b""
    while not data.endswith(b"\n"):
        part = one.recv(65536)
        if not part or len(data) > LONGEST:
            raise ValueError("not a whole line")
        data += part
    return json.loads(data)

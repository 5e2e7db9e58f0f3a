"""Client speeds and durations: which client a dispatch reaches, and how long it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from ..config.closest import did_you_mean
from ..config.tables import DEVICES, RECORDED, TRACE, DelayConfig, TaskConfig
from ..config.words import show
from .devices import ClientDevices, model_bytes, read_devices
from .laws import LAWS, check_law, find_law
from .streams import Stream as Stream
from .streams import generator as generator
from .trace import ClientTrace, read_trace

CHUNK = 2048  # dispatches drawn at once; part of the random stream's definition
OTHERS = 7  # clients that a dispatch names beside its first; part of it, too
KEYS_OF_RECORDED = {
    "trace": "laws 'trace' and 'devices'",
    "trace_scale": "laws 'trace' and 'devices'",
    "classes": "law 'trace'",
}


def check_delays(delays: DelayConfig) -> None:
    """Raise ValueError where the law or a parameter is unknown, or the classes do not add up."""
    if delays.law in RECORDED:
        _check_recorded(delays)
        return
    law = find_law(delays.law)
    if law is None:
        names = [*LAWS, *RECORDED]
        raise ValueError(f"unknown delay law {show(delays.law)}; {did_you_mean(delays.law, names)}")
    for name, laws in KEYS_OF_RECORDED.items():
        if getattr(delays, name) != type(delays).model_fields[name].default:
            raise ValueError(f"{name} has a meaning for {laws} only, got law {delays.law!r}")
    check_law(delays.law, law, delays.parameters)
    _check_shares("speeds", delays.speeds, delays.shares)


def known_keys(law: str) -> list[str]:
    """What ``[delays]`` may hold beside its own settings: the law's parameters."""
    found = None if law in RECORDED else find_law(law)
    return list(found.parameters) if found else []


def _check_recorded(delays: DelayConfig) -> None:
    """A trace names its device classes itself: classes and shares go together or not at all."""
    law = delays.law
    if delays.trace is None:
        raise ValueError(f"law {law!r} needs trace, the path of a .csv or .parquet file")
    if delays.speeds:
        raise ValueError(
            f"speeds have no meaning for law {law!r}, whose devices are as fast as they were "
            f"recorded: leave them out, got {delays.speeds}"
        )
    if law == DEVICES and (delays.classes or delays.shares):
        raise ValueError("law 'devices' has a row for each client: leave out classes and shares")
    if len(set(delays.classes)) < len(delays.classes):
        raise ValueError(f"classes must differ, got {delays.classes}")
    if delays.classes or delays.shares:
        _check_shares("classes", delays.classes, delays.shares)


def _check_shares(name: str, values: Sequence[object], shares: Sequence[float]) -> None:
    if len(values) != len(shares):
        raise ValueError(f"{name} and shares must have one length, got {values} and {shares}")
    if abs(sum(shares) - 1.0) > 1e-9:
        raise ValueError(f"shares must add up to 1, got {shares}")


def client_speeds(
    seed: int, num_clients: int, speeds: Sequence[float], shares: Sequence[float]
) -> np.ndarray:
    """Speed class of every client, ``int[num_clients]``: exact shares in random order."""
    ends = np.rint(np.cumsum(shares) * num_clients).astype(np.int64)
    classes = np.zeros(num_clients, np.int8 if len(shares) <= 128 else np.int32)
    for index, end in enumerate(ends[:-1]):
        classes[end:] = index + 1
    generator(seed, Stream.SPEED).shuffle(classes)
    return classes


class Recorded(Protocol):
    """What takes the place of a law by its name: it knows the clients one by one."""

    def durations(self, clients: np.ndarray, u: np.ndarray) -> np.ndarray:
        """``(clients[n], u[n]) -> float64[n]`` in units of ``RequestTime.scale``."""
        ...


class Parametrised(NamedTuple):
    """A law with parameters of the configuration's own."""

    name: str
    given: Mapping[str, float]


Law = str | Parametrised | Recorded
"""A name in ``LAWS``, with or without parameters, or what was recorded."""


class ClientDelays(NamedTuple):
    """How long the clients of one replicate take."""

    law: Law
    classes: np.ndarray  # int[num_clients]
    speeds: Sequence[float]  # of each class; what was recorded needs none

    def of_clients(self) -> np.ndarray:
        """Every client's speed, ``float64[num_clients]``."""
        return np.asarray(self.speeds, np.float64)[self.classes]


def client_delays(delays: DelayConfig, seed: int, num_clients: int) -> ClientDelays:
    """Draw which client is of which class.

    Raises:
        DataError: there is no such trace, or it cannot be used.
    """
    if delays.law == DEVICES:
        assert delays.trace is not None
        devices = read_devices(delays.trace, num_clients)
        return ClientDelays(devices, np.zeros(num_clients, np.int8), (1.0,))
    if delays.law != TRACE:
        classes = client_speeds(seed, num_clients, delays.speeds, delays.shares)
        law = Parametrised(delays.law, delays.parameters) if delays.parameters else delays.law
        return ClientDelays(law, classes, delays.speeds)
    assert delays.trace is not None
    trace = read_trace(delays.trace)
    if delays.classes:
        trace = trace.of_classes(delays.classes, delays.trace)
    ones = [1.0] * len(trace.classes)
    classes = client_speeds(seed, num_clients, ones, delays.shares or trace.shares)
    return ClientDelays(ClientTrace(trace, classes), classes, ones)


class RequestTime(NamedTuple):
    """What one request of a task takes: ``scale * draw of the law + load * time for a byte``."""

    scale: float  # tau * beta, or the trace's own factor
    load: float = 0.0


def request_time(delays: DelayConfig, task: TaskConfig) -> RequestTime:
    """Of a task's requests.

    The durations of a trace are those of whole requests: neither tau nor beta changes them. Devices
    train three times as long as they infer, and send and receive the model (FedScale, Lai et al.,
    ICML 2022): ``3 samples seconds_per_sample + 2 model bytes / bytes_per_second``.
    """
    num_steps = task.work.num_steps
    if delays.law == DEVICES:
        samples = num_steps * task.work.batch_size
        scale = delays.trace_scale
        return RequestTime(scale * 3 * samples, scale * 2 * model_bytes(task))
    return RequestTime(delays.trace_scale if delays.law == TRACE else num_steps * task.step_time)


def draw_times(law: Law, clients: np.ndarray, speeds: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Times in units of ``RequestTime.scale``, ``float64[n]``.

    Args:
        law: a name in ``LAWS``, with parameters or not, or what was recorded.
        clients: ``int[n]``.
        speeds: theirs, ``float64[n]``.
        u: ``float64[n]``, uniform in (0, 1).
    """
    if isinstance(law, str):
        return LAWS[law](u) * speeds
    if isinstance(law, Parametrised):
        return LAWS[law.name](u, **law.given) * speeds
    return law.durations(clients, u)


def transfers(law: Law) -> np.ndarray | None:
    """Every client's time for a byte, ``float64[num_clients]``; None: law is not ``devices``."""
    return law.seconds_per_byte if isinstance(law, ClientDevices) else None


class Draws(NamedTuple):
    """A stretch of the stream of dispatches."""

    clients: np.ndarray  # int64[CHUNK]
    u: np.ndarray  # float64[CHUNK] in (0, 1): quantiles of the durations


class Dispatches:
    """The replicate's random stream of dispatches: number -> client and time.

    Entry i belongs to the i-th attempt to dispatch, whatever its task, so that two settings with
    one seed meet the same clients and the same quantiles (common random numbers).
    """

    transfers: np.ndarray | None = None  # as the function of this name says

    def __init__(
        self,
        seed: int,
        num_clients: int,
        law: Law,
        classes: np.ndarray,
        speeds: Sequence[float],
    ) -> None:
        self._seed, self.num_clients, self._law = seed, num_clients, law
        self._classes, self._speeds = classes, np.asarray(speeds, np.float64)
        self.transfers = transfers(law)

    def chunk(self, index: int) -> tuple[list[int], list[float]]:
        """Entries ``CHUNK * index`` up to ``CHUNK * (index + 1)``: clients, times.

        These are in units of ``RequestTime.scale``: step times / beta, or recorded durations.
        """
        clients, u = self.draws(index)
        return clients.tolist(), self.times(clients, u).tolist()

    def draws(self, index: int) -> Draws:
        """The same entries' clients, and what their times are drawn from."""
        uniforms = generator(self._seed, Stream.DISPATCH, index).random((2, CHUNK))
        clients = (uniforms[0] * self.num_clients).astype(np.int64)
        return Draws(clients, np.clip(uniforms[1], 2.0**-54, None))

    def others(self, index: int) -> np.ndarray:
        """Whom the same entries ask in turn if their clients are off, ``int64[OTHERS, CHUNK]``."""
        uniforms = generator(self._seed, Stream.OTHERS, index).random((OTHERS, CHUNK))
        return (uniforms * self.num_clients).astype(np.int64)

    def times(self, clients: np.ndarray, u: np.ndarray) -> np.ndarray:
        """What these clients take, ``float64[n]``."""
        return draw_times(self._law, clients, self._speeds[self._classes[clients]], u)

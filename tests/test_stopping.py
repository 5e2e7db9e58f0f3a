"""The first Ctrl-C or SIGTERM is a request."""

from __future__ import annotations

import signal

import pytest

from fedast_jax.run.stopping import SIGNALS, keep_handlers, stop_on_signals


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_asks_and_the_second_is_as_before(number, code):
    before, heard = [signal.getsignal(one) for one in SIGNALS], []
    for one in SIGNALS:
        signal.signal(one, lambda found, frame: heard.append(found))
    try:
        with stop_on_signals() as stop:
            assert not stop()
            signal.raise_signal(number)
            assert stop()
            assert heard == []
            for one in SIGNALS:
                signal.raise_signal(one)
        assert heard == list(SIGNALS)
        assert stop.exit_code == code
    finally:
        for one, handler in zip(SIGNALS, before, strict=True):
            signal.signal(one, handler)


def test_handlers_of_a_library_do_not_stay():
    before = signal.getsignal(signal.SIGTERM)
    with keep_handlers():
        signal.signal(signal.SIGTERM, lambda number, frame: None)
    assert signal.getsignal(signal.SIGTERM) is before

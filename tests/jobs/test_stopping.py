"""Asked to stop: at once, or while a loop runs after its step; asked again, or by a launcher that passes it on."""

import os
import signal
from signal import SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2

import pytest

from sslrun.errors import Interrupted
from sslrun.jobs.stopping import StopSignals


def send(*numbers: int) -> None:
    for number in numbers:
        os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2])
def test_outside_of_a_loop_it_stops_at_once_and_within_after_the_step(number: int) -> None:
    before = signal.getsignal(number)
    with StopSignals() as stop:
        with pytest.raises(Interrupted, match="goes on from the last checkpoint"):
            send(number)
        assert not stop.asked
        with stop.deferred():
            send(number)
            assert stop.asked
        with pytest.raises(Interrupted):
            send(number)
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(("patient", "second", "raises"), [
    (False, SIGINT, True), (False, SIGTERM, True), (False, SIGUSR2, False), (False, SIGHUP, False),
    (True, SIGINT, False), (True, SIGTERM, False),
])  # fmt: skip
def test_who_asks_twice_is_in_a_hurry_unless_it_is_a_warning_or_passed_on(
    patient: bool, second: int, raises: bool
) -> None:
    with StopSignals(patient) as stop, stop.deferred():
        send(SIGINT)
        if raises:
            with pytest.raises(Interrupted):
                send(second)
        else:
            send(second)
        assert stop.asked

import os
import signal

import pytest

from rmpe_jax.interrupts import stop_requests


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_becomes_a_question_and_handlers_come_back(number):
    before = signal.getsignal(number)
    with stop_requests() as asked:
        assert not asked()
        os.kill(os.getpid(), number)
        assert asked()
        assert signal.getsignal(number) is before  # a second signal is obeyed at once
    assert signal.getsignal(number) is before

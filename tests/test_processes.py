import signal
import subprocess
import sys

import pytest

from experiments.kills import free_port
from rmpe_jax import processes

SECONDS = 60  # for a pair; processes that wait for each other are killed then

# Meets another one; then ends in some way, or waits for a line and computes.
SCRIPT = """
import os, signal, sys
from rmpe_jax import processes

address, number, early, way = sys.argv[1], *map(int, sys.argv[2:])
told = processes.meet(processes.Given(address, 2, number), f"text of {number}")
assert told == (number, ["text of 0", "text of 1"]), told

import jax
import numpy as np

assert (jax.process_index(), jax.process_count()) == (0, 1)
assert jax.devices() == jax.local_devices()
if number == early and way < 0:
    os.kill(os.getpid(), -way)
    sys.stdin.readline()
elif number == early:
    sys.exit(way)
sys.stdin.readline()
print(jax.jit(lambda x: x.sum())(np.ones(3)))
"""


@pytest.mark.parametrize(("early", "way"), [(0, 0), (1, 0), (0, 1), (1, -signal.SIGTERM)])
def test_after_the_meeting_a_process_ends_as_it_likes_and_the_other_goes_on(early, way):
    address = f"127.0.0.1:{free_port()}"
    pair = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, address, str(number), str(early), str(way)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in range(2)
    ]
    try:
        assert pair[early].wait(SECONDS) == way, pair[early].communicate()
        other = pair[1 - early]
        assert other.poll() is None
        said, _ = other.communicate("\n", timeout=SECONDS)
        assert (other.returncode, said) == (0, "3.0\n")
    finally:
        for process in pair:
            process.kill()
            process.communicate()


def test_who_says_half_of_it_is_told_the_rest():
    given = processes.Given("host:1", 2)
    told = "--x.coordinator HOST:PORT, --x.processes N and --x.process I .* came host:1, 2 and None"
    with pytest.raises(ValueError, match=told):
        processes.join(given, option="--x.")

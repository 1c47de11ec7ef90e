"""How soon `rmpe demo` follows a hand: from the key or the click to the new numbers on the page.

    python experiments/benchmarks/demo.py

The page of the package's network in a headless Chromium on the same machine, with drawn people,
after a warm-up. Medians and the slowest of each, in milliseconds; what the browser's driver takes
is in it. Writes experiments/results/benchmark_demo.json.
"""

import argparse
import os
import shutil
import statistics
import time
from collections.abc import Callable
from itertools import cycle
from typing import Any

import common
from playwright.sync_api import Page, sync_playwright

from rmpe_jax.demo import page as demo

WARM_UP = 5


def main() -> None:
    """Measure and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    arguments = parser.parse_args()
    load_before = round(os.getloadavg()[0], 1)
    networks = demo.networks(None)
    demo.warm(networks)
    blocks = demo.page(networks)
    _, address, _ = demo.serve(blocks, host="127.0.0.1", port=None, wait=False)
    with sync_playwright() as started:
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        times = measured(browser.new_page(), address, arguments.rounds)
        browser.close()
    blocks.close()
    common.write("demo", {"load_before": load_before, "milliseconds": times})


def measured(page: Page, address: str, rounds: int) -> dict[str, dict[str, float]]:
    """Return how long each kind of update takes."""
    page.goto(address)
    page.locator("#poses-after").wait_for()
    slider = page.locator("#least input[type=range]")
    slider.focus()
    found = {
        "a slider of pose NMS": times(
            page, "#poses-before", "src", rounds, keys(page, "End", "Home")
        )
    }
    page.keyboard.press("Home")  # everybody is back
    page.wait_for_timeout(1000)
    page.get_by_role("tab", name="Gradients").click()
    page.locator("#demo-theta").wait_for()
    page.locator("#theta-shift_x input[type=range]").focus()
    move = keys(page, "ArrowRight", "ArrowLeft")
    found["a slider of theta"] = times(page, "#demo-theta", "textContent", rounds, move)
    button = page.locator("#gradient-step")
    found["a gradient step"] = times(page, "#demo-theta", "textContent", rounds, button.click)
    return found


def keys(page: Page, there: str, back: str) -> Callable[[], None]:
    """Return what moves the slider in focus to and fro."""
    turns = cycle((there, back))

    def press() -> None:
        page.keyboard.press(next(turns))

    return press


def times(
    page: Page, place: str, attribute: str, rounds: int, act: Callable[[], Any]
) -> dict[str, float]:
    """Return the milliseconds from acts until an element of the page says something else."""
    found = []
    for _ in range(WARM_UP + rounds):
        before = page.locator(place).evaluate(f"one => one.{attribute}")
        began = time.perf_counter()
        act()
        page.wait_for_function(
            f"before => document.querySelector('{place}').{attribute} !== before", arg=before
        )
        found.append(1e3 * (time.perf_counter() - began))
        page.wait_for_timeout(50)
    kept = found[WARM_UP:]
    return {"median": round(statistics.median(kept), 1), "slowest": round(max(kept), 1)}


if __name__ == "__main__":
    main()

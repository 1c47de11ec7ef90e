"""Pages in a real headless Chromium that cannot reach anything but what a test allows."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.required import absent

MILLISECONDS = 120_000  # for what a page does: a machine may be busy with other tests


class Watched(NamedTuple):
    """A page, and what went wrong on it so far: blocked addresses, console and script errors."""

    page: Any
    blocked: list[str]
    errors: list[str]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Debian's Chromium; its tests are skipped where it or Playwright is absent.

    Of a module: Playwright keeps an event loop running as long as it lives, under which the next
    module's checkpoints could not be written.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        absent("browser", "no Playwright: pip install -e '.[test]'")
    program = shutil.which("chromium")
    if program is None:
        absent("browser", "no chromium: apt-get install chromium")
    # The sandbox wants a user that is not root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


@contextmanager
def opened(
    browser: Any, address: str, allowed: tuple[str, ...] = ("file:", "data:"), **settings: Any
) -> Iterator[Watched]:
    """Open an address; requests that do not start as allowed are blocked and noted.

    `settings` are those of a Playwright context: viewport, color_scheme, ...
    """
    context = browser.new_context(**settings)
    context.set_default_timeout(MILLISECONDS)
    blocked, errors = [], []

    def route(route: Any) -> None:
        if route.request.url.startswith(allowed):
            route.continue_()
        else:
            blocked.append(route.request.url)
            route.abort()

    def heard(message: Any) -> None:
        if message.type in ("error", "warning"):
            errors.append(message.text)

    try:
        context.route("**/*", route)
        page = context.new_page()
        page.on("console", heard)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        yield Watched(page, blocked, errors)
    finally:
        context.close()


def screenshot(page: Any, folder: Path, name: str) -> Path:
    """Keep a picture of the whole page for people to look at."""
    path = folder / f"{name}.png"
    page.screenshot(path=str(path), full_page=True)
    return path

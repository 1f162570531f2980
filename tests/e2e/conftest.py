"""Debian's Chromium, driven by Playwright, before a console with recognizers of all kinds."""

import shutil
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from tests.console.conftest import Site, many_people_at_one_address, running
from tests.servers import missing

__all__ = ["many_people_at_one_address"]

ROOT = Path(__file__).parents[2]
ARTIFACTS = ROOT / "artifacts" / "screenshots"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
NAMES = ("chromium", "chromium-browser", "google-chrome")


# Not for the whole session: while Playwright is open its event loop runs in this thread, and no other can.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        missing("Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """axe-core's script, which comes with a Python package."""
    return (files("axe_playwright_python") / "axe.min.js").read_text("utf-8")


@pytest.fixture(scope="module")
def site(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    path = shutil.copy(sqlite_template, tmp_path_factory.mktemp("site") / "legible.db")
    with running(path, rate_per_second=100) as found:
        yield found


def visitor(chromium: Browser, language: str, **options) -> BrowserContext:
    """A browser of its own."""
    locale = {"en": "en-US", "zh": "zh-CN"}[language]
    return chromium.new_context(locale=locale, **({"viewport": {"width": 1280, "height": 900}} | options))

"""A real browser, Chromium, which opens a page, runs its scripts and says what is in it."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
_TEXT = r'data-figure="(\w+)"(?:(?!data-figure).)*?class="expected"[^>]*>([^<]*)<'
_ENDS = r'data-figure="(\w+)"(?:(?!data-figure).)*?class="ends"[^>]*>([^<]*)<'


def opened(page: Path, fragment: str = "") -> str:
    """The document after its scripts ran."""
    assert CHROMIUM is not None
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    options += [f"--user-data-dir={page.parent / '.chromium'}", "--virtual-time-budget=5000"]
    done = subprocess.run(
        [CHROMIUM, *options, "--dump-dom", page.resolve().as_uri() + fragment],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def tags_in(document: str) -> list[tuple[str, dict[str, str | None]]]:
    """Every tag of a document with its attributes."""
    parser = _Tags()
    parser.feed(document)
    return parser.found


def playground_of(document: str) -> str:
    """The playground's part of a document."""
    return document.split('id="playground"', 1)[1].split("</section>", 1)[0]


def figures_in(part: str) -> dict[str, tuple[float, float, float]]:
    """Every figure that is shown: expected, low and high in per cent."""
    expected = dict(re.findall(_TEXT, part, re.DOTALL))
    ends = dict(re.findall(_ENDS, part, re.DOTALL))
    found = {}
    for key, text in expected.items():
        low, high = ends[key].split(" to ")
        found[key] = (float(text), float(low), float(high))
    return found


def counts_in(part: str) -> dict[tuple[str, int], tuple[int, int]]:
    """By level and kind, how many held-out images are decided rightly, and of how many."""
    found = re.findall(r'data-counted="(\w+) (\d)">(\d+) of (\d+) images', part)
    return {(level, int(kind)): (int(n), int(of)) for level, kind, n, of in found}

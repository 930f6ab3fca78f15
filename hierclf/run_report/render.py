"""From a report's content to one page; see `inline_page`."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from hierclf.reports.inline_page import inline_page

SCRIPTS = ("figures.js", "charts.js", "playground.js", "still.js")


def render(content: Mapping[str, Any]) -> str:
    """The page.

    Args:
        content: the template's variables; `data` is what the scripts read, plain JSON values
            without NaN.

    Raises:
        ValueError: a number in `data` that JSON does not have.
    """
    script = "\n".join(map(_source, SCRIPTS))
    return inline_page(
        _source("report.html.j2"), content, style=_source("style.css"), script=script
    )


def _source(name: str) -> str:
    return (files("hierclf.run_report") / "page" / name).read_text(encoding="utf-8")

"""From a report's content to one page: everything inline, everything escaped, no network.

Names of classes and files come from strangers. Jinja escapes all text; the page's policy lets run
the scripts and the style of this package only (by their hashes), shows no image but those inside
the page, and loads nothing.
"""

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from hierclf.metrics.text import percent

SCRIPTS = ("figures.js", "charts.js", "playground.js", "still.js")


def render(content: Mapping[str, Any]) -> str:
    """The page.

    Args:
        content: the template's variables; `data` is what the scripts read, plain JSON values
            without NaN.

    Raises:
        ValueError: a number in `data` that JSON does not have.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["percent"] = percent
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    style, script = _source("style.css"), "\n".join(map(_source, SCRIPTS))
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    template = environment.from_string(_source("report.html.j2"))
    return template.render(
        content, style=Markup(style), script=Markup(script), policy=Markup(policy)
    )


def _source(name: str) -> str:
    return (files("hierclf.run_report") / "page" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"

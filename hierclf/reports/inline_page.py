"""A page that is one file: everything inline, everything escaped, no network.

Names of classes and files come from strangers. Jinja escapes all text; the page's policy lets run
the scripts and the style of this package only (by their hashes), shows no image but those inside
the page, and loads nothing.
"""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from hierclf.metrics.text import percent


def inline_page(
    template: str, content: Mapping[str, Any], *, style: str, script: str | None = None
) -> str:
    """The page.

    Args:
        template: of Jinja; it puts `policy` into a Content-Security-Policy, and `style` and
            `script` into elements of their own.
        content: the template's other variables; what it turns into JSON is free of NaN.
        style: CSS.
        script: JavaScript; None for a page without.

    Raises:
        ValueError: a number that JSON does not have.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["percent"] = percent
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    allowed = "'none'" if script is None else _hash(script)
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {allowed}; "
        "base-uri 'none'; form-action 'none'"
    )
    return environment.from_string(template).render(
        content, style=Markup(style), script=Markup(script or ""), policy=Markup(policy)
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"

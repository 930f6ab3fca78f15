"""Generated parts of the reference, in the place of comments such as `<!-- generated: ... -->`.

`<!-- generated: configuration -->` becomes every key of the configuration;
`<!-- generated: commands MODULE NAME -->` the commands of MODULE's Typer program, called NAME;
`<!-- generated: file PATH -->` the text of a file of the repository.
"""

import re
import subprocess
import sys

from configuration_keys import configuration_keys
from repository_files import ROOT, page_of, with_links
from sphinx.application import Sphinx

_PLACE = re.compile(r"<!-- generated: (\w+)(?: (\S+))?(?: (.+?))? -->")


def commands(module: str, name: str) -> str:
    """A Typer program's options and commands in Markdown, its headings one level lower."""
    done = subprocess.run(
        [sys.executable, "-m", "typer", module, "utils", "docs", "--name", name],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    text = re.sub(r"^#(?=#* `)", "##", done.stdout, flags=re.MULTILINE)
    # The list of commands, whose descriptions are cut off, becomes links to their sections.
    own = name.replace("/", "").replace(".", "").replace(" ", "-")
    return re.sub(r"^\* `([a-z][\w-]*)`: .*$", rf"* [`\1`](#{own}-\1)", text, flags=re.MULTILINE)


def _generated(place: re.Match[str]) -> str:
    what, module, name = place.groups()
    if what == "configuration":
        return configuration_keys()
    if what == "file":
        return page_of(module)
    assert what == "commands", place[0]
    return commands(module, name)


def fill(app: Sphinx, document: str, source: list[str]) -> None:
    text, n = _PLACE.subn(_generated, with_links(source[0], document))
    source[0] = text
    if n:  # what it is generated from is no file that Sphinx watches
        app.env.note_reread()


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", fill)
    return {"parallel_read_safe": True}

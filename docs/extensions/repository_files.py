"""Files of the repository outside docs/: pages made of them, and links that lead to them.

Pages here link such files by relative paths, which work where the repository is read. In the built
pages, such a link leads to the page that is made of the file, or else to a copy of it.
"""

import os
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
# The files that are pages, too.
PAGES = {
    "README.md": "project/readme.md",
    "results/README.md": "project/figures.md",
    "results/benchmarks.md": "project/speed.md",
    "results/benchmarks-cuda.md": "project/speed-gpu.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "CHANGELOG.md": "project/changelog.md",
}
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s#:]+)(#[^)\s]*)?\)")


def page_of(file: str) -> str:
    """The text of a file, which becomes a page of its own; its links are relative to the page."""
    path = ROOT / file
    return _moved(path.read_text(encoding="utf-8"), path.parent, (DOCS / PAGES[file]).parent)


def with_links(text: str, document: str) -> str:
    """The source of a page with links out of docs/ turned into those that Sphinx follows."""
    folder = (DOCS / document).parent
    return _moved(text, folder, folder)


def _moved(text: str, source: Path, page: Path) -> str:
    """Markdown written in one folder, with links for a page in another."""

    def link(found: re.Match[str]) -> str:
        image, label, target, anchor = found.groups()
        path = Path(os.path.normpath(source / target))
        if path.is_relative_to(DOCS) and source == page:
            return found[0]
        if path.is_dir():
            return label  # there is no copy of a folder to lead to
        if not image and path.is_relative_to(ROOT):
            own = PAGES.get(path.relative_to(ROOT).as_posix())
            if own is not None:
                return f"[{label}]({os.path.relpath(DOCS / own, page)}{anchor or ''})"
        scheme = "" if image or path.suffix == ".md" or not path.exists() else "path:"
        return f"{image}[{label}]({scheme}{os.path.relpath(path, page)})"

    return _LINK.sub(link, text)

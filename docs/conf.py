"""Sphinx's configuration: `sphinx-build -W -b html docs build/docs`."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / "extensions")]

from hierclf.version import package_version  # noqa: E402

project = "hierclf"
copyright = "the authors of hierclf, Apache-2.0"
release = version = package_version("hierclf")

extensions = [
    "myst_nb",  # Markdown, and notebooks kept as Markdown, which every build executes
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "generated_reference",
]
highlight_language = "none"  # commands and their output, where a block names no other
exclude_patterns = ["extensions"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_type_aliases = {"Images": "Images"}
default_role = "code"  # docstrings write code in single backticks
napoleon_use_rtype = False

html_theme = "furo"
html_title = "hierclf"
html_static_path = ["static"]
html_css_files = ["figures.css"]
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True

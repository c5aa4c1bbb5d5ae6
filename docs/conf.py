"""How the documentation is built: `make docs`, or `python -m sphinx -W docs build/docs`."""

import re
import sys
from collections.abc import MutableSequence
from importlib.metadata import version as installed
from pathlib import Path

from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "extensions"))

project = "Outcrop"
author = "The Outcrop authors"
copyright = "The Outcrop authors, Apache-2.0"  # noqa: A001  # the name that Sphinx reads
version = release = installed("outcrop")
language = "en"

extensions = ["myst_parser", "sphinx.ext.autodoc", "command_pages", "notebook_pages", "short_names"]
source_suffix = {".md": "markdown", ".ipynb": "notebook"}
exclude_patterns = ["decisions/template.md", "extensions"]
nitpicky = False  # types of other libraries are named, not linked: an inventory of theirs would need the network

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_default_options = {
    "members": True,
    "member-order": "bysource",
    # scikit-learn adds these to its estimators, with links into its own manual
    "exclude-members": "set_fit_request, set_predict_request, set_score_request",
}
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
add_module_names = False

html_theme = "furo"
html_title = f"Outcrop {release}"
html_copy_source = False
html_show_sourcelink = False


def setup(app: Sphinx) -> None:
    """Docstrings give shapes as they are written everywhere: (sample, *feature)."""
    app.connect("autodoc-process-docstring", _plain_shapes)


def _plain_shapes(*arguments: object) -> None:
    lines = arguments[-1]
    if isinstance(lines, MutableSequence):
        lines[:] = [re.sub(r" \*(\w+\))", r" \\*\1", line) for line in lines]

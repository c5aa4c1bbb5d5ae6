"""Notebooks as pages: their text and their code. Their outputs are made by whoever runs them, and by the tests."""

import json
from pathlib import Path

from docutils import nodes
from myst_parser.parsers.sphinx_ import MystParser
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx


class NotebookParser(MystParser):
    """Reads a notebook as the Markdown page that it would be."""

    supported = ("notebook",)

    def parse(self, inputstring: str, document: nodes.document) -> None:
        """Turn the cells into Markdown, and parse that."""
        super().parse(as_markdown(inputstring), document)


def as_markdown(notebook: str) -> str:
    """The cells of a notebook (its JSON) one after the other, code in fences."""
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(notebook)["cells"]]
    return "\n\n".join(f"```python\n{text}\n```" if kind == "code" else text for kind, text in cells)


def find_pages(app: Sphinx, doctree: nodes.document) -> None:
    """Lead links to `../notebooks`, which hold in a checkout, to the pages that `docs/notebooks` makes of them."""
    folder = (Path(app.srcdir) / "notebooks").resolve()
    for node in doctree.findall(pending_xref):
        target = Path(node["reftarget"])
        if target.is_relative_to(folder):
            node["reftarget"] = f"notebooks/{target.relative_to(folder)}"


def setup(app: Sphinx) -> dict[str, bool]:
    """Offer the parser for the suffix that the configuration gives it."""
    app.add_source_parser(NotebookParser)
    app.connect("doctree-read", find_pages)
    return {"parallel_read_safe": True}

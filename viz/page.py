"""What a page consists of besides its words: style, script, plotting library, and the policy that binds them."""

import base64
import hashlib
import importlib.util
import json
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from markupsafe import Markup

from outcrop.data.errors import InputError

SCRIPTS = ("data.js", "tip.js", "heatmap.js", "panel.js", "cell.js", "effect.js", "page.js")
"""The parts of the page's script, in the order in which they are joined."""


@dataclass(frozen=True)
class Assets:
    """Texts that go into the page as they are. ``policy`` lets the browser run these scripts, and load nothing."""

    style: Markup
    script: Markup
    library: Markup
    policy: str


def page_assets(*, served: bool) -> Assets:
    """The parts of a page; a ``served`` one may fetch pictures and panels from where it came from.

    Raises ``InputError`` where plotly is not installed.
    """
    script = "\n".join(read_template(name) for name in SCRIPTS)
    library = _plotly()
    return Assets(
        Markup(read_template("report.css")), Markup(script), Markup(library), _policy((script, library), served=served)
    )


def read_template(name: str) -> str:
    """The text of a file in ``templates/``."""
    return resources.files("outcrop.viz").joinpath("templates", name).read_text(encoding="utf-8")


def as_json(value: Any) -> Markup:
    """``value`` as JSON that may stand in a ``<script type="application/json">``: no ``<`` is left in it.

    Raises ``ValueError`` for NaN and infinities, which JSON has no word for.
    """
    text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))


def _plotly() -> str:
    """The source of plotly.js, from the wheel of plotly; the package itself is not imported."""
    found = importlib.util.find_spec("plotly")
    if found is None or not found.submodule_search_locations:
        raise InputError("The report draws with plotly, which is not installed. Install it with: pip install plotly")
    text = (Path(found.submodule_search_locations[0]) / "package_data" / "plotly.min.js").read_text(encoding="utf-8")
    if "</script" in text or "<!--" in text:
        raise InputError("This version of plotly cannot stand inside a page: its source holds </script or <!--.")
    return text


def _policy(scripts: Iterable[str], *, served: bool) -> str:
    hashes = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts)
    allowed = " ".join(f"'sha256-{text}'" for text in hashes)
    here = "'self'" if served else "'none'"
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {allowed}",
            "style-src 'unsafe-inline'",
            f"img-src data: {here}" if served else "img-src data:",
            f"connect-src {here}",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )

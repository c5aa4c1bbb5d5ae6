import base64
import hashlib
import json
import math

import pytest

from outcrop.viz.page import SCRIPTS, as_json, page_assets, read_template


def test_the_policy_names_exactly_the_scripts_of_the_page() -> None:
    assets = page_assets(served=False)
    hashes = [
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (assets.script, assets.library)
    ]
    assert f"script-src 'sha256-{hashes[0]}' 'sha256-{hashes[1]}';" in assets.policy
    assert "default-src 'none'" in assets.policy
    assert "unsafe-eval" not in assets.policy


def test_only_a_served_page_may_fetch_and_only_from_where_it_came() -> None:
    assert "connect-src 'none'; " in page_assets(served=False).policy
    assert "img-src data:; " in page_assets(served=False).policy
    assert "connect-src 'self'; " in page_assets(served=True).policy
    assert "img-src data: 'self'; " in page_assets(served=True).policy


def test_the_script_is_made_of_its_parts_in_order() -> None:
    script = str(page_assets(served=False).script)
    places = [script.index(read_template(name)) for name in SCRIPTS]
    assert places == sorted(places)
    assert "</script" not in script


def test_json_cannot_end_the_element_that_it_stands_in() -> None:
    hostile = {"prompt": "</script><script>alert(1)</script><!--", "other": ["é", None, 1.5]}
    text = str(as_json(hostile))
    assert "<" not in text
    assert json.loads(text) == hostile
    with pytest.raises(ValueError, match="JSON"):
        as_json(math.nan)

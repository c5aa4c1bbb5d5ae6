import dataclasses
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from outcrop.data.errors import ConflictError, InputError, StorageError
from outcrop.viz.exhibit import Exhibit
from outcrop.viz.gallery import choose_examples, gallery
from outcrop.viz.report import render_exhibits, render_report, write_report

Make = Callable[..., Any]
HOSTILE = """<script>alert("x")</script> & 'a' {style} {{{{ 7 * 7 }}}}"""


class Page(HTMLParser):
    """Collects tags with their attributes, and the visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "link", "img", "br", "input"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"style", "script"}.isdisjoint(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture(scope="module")
def written(make_frame: Make, make_dataset: Make, site_sets: dict[int, tuple[str, ...]]) -> str:
    """The report on 22 sites and 8 steps."""
    frame = make_frame(site_sets[22])
    frame.attrs.update(confidence=0.95, folds=5)
    return render_report(make_dataset(), frame)


@pytest.fixture(scope="module")
def page(written: str) -> Page:
    return Page(written)


def test_the_answer_stands_before_the_first_figure(written: str) -> None:
    assert 0 < written.index("Style is decodable best at") < written.index("<figure")


def test_it_has_all_its_parts(page: Page) -> None:
    headings = ["How to read this", "The data", "In the model", "Where and when", "Along the network"]
    headings += ["On the way from noise to image"]
    headings += ["Some of the images", "Best sites", "How it was measured", "What does not follow", "Provenance"]
    places = [page.text.index(heading, 200) for heading in headings]
    assert places == sorted(places)
    assert "in 5 folds" in page.text
    assert "outcrop:unet" in page.text
    assert "0f9d9c1e-3c7b-4f0e-9a51-5f2c3d1b7a11" in page.text
    assert "capture: versions.torch 2.13.0" in page.text
    assert page.open == []


def test_every_image_has_an_alternative_text_and_is_inside_the_file(page: Page) -> None:
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(images) == 4 + 12
    for attributes in images:
        assert str(attributes["src"]).startswith("data:image/")
        assert len(str(attributes["alt"])) > 20
        assert all(int(str(attributes[side])) > 0 for side in ("width", "height"))  # their room is kept


def without_library(text: str) -> str:
    """The page less the source of plotly.js, which names addresses that it is not allowed to reach."""
    return re.sub(r'<script type="text/plain" id="library">.*?</script>', "", text, flags=re.DOTALL)


def test_nothing_is_loaded_from_elsewhere(written: str, page: Page) -> None:
    assert not re.search(r"https?://|//cdn|@import", without_library(written))
    assert all(
        found.startswith('"data:image/webp') for found in re.findall(r"url\(([^)]{20})", without_library(written))
    )
    assert {tag for tag, _ in page.tags}.isdisjoint({"iframe", "object", "embed", "base", "form"})
    assert all(str(attributes["href"]).startswith("data:") for tag, attributes in page.tags if tag == "link")
    loaded = [value for _, attributes in page.tags for name, value in attributes.items() if name == "src"]
    assert all(str(value).startswith("data:") for value in loaded)
    (policy,) = [str(a["content"]) for tag, a in page.tags if tag == "meta" and "http-equiv" in a]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "connect-src 'none'" in policy


def test_text_from_data_is_escaped(make_frame: Make, make_dataset: Make) -> None:
    sites = ("<script>site</script>", "b.1")
    frame = make_frame(sites, properties=("content", "<img src=x onerror=alert(1)>"))
    text = render_report(make_dataset(prompt=HOSTILE), frame)
    page = Page(text)
    assert [attributes for tag, attributes in page.tags if tag == "script"] == [
        {"type": "application/json", "id": "data"},
        {"type": "text/plain", "id": "library"},
        {},
    ]
    assert "onerror=alert(1)>" not in text.replace('onerror=alert(1)>"', "")
    assert "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt; &amp; &#39;a&#39; flat {{ 7 * 7 }}" in text
    assert all(
        name in {"src", "alt", "width", "height", "loading"} for tag, a in page.tags if tag == "img" for name in a
    )


def test_the_table_of_best_sites_is_that_of_the_frame(frame: pd.DataFrame, page: Page) -> None:
    style = frame[frame["property"] == "style"]
    peaks = style.loc[style.groupby("site")["accuracy"].idxmax()].nlargest(5, "accuracy")
    for _, row in peaks.iterrows():
        assert row["site"] in page.text
        assert f"{row['accuracy']:.2f}".removeprefix("0") in page.text


def test_the_file_is_written_whole(make_frame: Make, make_dataset: Make, tmp_path: Path) -> None:
    frame = make_frame(("a.0", "a.1"), steps=2, properties=("style",))
    out = write_report(make_dataset(), frame, tmp_path / "new" / "report.html")
    assert out.read_text(encoding="utf-8") == render_report(make_dataset(), frame)
    assert [path.name for path in out.parent.iterdir()] == ["report.html"]


def test_it_is_small(written: str) -> None:
    assert len(without_library(written)) < 1_000_000


def test_errors(make_frame: Make, make_dataset: Make, tmp_path: Path) -> None:
    frame = make_frame(("a.0", "a.1"), steps=2, properties=("style",))
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"file/report\.html"):
        write_report(make_dataset(), frame, tmp_path / "file" / "report.html")
    with pytest.raises(InputError, match="without the column accuracy came"):
        write_report(make_dataset(), frame.drop(columns="accuracy"), tmp_path / "report.html")


def test_only_a_report_is_written_over(make_frame: Make, make_dataset: Make, tmp_path: Path) -> None:
    frame, ds = make_frame(("a.0", "a.1"), steps=2, properties=("style",)), make_dataset()
    page, other, record = (tmp_path / name for name in ("report.html", "other.html", "dataset.json"))
    for path in (other, record):
        path.write_text("mine")
    write_report(ds, frame, write_report(ds, frame, page))
    with pytest.raises(ConflictError, match=r"other\.html is there, and no report of Outcrop"):
        write_report(ds, frame, other)
    with pytest.raises(InputError, match="expected a page to write"):
        write_report(ds, frame, record)
    assert (other.read_text(), record.read_text()) == ("mine", "mine")


def test_data_sets_of_one_name_are_told_apart_and_none_is_shown_twice(make_frame: Make, make_dataset: Make) -> None:
    frame = make_frame(("a.0", "a.1"), steps=2, properties=("style",))
    one = make_dataset()
    with pytest.raises(InputError, match="is given twice"):
        render_exhibits([Exhibit(one, frame), Exhibit(one, frame)])
    other = dataclasses.replace(one, uuid="another")
    page = render_exhibits([Exhibit(one, frame), Exhibit(other, frame)])
    titles = list(dict.fromkeys(re.findall(r"<h3>(.*?)</h3>", page)))
    assert len(titles) == 2
    assert [f'"title":"{title}"' in page.replace(": ", ":") for title in titles] == [True, True]


def test_a_bare_table_makes_a_report(make_frame: Make, make_dataset: Make) -> None:
    """One site, one step, no noise level, no control task, no images."""
    frame = make_frame(("block",), steps=1, properties=("style",))
    frame = frame.assign(
        noise=np.nan, timestep=np.nan, control=np.nan, selectivity=np.nan, group_by="", strength=np.nan
    )
    dataset = make_dataset(6)
    dataset.samples["image"] = ""
    page = Page(render_report(dataset, frame))
    assert "Some of the images" not in page.text
    assert "On the way" not in page.text
    assert "optimistic" not in page.text


def test_many_properties_are_spread_over_several_figures(make_frame: Make, make_dataset: Make) -> None:
    frame = make_frame(("a.0", "a.1"), steps=2, properties=tuple(f"p{i}" for i in range(6)))
    page = Page(render_report(make_dataset(4), frame))
    figures = [str(a["alt"]) for tag, a in page.tags if tag == "img" and "loading" not in a]
    assert len(figures) == 8
    assert sum("Heatmap" in text for text in figures[2:4]) == 2


def test_examples_show_every_label(make_dataset: Make) -> None:
    dataset = make_dataset(40)
    chosen = choose_examples(dataset, count=4)
    assert len(set(chosen)) == 4
    assert all(set(dataset.labels.loc[chosen, name]) == set(dataset.labels[name]) for name in dataset.labels)
    assert [example.prompt for example in gallery(dataset, count=4)] == list(dataset.samples.loc[chosen, "prompt"])

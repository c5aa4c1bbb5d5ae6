"""Labels that are added later: stored by sample id, with their provenance, beside what the prompts asked for."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from outcrop.data.agreement import agreement
from outcrop.data.dataset import Dataset, open_dataset
from outcrop.data.errors import DataError, InputError
from outcrop.data.label_writer import NewLabel, add_labels
from outcrop.data.labellers import ImageStatistics, read_labels
from outcrop.data.maps import map_from_mask

MADE = {"labeller": "test"}
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ds(folder: Path) -> Dataset:
    """Eight samples, each with a picture of one grey."""
    ds = open_dataset(folder)
    for number, path in enumerate(ds.samples["image"]):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (30 * number, 0, 0)).save(folder / path)
    return ds


def label(ds: Dataset, name: str, values: list, *, rows: slice = slice(None), **options: object) -> None:
    add_labels(ds, [NewLabel(name, pd.Series(values, index=ds.samples.index[rows]), MADE, **options)])


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a", "b", "", "a", "ä", "<b>", "a", "a"], "class"),
        ([3, 1, 2**53 + 1, 4, 5, 6, 7, 8], "class"),
        ([True, False] * 4, "class"),
        ([0.5, 1.5, np.nan, 2.0, -1.0, 3.0, 4.0, np.inf], "number"),
    ],
)
def test_what_is_added_comes_back(ds: Dataset, values: list, kind: str, serve: Callable) -> None:
    label(ds, "new", values)
    for again in (open_dataset(ds.path), open_dataset(serve(ds.path).url)):
        assert list(again.labels) == ["content", "size", "new"]
        assert again.added_labels["new"].kind == kind
        assert again.added_labels["new"].provenance == MADE
        for found, given in zip(again.labels["new"], values, strict=True):
            missing = given == "" or (isinstance(given, float) and not np.isfinite(given))
            assert pd.isna(found) if missing else found == given
    assert again.select(where="seed > 3").labels["new"].iloc[0] == values[4]


def test_samples_without_a_value_are_missing_and_order_does_not_matter(ds: Dataset) -> None:
    series = pd.Series({ds.samples.index[5]: "x", ds.samples.index[2]: "y"})
    add_labels(ds, [NewLabel("some", series, MADE)])
    found = open_dataset(ds.path).labels["some"]
    assert (found.iloc[5], found.iloc[2], found.notna().sum()) == ("x", "y", 2)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("content", ["a"] * 8, "is a column of the capture, which is never changed"),
        ("prompt", ["a"] * 8, "is a column of the capture"),
        ("mixed", ["a", 1] * 4, "must be text or numbers throughout. Got int, str"),
        ("empty", [""] * 8, "has no value for any sample"),
        ("a\x1b", ["a"] * 8, "printable characters"),
    ],
)
def test_what_cannot_be_a_label_is_refused_and_nothing_is_written(
    ds: Dataset, name: str, values: list, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        label(ds, name, values)
    assert not (ds.path / "labels").exists()


def test_unknown_and_repeated_ids_are_named(ds: Dataset) -> None:
    first = ds.samples.index[0]
    for index, message in (
        (["00" * 8], "1 samples that are not in"),
        ([first, first], f"two values for sample {first}"),
    ):
        with pytest.raises(InputError, match=message):
            add_labels(ds, [NewLabel("x", pd.Series("a", index=index), MADE)])


def test_an_added_label_is_replaced_only_on_request(ds: Dataset) -> None:
    label(ds, "x", ["a"] * 8)
    again = NewLabel("x", pd.Series("b", index=ds.samples.index), MADE)
    with pytest.raises(InputError, match="has an added label 'x' already"):
        add_labels(open_dataset(ds.path), [again])
    add_labels(open_dataset(ds.path), [again], replace=True)
    assert set(open_dataset(ds.path).labels["x"]) == {"b"}


def test_an_altered_label_is_found(ds: Dataset) -> None:
    label(ds, "x", ["a"] * 8)
    path = ds.path / "labels" / "x.parquet"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(DataError, match=r"labels/x\.parquet is not what its record"):
        open_dataset(ds.path)


def test_names_that_look_alike_do_not_share_a_file(ds: Dataset) -> None:
    for name in ("a:b", "a_b", "a b", "../../a"):
        label(open_dataset(ds.path), name, [name] * 8)
    found = open_dataset(ds.path).labels
    for name in ("a:b", "a_b", "a b", "../../a"):
        assert set(found[name]) == {name}
    assert len(list((ds.path / "labels").glob("*.parquet"))) == 4


def test_where_pictures_differ_from_prompts_is_told(ds: Dataset) -> None:
    shown = ["disc", "star", "ring", "star", "disc", "disc", "ring", ""]
    label(ds, "content:eye", shown, realises="content")
    report = agreement(open_dataset(ds.path)).iloc[0]
    assert (report["prompted"], report["realised"], report["n"]) == ("content", "content:eye", 7)
    assert report["agrees"] == pytest.approx(4 / 7)
    assert (report["asked"], report["shown"], report["times"]) == ("disc", "ring", 2)


def test_a_labeller_reads_every_picture(ds: Dataset) -> None:
    add_labels(ds, read_labels(ds, ImageStatistics(), batch=3))
    found = open_dataset(ds.path)
    np.testing.assert_allclose(found.labels["mean_red:pixels"], [30 * k / 255 for k in range(8)])
    assert found.added_labels["mean_red:pixels"].provenance["labeller"] == "image statistics"
    assert found.added_labels["mean_red:pixels"].realises is None


def test_a_cell_has_the_class_that_covers_most_of_it() -> None:
    mask = np.zeros((4, 6), np.int64)
    mask[:2, :2] = 1
    mask[2:, 3:5] = 2
    np.testing.assert_array_equal(map_from_mask(mask, 2, classes=3), [[1, 0], [0, 2]])
    with pytest.raises(InputError, match="cannot fill a grid of 5 x 5"):
        map_from_mask(mask, 5, classes=3)
    with pytest.raises(InputError, match="may hold 0 to 1"):
        map_from_mask(mask, 2, classes=2)


def test_the_command_adds_a_table(ds: Dataset, run: Run, tmp_path: Path) -> None:
    table = pd.DataFrame({"id": ds.samples.index, "content:human": ["disc"] * 8, "score": np.arange(8) / 4})
    table.to_csv(tmp_path / "labels.csv", index=False)
    code, out, _ = run("label", ds.path, "--file", tmp_path / "labels.csv")
    assert code == 0
    assert (
        "content:human agrees with content in 50.0% of 8; the commonest other: disc where star was asked for, 4" in out
    )
    table.to_parquet(tmp_path / "labels.parquet")
    code, out, _ = run("label", ds.path, "--file", tmp_path / "labels.parquet", "--replace", "--json")
    assert [row["kind"] for row in json.loads(out)["added"]] == ["class", "number"]
    (tmp_path / "bad.csv").write_text("id,x\nnobody,1\n")
    code, _, err = run("label", ds.path, "--file", tmp_path / "bad.csv")
    assert (code, "not in" in err) == (1, True)


def test_the_command_adds_statistics_and_maps(ds: Dataset, run: Run, tmp_path: Path) -> None:
    assert run("label", ds.path, "--statistics")[0] == 0
    (tmp_path / "masks").mkdir()
    mask = np.zeros((16, 16), np.uint8)
    mask[:8, :8] = 1
    Image.fromarray(mask).save(tmp_path / "masks" / f"{ds.samples.index[3]}.png")
    arguments = ("--property", "where", "--class", "ground", "--class", "thing", "--grid", 2)
    code, out, _ = run("label", ds.path, "--masks", tmp_path / "masks", *arguments)
    assert (code, "where: map, 1 of 8 samples" in out) == (0, True)
    (tmp_path / "boxes.csv").write_text(f"id,x0,y0,x1,y1,label\n{ds.samples.index[0]},8,0,16,8,cat\n")
    code, _, err = run("label", ds.path, "--boxes", tmp_path / "boxes.csv", "--property", "box", "--grid", 2)
    assert (code, err) == (0, "")
    found = open_dataset(ds.path)
    np.testing.assert_array_equal(found.map("where")[3], [[1, 0], [0, 0]])
    assert (found.map("where")[[0, 7]] == -1).all()
    np.testing.assert_array_equal(found.map("box")[:2], [[[0, 1], [0, 0]], [[0, 0], [0, 0]]])
    assert found.added_labels["box"].classes == ("background", "cat")
    assert "where" not in found.labels
    np.testing.assert_array_equal(found.select(where="seed == 3").map("where"), [[[1, 0], [0, 0]]])
    with pytest.raises(InputError, match="no map 'nothing'"):
        found.map("nothing")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "is no CSV table"),
        ("id,x0,y0,x1,label\n", "It lacks y1"),
        ("id,x0,y0,x1,y1,label\n{id},left,0,2,2,cat\n", "row 2: x0, y0, x1, y1 must be numbers"),
        ("id,x0,y0,x1,y1,label\n{id},0,0,2,2,\n", "row 2: x0, y0, x1, y1 must be numbers, and label a name"),
    ],
)
def test_boxes_that_are_none_are_refused(ds: Dataset, run: Run, tmp_path: Path, content: str | None, said: str) -> None:
    if content is not None:
        (tmp_path / "boxes.csv").write_text(content.format(id=ds.samples.index[0]))
    code, _, err = run("label", ds.path, "--boxes", tmp_path / "boxes.csv", "--property", "box")
    assert (code, said in err) == (1, True)


def test_a_mask_that_is_no_picture_is_refused(ds: Dataset, run: Run, tmp_path: Path) -> None:
    (tmp_path / f"{ds.samples.index[0]}.png").write_text("no picture")
    arguments = ("--property", "where", "--class", "ground", "--class", "thing")
    code, _, err = run("label", ds.path, "--masks", tmp_path, *arguments)
    assert (code, "is no mask" in err) == (1, True)


@pytest.mark.parametrize("arguments", [(), ("--oracle", "--statistics"), ("--zero-shot", "x"), ("--masks", "x")])
def test_the_command_wants_one_source_and_what_it_needs(ds: Dataset, run: Run, arguments: tuple) -> None:
    assert run("label", ds.path, *arguments)[0] == 2

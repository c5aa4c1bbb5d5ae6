"""Sharing: what is written for others, what is refused, and the way there and back."""

import io
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from outcrop.data.dataset import open_dataset
from outcrop.data.errors import ConflictError, DataError, InputError
from outcrop.data.label_writer import NewLabel, add_labels
from outcrop.data.schema import DatasetRecord
from outcrop.data.share import share
from outcrop.data.statement import Statement, private_paths
from outcrop.data.transfer import pull, push
from outcrop.data.validate import validate_dataset
from outcrop.probes.sweep import ProbeSpec, probe

Make = Callable[..., DatasetRecord]
Serve = Callable[..., object]
Run = Callable[..., tuple[int, str, str]]
LICENCES = {"data": "CC-BY-4.0", "model": "Apache-2.0", "prompts": "CC0-1.0"}


def share_it(folder: Path, **said: object) -> Statement:
    return share(folder, licences=LICENCES, published="2026-01-02", **said)


@pytest.fixture
def pictured(folder: Path) -> Path:
    """The data set with its pictures, each of another colour, and an added label."""
    ds = open_dataset(folder)
    for place, path in enumerate(ds.samples["image"]):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 4), (20 * place, 0, 255)).save(folder / path)
    seen = ds.labels["content"].mask(ds.samples["seed"] == 3, "disc")
    add_labels(ds, [NewLabel("content:eye", seen, {"labeller": "an <eye>"}, realises="content")])
    return folder


@pytest.fixture
def shared(pictured: Path) -> Path:
    share_it(pictured, title="Planted | values", description="Values <b>known</b>.", creators=("A lab",))
    return pictured


def front_matter(folder: Path) -> dict[str, object]:
    from huggingface_hub import metadata_load

    found: dict[str, object] = metadata_load(folder / "README.md")
    return found


def test_the_card_has_front_matter_that_the_hub_reads(shared: Path) -> None:
    from huggingface_hub import DatasetCard

    fields = front_matter(shared)
    assert fields["license"] == "cc-by-4.0"
    assert fields["size_categories"] == ["n<1K"]
    assert fields["configs"][0]["data_files"] == [{"split": "train", "path": "viewer/samples.parquet"}]
    assert DatasetCard.load(shared / "README.md").data.pretty_name == "Planted | values"
    assert yaml.safe_load((shared / "README.md").read_text().split("---\n")[1]) == fields


def test_a_shared_data_set_shows_its_licences(pictured: Path) -> None:
    assert "none stated" in str(open_dataset(pictured))
    share_it(pictured)
    assert all(f"{name}: {licence}" in str(open_dataset(pictured)) for name, licence in LICENCES.items())


def test_the_card_tells_what_there_is_and_obeys_nothing(shared: Path) -> None:
    card = (shared / "README.md").read_text()
    assert "| content | 2 classes: disc 4, star 4 | prompt |" in card
    assert "| content | content:eye | 8 | 87.5% |" in card
    assert "an &lt;eye&gt;" in card
    assert "<b>" not in card
    assert "Planted \\| values" in card
    assert all(f"| {of} | {name} |" in card for of, name in LICENCES.items())
    assert "author = {A lab}" in card
    sheet = Image.open(shared / "figures" / "gallery.png")
    assert {(0, 0, 255), (20, 0, 255)} <= {colour for _, colour in sheet.convert("RGB").getcolors(10**6)}


def test_a_licence_that_the_hub_does_not_know_goes_under_its_name(pictured: Path) -> None:
    share(pictured, licences=LICENCES | {"data": "House Rules 1"})
    fields = front_matter(pictured)
    assert (fields["license"], fields["license_name"]) == ("other", "house-rules-1")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # mlcroissant's own use of rdflib and pandas
def test_croissants_own_validator_finds_nothing_and_reads_the_samples(shared: Path) -> None:
    import mlcroissant

    found = mlcroissant.Dataset(jsonld=str(shared / "croissant.json"))
    issues = found.metadata.ctx.issues
    assert (list(issues.errors), list(issues.warnings)) == ([], [])
    records = list(found.records("samples"))
    ds = open_dataset(shared)
    assert [record["samples/prompt"].decode() for record in records] == list(ds.samples["prompt"])
    assert [record["samples/content:eye"].decode() for record in records] == list(ds.labels["content:eye"])
    assert [record["samples/seed"] for record in records] == list(ds.samples["seed"])
    assert records[2]["samples/image"].convert("RGB").getpixel((0, 0)) == (40, 0, 255)


def test_the_viewers_table_holds_labels_and_pictures_as_the_hub_reads_them(shared: Path) -> None:
    table = pq.read_table(shared / "viewer" / "samples.parquet")
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"}
    assert features["seed"] == {"dtype": "int64", "_type": "Value"}
    assert set(features) == set(table.column_names)
    row = table.slice(5, 1).to_pylist()[0]
    with Image.open(io.BytesIO(row["image"]["bytes"])) as picture:
        assert picture.getpixel((0, 0)) == (100, 0, 255)
    assert row["content:eye"] == "star"


def test_checksums_are_those_of_sha256sum_and_cover_every_file(shared: Path) -> None:
    subprocess.run(
        ["sha256sum", "--check", "--strict", "checksums.sha256"], cwd=shared, capture_output=True, check=True
    )
    listed = {line.split("  ", 1)[1] for line in (shared / "checksums.sha256").read_text().splitlines()}
    there = {
        str(path.relative_to(shared))
        for path in shared.rglob("*")
        if path.is_file() and not path.name.startswith(".lock")
    }
    assert there - listed == {"checksums.sha256"}


def test_sharing_again_gives_the_same_bytes_and_changes_no_data(shared: Path, contents: Callable) -> None:
    before = contents(shared)
    share_it(shared, title="Planted | values", description="Values <b>known</b>.", creators=("A lab",))
    assert contents(shared) == before
    assert [finding for finding in validate_dataset(shared) if finding.severity == "error"] == []


def test_without_pictures_there_is_no_gallery(
    tmp_path: Path, write: Callable[..., None], new_record: Make, new_samples: Callable
) -> None:
    from dataclasses import replace

    write(tmp_path / "ds", new_record(spec={"images": False}), [replace(s, image="") for s in new_samples()])
    share_it(tmp_path / "ds")
    assert not (tmp_path / "ds" / "figures").exists()
    assert "image" not in pq.read_schema(tmp_path / "ds" / "viewer" / "samples.parquet").names


@pytest.mark.parametrize("missing", list(LICENCES))
def test_a_missing_licence_is_refused(pictured: Path, missing: str) -> None:
    before = set(pictured.rglob("*"))
    with pytest.raises(InputError, match=f"no licence is stated for: {missing}.*--licence"):
        share(pictured, licences={of: name for of, name in LICENCES.items() if of != missing})
    assert set(pictured.rglob("*")) == before


@pytest.mark.parametrize(
    "spec",
    [{"model": "/srv/models/mine"}, {"prompts": {"file": "~/prompts.csv"}}, {"model": "python:/srv/my_gan.py:source"}],
)
def test_paths_of_this_machine_are_refused(
    tmp_path: Path, write: Callable[..., None], new_record: Make, new_samples: Callable, spec: dict
) -> None:
    write(tmp_path / "ds", new_record(spec=spec), new_samples())
    with pytest.raises(InputError, match=r"dataset\.json names a path of this machine"):
        share_it(tmp_path / "ds")
    assert not (tmp_path / "ds" / "README.md").exists()


@pytest.mark.parametrize(
    "text", ["owner/model", "outcrop:unet", "https://host/a/b", "a/b.csv", "1/2", "and/or both", ""]
)
def test_names_that_are_no_paths_pass(text: str) -> None:
    assert list(private_paths({"a": [text]})) == []


def test_what_is_unfinished_unsound_or_changed_is_refused(
    tmp_path: Path, shared: Path, write: Callable[..., None], new_record: Make, new_samples: Callable
) -> None:
    write(tmp_path / "half", new_record(planned=50), new_samples(6), seal=False)
    with pytest.raises(DataError, match="is not finished: 6 of 50"):
        share_it(tmp_path / "half")
    (shared / "README.md").write_text("edited")
    with pytest.raises(DataError, match=r"README\.md is not what share\.json says"):
        push(shared, str(tmp_path / "elsewhere"))
    assert not (tmp_path / "elsewhere").exists()
    shard = shared / "shards" / "000" / "s000001.h5"
    shard.write_bytes(shard.read_bytes()[:-1] + b"\xff")
    with pytest.raises(DataError, match="s000001"):
        share_it(shared)
    with pytest.raises(InputError, match="Make it ready with `outcrop share`"):
        push(tmp_path / "half", str(tmp_path / "elsewhere"))


@pytest.mark.parametrize("scheme", ["", "file://", "memory://"])
def test_there_and_back_gives_the_same_files(tmp_path: Path, shared: Path, contents: Callable, scheme: str) -> None:
    target = f"{scheme}{tmp_path}/there"
    first, again = push(shared, target), push(shared, target)
    assert (first.sent, first.kept) == (len(first.statement.files), 0)
    assert (again.sent, again.kept) == (0, first.sent)
    back = pull(target, tmp_path / "back")
    assert back.sent == first.sent
    assert contents(tmp_path / "back") == contents(shared)
    assert pull(target, tmp_path / "back").sent == 0


def test_what_http_serves_is_pulled_validated_and_read(tmp_path: Path, shared: Path, serve: Serve) -> None:
    served = serve(shared)
    pull(served.url, tmp_path / "back")
    assert [finding for finding in validate_dataset(tmp_path / "back") if finding.severity != "advice"] == []
    here, there = open_dataset(shared), open_dataset(tmp_path / "back")
    for site in here.sites.index:
        np.testing.assert_array_equal(here.activations(site, step=1), there.activations(site, step=1))
    assert there.labels.equals(here.labels)


def test_what_was_pulled_over_http_is_probed_as_what_was_shared(tmp_path: Path, shared: Path, serve: Serve) -> None:
    pull(serve(shared).url, tmp_path / "back")
    spec = ProbeSpec(properties=("content",), group_by=("seed",), folds=3, bootstraps=20)
    here, there = (probe(open_dataset(place), spec=spec).frame for place in (shared, tmp_path / "back"))
    assert len(there) > 0
    assert there.equals(here)


@pytest.mark.parametrize("begun", [0, 5])
def test_a_server_that_knows_no_ranges_will_do(
    tmp_path: Path, shared: Path, serve: Serve, contents: Callable, monkeypatch: pytest.MonkeyPatch, begun: int
) -> None:
    monkeypatch.setattr("outcrop.data.transfer.BLOCK", 7)
    back = tmp_path / "back"
    (back / "shards" / "000").mkdir(parents=True)
    (back / ".share.json.part").write_text(open_dataset(shared).uuid)
    begin = (shared / "shards" / "000" / "s000000.h5").read_bytes()[:begun]
    (back / "shards" / "000" / ".s000000.h5.part").write_bytes(begin)
    pull(serve(shared, ranges=False).url, back)
    assert contents(back) == contents(shared)


def test_a_stopped_pull_goes_on_with_the_bytes_it_has(
    tmp_path: Path, shared: Path, serve: Serve, contents: Callable
) -> None:
    file = "shards/000/s000000.h5"
    size, back = (shared / file).stat().st_size, tmp_path / "back"
    shutil.move(shared / "viewer", tmp_path / "away")
    with pytest.raises(DataError, match=r"samples\.parquet is not there"):
        pull(serve(shared).url, back)
    shutil.move(tmp_path / "away", shared / "viewer")
    (back / file).unlink(missing_ok=True)
    (back / "shards" / "000").mkdir(parents=True, exist_ok=True)
    (back / "shards" / "000" / ".s000000.h5.part").write_bytes((shared / file).read_bytes()[: size - 100])
    served = serve(shared)
    pull(served.url, back)
    assert served.fetched("s000000.h5") == 100
    assert contents(back) == contents(shared)


def test_a_pull_believes_checksums_only(tmp_path: Path, shared: Path, serve: Serve) -> None:
    shard = shared / "shards" / "000" / "s000000.h5"
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DataError, match=r"s000000\.h5 came with other bytes than share\.json says"):
        pull(serve(shared).url, tmp_path / "back")
    assert not (tmp_path / "back" / "share.json").exists()
    assert not (tmp_path / "back" / "shards" / "000" / "s000000.h5").exists()


@pytest.mark.parametrize("path", ["../outside", "/etc/outside", "a/../../outside", ".hidden", "share.json"])
def test_a_statement_that_leads_out_is_refused(tmp_path: Path, shared: Path, serve: Serve, path: str) -> None:
    said = json.loads((shared / "share.json").read_text())
    said["files"][0]["path"] = path
    (shared / "share.json").write_text(json.dumps(said))
    with pytest.raises(DataError, match=r"plain relative path|more than once"):
        pull(serve(shared).url, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_nothing_is_pushed_or_pulled_over_something_else(
    tmp_path: Path, shared: Path, write: Callable[..., None], new_record: Make, new_samples: Callable
) -> None:
    write(tmp_path / "other", new_record(uuid="other", spec={"images": False}), new_samples())
    for path in open_dataset(tmp_path / "other").samples["image"]:
        (tmp_path / "other" / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(shared / path, tmp_path / "other" / path)
    share_it(tmp_path / "other")
    push(shared, str(tmp_path / "there"))
    with pytest.raises(ConflictError, match="holds another data set"):
        push(tmp_path / "other", str(tmp_path / "there"))
    pull(str(tmp_path / "there"), tmp_path / "back")
    with pytest.raises(ConflictError, match="holds another data set"):
        pull(str(tmp_path / "other"), tmp_path / "back")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(ConflictError, match="is not empty"):
        pull(str(tmp_path / "there"), tmp_path / "mine")
    with pytest.raises(DataError, match=r"share\.json is not there"):
        pull(str(tmp_path / "mine"), tmp_path / "new")


def test_the_commands(tmp_path: Path, pictured: Path, run: Run) -> None:
    assert run("share", pictured, "--licence", "data")[0] == 2
    code, _, err = run("share", pictured, "--licence", "data=MIT")
    assert (code, "no licence is stated for: model, prompts" in err) == (1, True)
    stated = [f"--licence={of}={name}" for of, name in LICENCES.items()]
    code, out, _ = run("share", pictured, *stated, "--title", "Mine")
    assert (code, "ready for `outcrop push`" in out) == (0, True)
    code, out, _ = run("push", pictured, tmp_path / "there", "--json")
    assert (code, json.loads(out)["sent"]) == (0, json.loads(out)["files"])
    code, out, _ = run("pull", tmp_path / "there", tmp_path / "back")
    assert (code, "all verified (0 were there); licence data: CC-BY-4.0" in out) == (0, True)
    code, _, err = run("pull", "hf://datasets/nobody", tmp_path / "hub")
    assert (code, "Expected hf://datasets/USER/NAME" in err) == (1, True)

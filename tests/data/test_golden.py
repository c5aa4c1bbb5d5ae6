"""Files of formats 1 and 2 that were written once: they are read by us and by others, today and forever.

``tests/data/golden`` is never changed. A reader that no longer reads it is broken.
"""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pyfive
import pytest

from outcrop.data.dataset import open_dataset
from outcrop.data.merge import merge_datasets
from outcrop.data.validate import validate_dataset

ROOT = Path(__file__).parent / "golden" / "format-1"
SECOND = ROOT.parent / "format-2"
DOCUMENT = Path(__file__).parents[2] / "docs" / "format.md"
EXPECTED = json.loads((ROOT / "expected.json").read_text(encoding="utf-8"))
EXPECTED_INT8 = json.loads((SECOND / "expected.json").read_text(encoding="utf-8"))
DTYPES = ("float16", "bfloat16", "float32")
SITES = ("mid_block", "up_blocks.0")
SHA256 = {
    "format-1": "685c20e354ec392766bcafde79a378450218b1e24320ace062a7f6a494760b46",
    "format-2": "0817bd7b335634d62da56dfe0f5f9e59c83e49a1cc3e0c7a97291c609d972083",
}


def as_float(values: np.ndarray) -> np.ndarray:
    return (values.astype("<u4") << 16).view("<f4") if values.dtype == np.uint16 else values


@pytest.mark.parametrize("version", SHA256)
def test_the_golden_files_are_untouched(version: str) -> None:
    digest, root = hashlib.sha256(), ROOT.parent / version
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    assert digest.hexdigest() == SHA256[version]


@pytest.mark.parametrize("dtype", DTYPES)
def test_golden_data_sets_are_valid_and_read_as_they_were_written(dtype: str) -> None:
    assert validate_dataset(ROOT / dtype) == []
    ds = open_dataset(ROOT / dtype)
    for site in SITES:
        for step in (0, 1):
            np.testing.assert_array_equal(ds.activations(site, step=step).astype(float), EXPECTED[dtype][site][step])
    for name, values in EXPECTED["samples"].items():
        assert (list(ds.samples.index) if name == "id" else list(ds.samples[name])) == values


def test_a_golden_data_set_of_int8_is_valid_and_read_as_it_was_written() -> None:
    assert validate_dataset(SECOND / "int8") == []
    ds = open_dataset(SECOND / "int8")
    assert list(ds.samples.index) == EXPECTED_INT8["ids"]
    for site in SITES:
        for step in (0, 1):
            np.testing.assert_array_equal(ds.activations(site, step=step), EXPECTED_INT8["int8"][site][step])


def test_golden_labels_that_were_added_are_read() -> None:
    ds = open_dataset(ROOT / "float16")
    assert ds.labels["content:hand"].tolist() == EXPECTED["added"]["content:hand"]
    assert ds.labels["warmth"].tolist() == EXPECTED["added"]["warmth"]
    np.testing.assert_array_equal(ds.map("where"), EXPECTED["added"]["where"])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_golden_compressed_shards_are_unpacked(dtype: str, tmp_path: Path) -> None:
    merge_datasets([ROOT / f"compressed-{dtype}.h5"], tmp_path / "ds")
    values = open_dataset(tmp_path / "ds").activations("mid_block", step=1)
    np.testing.assert_array_equal(values.astype(float), np.array(EXPECTED[dtype]["mid_block"][1])[:3])


@pytest.mark.parametrize("library", [h5py, pyfive], ids=["h5py", "pyfive"])
@pytest.mark.parametrize("file", [*(f"{dtype}/shards/000/s000000.h5" for dtype in DTYPES), "compressed"])
def test_others_read_the_same(library: object, file: str) -> None:
    names = ["compressed-float16.h5", "compressed-bfloat16.h5"] if file == "compressed" else [file]
    for name in names:
        dtype = next(dtype for dtype in ("bfloat16", *DTYPES) if dtype in name)
        with library.File(ROOT / name) as shard:
            for site in SITES:
                values = as_float(np.asarray(shard[f"activations/{site}"][:]))
                np.testing.assert_array_equal(values.astype(float), np.array(EXPECTED[dtype][site])[:, :3])
            assert [f"{value:016x}" for value in shard["samples/id"][:].tolist()] == EXPECTED["samples"]["id"][:3]
            assert json.loads(bytes(shard["meta"][:]))["dtype"] == dtype


@pytest.mark.parametrize("library", [h5py, pyfive], ids=["h5py", "pyfive"])
def test_others_read_codes_and_scales(library: object) -> None:
    with library.File(SECOND / "int8/shards/000/s000000.h5") as shard:
        for site in SITES:
            scales = np.asarray(shard[f"scales/{site}"][:])
            values = scales[:, :1] + scales[:, 1:] * np.asarray(shard[f"activations/{site}"][:])
            expected = np.array(EXPECTED_INT8["int8"][site])[:, :3]
            np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-4)


ALONE = """
import sys
sys.path = [path for path in sys.path if path]

class Nothing:
    def find_spec(self, name, path=None, target=None):
        known = name.partition(".")[0] in {"h5py", "numpy"} or name.partition(".")[0] in sys.stdlib_module_names
        if not known:
            raise ModuleNotFoundError(f"{name} is not part of a bare environment")

sys.meta_path.insert(0, Nothing())
exec(compile(sys.stdin.read(), "docs/format.md", "exec"))
print(json.dumps(X.astype(float).tolist()))
"""


@pytest.mark.parametrize("block", [0, 1])
def test_the_document_s_examples_need_nothing_but_h5py_and_numpy(block: int) -> None:
    code = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)[block]
    done = subprocess.run(
        [sys.executable, "-I", "-c", ALONE], input=code, cwd=ROOT, capture_output=True, text=True, check=True
    )
    expected = np.array(EXPECTED["float16"]["up_blocks.0"][1])
    np.testing.assert_array_equal(json.loads(done.stdout), expected[:3] if block == 0 else expected)


def test_the_document_s_bare_environment_is_bare() -> None:
    """The control: what is blocked cannot be imported."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", ALONE], input="import pandas", capture_output=True, text=True, check=False
    )
    assert "pandas is not part of a bare environment" in done.stderr


def test_a_shard_that_h5py_wrote_as_the_document_says_is_of_format_1(tmp_path: Path) -> None:
    with (
        h5py.File(ROOT / "float16/shards/000/s000000.h5") as old,
        h5py.File(tmp_path / "own.h5", "w", libver=("v108", "v108")) as new,
    ):
        names: list[str] = []
        old.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        for name in names:
            new.create_dataset(name, data=old[name][()], dtype=old[name].dtype, track_times=False)
    assert validate_dataset(tmp_path / "own.h5") == []
    assert merge_datasets([tmp_path / "own.h5"], tmp_path / "ds") == 3
    assert [finding for finding in validate_dataset(tmp_path / "ds") if finding.severity == "error"] == []

"""Values of one byte come back within half a level of what their channel spans; who reads them need not know."""

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from outcrop.data.dataset import open_dataset
from outcrop.data.errors import DataError
from outcrop.data.export import export
from outcrop.data.int8 import LEVELS, channel_shape, decode, encode
from outcrop.data.journal import read_journal
from outcrop.data.merge import merge_datasets
from outcrop.data.samples import Sample
from outcrop.data.validate import validate_dataset
from outcrop.data.writer import open_writer

SHAPES = [(5,), (7, 5), (5, 4, 3), (1, 4, 4), (2, 5), (2, 7, 5), (2, 5, 4, 3)]


@pytest.fixture
def int8(tmp_path: Path, new_record: Callable, new_samples: Callable, write: Callable) -> Path:
    """8 samples in three shards."""
    write(tmp_path / "int8", new_record(dtype="int8"), new_samples())
    return tmp_path / "int8"


@pytest.mark.parametrize("shape", SHAPES)
def test_a_value_comes_back_within_half_a_level_of_its_channel(shape: tuple[int, ...]) -> None:
    channels = channel_shape(shape, "both" if shape[0] == 2 else "cond")
    assert np.prod(channels) == (10 if shape[0] == 2 else 5 if len(shape) < 3 else shape[0])
    rng = np.random.default_rng(0)
    values = (rng.standard_normal((9, *shape)) * 10.0 ** rng.integers(-6, 6, channels)).astype("<f4")
    codes, scales = encode(values, channels)
    assert codes.dtype == np.int8
    span = np.abs(values - scales[0]).max((0, *(1 + a for a, extent in enumerate(channels) if extent == 1)))
    wrong = np.abs(decode(codes, scales) - values)
    assert (wrong <= 1.001 * span.reshape(channels) / LEVELS / 2).all()
    assert np.abs(codes).max() == LEVELS


def test_what_was_decoded_gives_the_same_codes_again() -> None:
    values = (
        np.random.default_rng(1).standard_normal((50, 6, 3, 3)).astype("<f4") * np.logspace(-8, 8, 6)[:, None, None]
    )
    codes, scales = encode(values.astype("<f4"), (6, 1, 1))
    again = encode(decode(codes, scales), (6, 1, 1))
    np.testing.assert_array_equal(again[0], codes)
    assert (np.abs(again[1] - scales) <= 1e-3 * scales[1]).all()


@pytest.mark.parametrize("value", [0.0, -3.25, 1e30])
def test_a_channel_that_does_not_vary_is_kept_exactly(value: float) -> None:
    codes, scales = encode(np.full((4, 3), value, "<f4"), (3,))
    np.testing.assert_array_equal(decode(codes, scales), np.full((4, 3), value, "<f4"))


def test_the_reader_gives_floats_near_those_that_were_captured(int8: Path, new_columns: Callable) -> None:
    ds = open_dataset(int8)
    assert (ds.info.format, ds.dtype) == (2, "int8")
    for site, values in new_columns(ds.info, range(8)).items():
        for step in ds.steps.index:
            found = ds.activations(site, step=step)
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, values[step], atol=1.001 * np.ptp(values[step]) / LEVELS / 4)
            rows = np.array([7, 0, 4, 4, 1])
            np.testing.assert_array_equal(ds.rows(site, step, rows), found[rows])
    assert [finding for finding in validate_dataset(int8) if finding.severity == "error"] == []


def test_it_takes_half_of_float16(int8: Path, new_record: Callable) -> None:
    record, plain = open_dataset(int8).info, new_record(dtype="float16")
    assert 2 * record.sample_bytes == plain.sample_bytes
    assert (plain.format, plain.filled_bytes, record.filled_bytes) == (1, plain.sample_bytes, 4 * record.sample_bytes)


def test_a_part_is_read_from_afar_with_its_scales(int8: Path, serve: Callable) -> None:
    near, far = open_dataset(int8), open_dataset(serve(int8).url)
    for site in near.sites.index:
        np.testing.assert_array_equal(far.rows(site, 1, np.array([6, 2])), near.activations(site, step=1)[[6, 2]])


def test_merged_and_unpacked_values_are_the_same(int8: Path, tmp_path: Path) -> None:
    ds = open_dataset(int8)
    merge_datasets([int8], tmp_path / "merged")
    export(ds, tmp_path / "packed", form="compressed")
    merge_datasets(sorted((tmp_path / "packed").glob("*.h5")), tmp_path / "unpacked")
    assert open_dataset(tmp_path / "unpacked").dtype == "float32"
    for site in ds.sites.index:
        values = ds.activations(site, step=0)
        np.testing.assert_array_equal(open_dataset(tmp_path / "unpacked").activations(site, step=0), values)
        np.testing.assert_allclose(open_dataset(tmp_path / "merged").activations(site, step=0), values, atol=1e-4)


def test_a_flipped_bit_of_a_scale_is_found(int8: Path) -> None:
    shard = read_journal(int8)[1]
    column = shard.columns["scales/mid_block"]
    with (int8 / shard.file).open("r+b") as file:
        file.seek(column.offset + 3)
        byte = file.read(1)
        file.seek(column.offset + 3)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(DataError, match="damaged at site 'scales/mid_block', step 0"):
        open_dataset(int8).activations("mid_block", step=0)
    said = "site 'scales/mid_block', step 0: the checksum does not match"
    assert said in [finding.what for finding in validate_dataset(int8)]


def test_the_journal_has_scales_for_each_site(int8: Path) -> None:
    shard = read_journal(int8)[0]
    column = shard.columns["scales/up_blocks.0"]
    content = (int8 / shard.file).read_bytes()
    assert (column.shape, column.dtype) == ((2, 2, 2, 1, 1), "<f4")
    planes = [content[column.offset + 16 * step : column.offset + 16 * (step + 1)] for step in range(2)]
    assert tuple(map(zlib.crc32, planes)) == column.crc32


def test_halves_have_scales_of_their_own(
    tmp_path: Path, new_record: Callable, new_samples: Callable[..., list[Sample]]
) -> None:
    (site, *_) = new_record().sites
    record = new_record(dtype="int8", half="both", sites=(site.model_copy(update={"shape": (2, 4)}),), planned=3)
    values = np.stack([np.full((2, 3, 4), 1e6), np.linspace(0, 1, 24).reshape(2, 3, 4)], axis=2).astype("<f4")
    with open_writer(tmp_path / "ds", record) as writer:
        writer.commit(0, new_samples(3), {site.name: values})
        writer.seal(new_samples(3))
    for step in (0, 1):
        found = open_dataset(tmp_path / "ds").activations(site.name, step=step)
        np.testing.assert_allclose(found, values[step], atol=1 / LEVELS, rtol=0)

"""Writing beside the work: in order, within its memory, and with its failures told."""

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from outcrop.data.background import BackgroundWriter, encode_png
from outcrop.data.errors import StorageError
from outcrop.data.schema import DatasetRecord
from outcrop.data.shard import OpenShard
from outcrop.data.writer import ShardWriter, open_writer

Make = Callable[..., DatasetRecord]
PIXELS = np.random.default_rng(0).integers(0, 256, (8, 5, 7, 3), np.uint8)


@pytest.fixture
def stream(new_record: Make, new_samples: Callable, new_columns: Callable) -> Callable[[BackgroundWriter], None]:
    """Give all three shards, and their pictures, to a background writer."""

    def run(background: BackgroundWriter, *, pictures: bool = True) -> None:
        record, samples = new_record(), new_samples()
        for index in range(3):
            rows = range(3 * index, min(3 * index + 3, 8))
            shard = background.open_shard(index, [samples[row] for row in rows])
            for name, values in new_columns(record, rows).items():
                shard.columns[name][...] = values
            if pictures:
                background.write_images(shard.samples, PIXELS[rows.start : rows.stop])
            background.commit(shard)

    return run


@pytest.mark.parametrize("buffers", [1, 2, 4])
def test_it_writes_what_the_writer_writes(
    folder: Path, tmp_path: Path, new_record: Make, new_samples: Callable, stream: Callable, buffers: int
) -> None:
    with open_writer(tmp_path / "s", new_record()) as writer:
        with BackgroundWriter(writer, buffers=buffers) as background:
            stream(background)
        assert writer.seal(new_samples())
    for path in folder.rglob("*"):
        if path.is_file() and not path.name.startswith(".lock"):
            assert (tmp_path / "s" / path.relative_to(folder)).read_bytes() == path.read_bytes()
    for sample, pixels in zip(new_samples(), PIXELS, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "s" / sample.image)), pixels)


@pytest.mark.parametrize("buffers", [1, 2])
def test_a_slow_disk_holds_the_work_back(tmp_path: Path, new_record: Make, stream: Callable, buffers: int) -> None:
    """No more shards than buffers are ever open, also when nothing is written for as long as there is work."""
    opened: list[int] = []
    go_on = threading.Event()

    class SlowWriter(ShardWriter):
        def commit_shard(self, shard: OpenShard):
            assert go_on.wait(60)
            opened.remove(id(shard.memory))
            return super().commit_shard(shard)

    class Watched(BackgroundWriter):
        def open_shard(self, index, samples) -> OpenShard:
            if len(opened) == buffers:
                go_on.set()
            shard = super().open_shard(index, samples)
            opened.append(id(shard.memory))
            assert len(opened) <= buffers
            return shard

    with open_writer(tmp_path / "s", new_record()) as writer:
        slow = SlowWriter(writer.place, writer.dataset)
        with Watched(slow, buffers=buffers) as background:
            stream(background, pictures=buffers > 1)
            go_on.set()
        assert set(slow.committed) == {0, 1, 2}


def test_a_failure_is_told_where_the_work_is(tmp_path: Path, new_record: Make, stream: Callable) -> None:
    blocked = tmp_path / "s" / "shards" / "000"
    with open_writer(tmp_path / "s", new_record()) as writer:
        blocked.parent.mkdir()
        blocked.write_text("a file where a folder should be")
        with (
            pytest.raises(StorageError, match=r"Could not write .*s000000\.h5"),
            BackgroundWriter(writer, buffers=1) as background,
        ):
            stream(background)
        assert writer.committed == {}


def test_what_was_given_before_a_fault_of_the_work_is_still_written(
    tmp_path: Path, new_record: Make, stream: Callable
) -> None:
    with open_writer(tmp_path / "s", new_record()) as writer:
        with suppress(KeyboardInterrupt), BackgroundWriter(writer, buffers=2) as background:
            stream(background)
            raise KeyboardInterrupt
        assert set(writer.committed) == {0, 1, 2}
    assert not [thread for thread in threading.enumerate() if thread.name == "outcrop-writer"]


def test_pictures_that_cannot_fit_are_refused_when_the_first_ones_are_known(
    tmp_path: Path, new_record: Make, new_samples: Callable
) -> None:
    """Few bytes of activations, but more pictures than any disk holds."""
    (site, *_) = new_record().sites
    many = 2 * 10**7
    record = new_record(planned=many, shard_samples=many, sites=(site.model_copy(update={"shape": ()}),), steps=())
    noise = np.random.default_rng(0).integers(256, size=(len(PIXELS), 512, 512, 3), dtype=np.uint8)
    with (
        open_writer(tmp_path / "s", record) as writer,
        pytest.raises(StorageError, match="still needs"),
        BackgroundWriter(writer, buffers=1) as background,
    ):
        background.write_images(new_samples(), noise)
    assert not (tmp_path / "s" / "images").exists()


def test_the_same_pixels_give_the_same_png() -> None:
    assert encode_png(PIXELS[0]) == encode_png(PIXELS[0].copy())

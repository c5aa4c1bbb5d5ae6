"""Ranks: several writers of one folder, one journal each, one data set in the end."""

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from outcrop.data.dataset import open_dataset
from outcrop.data.errors import ConflictError, DataError
from outcrop.data.journal import read_journal
from outcrop.data.schema import DatasetRecord
from outcrop.data.writer import ShardWriter, open_writer

Make = Callable[..., DatasetRecord]
Contents = Callable[[Path], dict[str, bytes]]


@pytest.fixture
def commit(new_record: Make, new_samples: Callable, new_columns: Callable) -> Callable[[ShardWriter, int], None]:
    def run(writer: ShardWriter, index: int) -> None:
        rows = range(3 * index, min(3 * index + 3, 8))
        writer.commit(index, [new_samples()[row] for row in rows], new_columns(new_record(), rows))

    return run


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_ranks_in_any_order_give_the_bytes_of_a_sole_writer(
    folder: Path,
    tmp_path: Path,
    new_record: Make,
    new_samples: Callable,
    *,
    commit: Callable,
    contents: Contents,
    order: tuple[int, ...],
) -> None:
    target, sealed = tmp_path / "ranks", []
    for rank in order:
        with open_writer(target, new_record(), rank=rank) as writer:
            commit(writer, rank)
            sealed.append(writer.seal(new_samples()))
        assert len(open_dataset(target)) == sum(len(record.samples) for record in read_journal(target))
    assert sealed == [False, False, True]
    assert contents(target) == contents(folder)


def test_a_sole_writer_goes_on_where_ranks_stopped(
    folder: Path,
    tmp_path: Path,
    write: Callable,
    new_record: Make,
    new_samples: Callable,
    *,
    commit: Callable,
    contents: Contents,
) -> None:
    target = tmp_path / "ranks"
    for rank in (2, 1):
        with open_writer(target, new_record(), rank=rank) as writer:
            commit(writer, rank)
    write(target, new_record(), new_samples())
    assert contents(target) == contents(folder)


def test_killed_in_the_middle_of_the_merge_it_is_merged_again(
    folder: Path, tmp_path: Path, write: Callable, new_record: Make, new_samples: Callable, contents: Contents
) -> None:
    """The main journal is written before the ranks' go, so that both may hold the same lines."""
    target = tmp_path / "merged"
    shutil.copytree(folder, target)
    lines = (target / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (target / "journal.r0001.jsonl").write_bytes(lines[1] + b'{"torn')
    (target / ".journal.jsonl.r0001.partial").write_bytes(lines[0][:50])
    assert [record.index for record in read_journal(target)] == [0, 1, 2]
    write(target, new_record(), new_samples())
    assert contents(target) == contents(folder)


def test_ranks_work_side_by_side_and_a_sole_writer_alone(tmp_path: Path, new_record: Make) -> None:
    target = tmp_path / "ds"

    def refused(rank: int | None, match: str) -> None:
        with pytest.raises(ConflictError, match=match), open_writer(target, new_record(), rank=rank):
            pass

    with open_writer(target, new_record(), rank=0), open_writer(target, new_record(), rank=1):
        refused(1, "Another process is writing to .* as rank 1")
        refused(None, "Another process is writing")
    with open_writer(target, new_record()):
        refused(0, "Another process is writing")
    with open_writer(target, new_record(), rank=1):
        pass


def test_ranks_that_start_together_do_not_take_each_other_for_strangers(tmp_path: Path, new_record: Make) -> None:
    with open_writer(tmp_path, new_record(), rank=3):
        pass
    (tmp_path / "dataset.json").rename(tmp_path / ".dataset.json.r0003.partial")
    with open_writer(tmp_path, new_record(), rank=0) as writer:
        assert writer.committed == {}


def test_a_journal_that_cannot_be_read_is_named(folder: Path) -> None:
    (folder / "journal.r0000.jsonl").mkdir()
    with pytest.raises(DataError, match=r"journal\.r0000\.jsonl is not a regular file"):
        open_dataset(folder)

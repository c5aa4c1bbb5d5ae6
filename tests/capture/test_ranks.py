"""Any number of ranks, killed and started again in another number, gives the data set of one process."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from outcrop.capture.ranks import Rank
from outcrop.capture.run import Share, capture, capture_share
from outcrop.capture.spec import CaptureSpec
from outcrop.data.dataset import Dataset, open_dataset
from outcrop.data.errors import InputError

NewSpec = Callable[..., CaptureSpec]
Contents = Callable[[Path], dict[str, bytes]]


@pytest.mark.parametrize(
    ("variables", "rank"),
    [
        ({}, None),
        ({"RANK": "2", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}, Rank(2, 8, 1)),
        ({"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}, None),
        (
            {
                "SLURM_ARRAY_TASK_ID": "11",
                "SLURM_ARRAY_TASK_MIN": "5",
                "SLURM_ARRAY_TASK_STEP": "2",
                "SLURM_ARRAY_TASK_COUNT": "4",
            },
            Rank(3, 4),
        ),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, None),
    ],
)
def test_launchers_say_which_part_it_is(variables: dict[str, str], rank: Rank | None) -> None:
    assert Rank.from_environment(variables) == rank


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"RANK": "x", "WORLD_SIZE": "8"}, "RANK must be a number"),
        ({"RANK": "8", "WORLD_SIZE": "8"}, "one of 0 to 7, of 8. Got 8"),
        ({"SLURM_ARRAY_TASK_ID": "0"}, "SLURM_ARRAY_TASK_MIN must be a number"),
    ],
)
def test_launchers_that_speak_nonsense_are_refused(variables: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Rank.from_environment(variables)


def test_a_rank_is_written_as_index_and_world() -> None:
    assert Rank.parse("2/8") == Rank(2, 8)
    for text in ("2", "8/8", "a/b", "-1/4"):
        with pytest.raises(InputError):
            Rank.parse(text)


def test_a_bare_cuda_becomes_the_card_of_the_rank() -> None:
    rank = Rank(5, 8, local=1)
    assert [rank.device(name) for name in ("cuda", "cuda:0", "cpu")] == ["cuda:1", "cuda:0", "cpu"]


@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_every_shard_has_one_owner(world: int) -> None:
    ranks = [Rank(index, world) for index in range(world)]
    assert all(sum(rank.owns(shard) for rank in ranks) == 1 for shard in range(20))


def start(action: Callable[[], Share]) -> int:
    child = os.fork()
    if not child:
        status = 1
        try:
            action()
            status = 0
        finally:
            os._exit(status)
    return child


def test_ranks_at_once_one_killed_then_fewer_give_the_same_bytes(
    tmp_path: Path, new_spec: NewSpec, whole: Dataset, contents: Contents
) -> None:
    out = tmp_path / "ds"

    def die(done: int, _planned: int) -> None:
        if done:
            os.kill(os.getpid(), signal.SIGKILL)

    children = [
        start(lambda index=index: capture_share(new_spec(), out, Rank(index, 4), progress=die if index == 1 else None))
        for index in range(4)
    ]
    ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert ends == [0, -signal.SIGKILL, 0, 0]  # the fourth rank of three shards has nothing to do
    assert len(open_dataset(out)) == 4
    first = capture_share(new_spec(), out, Rank(0, 2))
    assert (first.samples, first.committed, first.complete) == (4, 4, False)
    assert "other ranks are not done" in first.to_text()
    second = capture_share(new_spec(), out, Rank(1, 2))
    assert (second.samples, second.committed, second.complete) == (2, 6, True)
    assert contents(out) == contents(whole.path)
    assert capture(new_spec(), out).uuid == whole.uuid
    assert contents(out) == contents(whole.path)

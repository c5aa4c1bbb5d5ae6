"""A capture that is killed, interrupted or out of disk, and goes on to the bytes of an uninterrupted one."""

import os
import random
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from outcrop.capture.run import capture
from outcrop.capture.spec import CaptureSpec
from outcrop.cli import main
from outcrop.data.dataset import Dataset, open_dataset
from outcrop.data.journal import read_journal

KILLS = int(os.environ.get("OUTCROP_KILLS", "3"))
NewSpec = Callable[..., CaptureSpec]
Contents = Callable[[Path], dict[str, bytes]]
InChild = Callable[..., int]


def kill_at_touch(deadly: int, out: Path) -> None:
    """From now on, end with a SIGKILL at the ``deadly``-th touch of a file in ``out``."""
    touched = 0

    def audit(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal touched
        if event in {"open", "os.rename", "os.truncate", "os.mkdir", "os.remove"} and str(out) in str(arguments[0]):
            touched += 1
            if touched == deadly:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(audit)


def kill_at_step(deadly: int) -> None:
    """From now on, end with a SIGKILL before the ``deadly``-th call of a denoiser."""
    called = 0

    def count(module: torch.nn.Module, _inputs: object) -> None:
        nonlocal called
        called += type(module).__name__ == "UNet2DConditionModel"
        if called == deadly:
            os.kill(os.getpid(), signal.SIGKILL)

    torch.nn.modules.module.register_module_forward_pre_hook(count)


def committed(out: Path) -> int:
    return sum(len(record.samples) for record in read_journal(out))


@pytest.mark.parametrize("seed", range(KILLS))
def test_killed_anywhere_and_gone_on_it_is_the_same_to_the_byte(
    tmp_path: Path, new_spec: NewSpec, whole: Dataset, seed: int, contents: Contents, in_child: InChild
) -> None:
    out, draw = tmp_path / "ds", random.Random(seed)

    def mortal() -> None:
        kill_at_touch(draw.randint(1, 75), out)
        capture(new_spec(), out)

    kept = 0
    for _ in range(2):
        assert in_child(mortal) in {-signal.SIGKILL, 0}
        draw.random()  # the child drew from a copy
        assert kept <= committed(out)
        kept = committed(out)
        assert not kept or len(open_dataset(out)) == kept
    capture(new_spec(), out)
    assert contents(out) == contents(whole.path)


@pytest.mark.parametrize("step", range(1, 11))
def test_killed_at_any_step_of_the_denoiser_it_goes_on(
    tmp_path: Path, new_spec: NewSpec, whole: Dataset, step: int, contents: Contents, in_child: InChild
) -> None:
    """The dry pass is one step, and three batches have three each."""
    out = tmp_path / "ds"

    def mortal() -> None:
        kill_at_step(step)
        capture(new_spec(), out)

    assert in_child(mortal) == -signal.SIGKILL
    assert committed(out) <= max(0, 2 * ((step - 2) // 3))
    capture(new_spec(), out)
    assert contents(out) == contents(whole.path)


@pytest.mark.parametrize("pattern", ["images/**/*.png", "shards/**/*.h5", "journal.jsonl"])
def test_a_full_disk_ends_in_an_error_that_names_the_file(
    tmp_path: Path, new_spec: NewSpec, whole: Dataset, pattern: str, contents: Contents, in_child: InChild
) -> None:
    out, told = tmp_path / "ds", tmp_path / "told"
    limit = max(path.stat().st_size for path in whole.path.glob(pattern)) - 1

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        capture(new_spec(), out)

    assert in_child(limited, told=told) == 3
    assert f"Could not write {out}/" in told.read_text()
    assert "File too large" in told.read_text()
    capture(new_spec(), out)
    assert contents(out) == contents(whole.path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_ends_with_130_and_says_how_to_go_on(
    tmp_path: Path, new_spec: NewSpec, number: signal.Signals
) -> None:
    config, out = tmp_path / "config.yaml", tmp_path / "ds"
    config.write_text(yaml.safe_dump(new_spec(seeds={"per_prompt": 500}).model_dump(mode="json")))
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts with it ignored
            os.dup2(writing, 2)
            sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115  # the child's own, to its end
            sys.argv = ["outcrop", "capture", str(config), "--out", str(out)]
            main()
        except SystemExit as end:
            os._exit(int(str(end.code or 0)))
        finally:
            os._exit(99)
    os.close(writing)
    with os.fdopen(reading) as messages:
        for line in messages:
            if "of 3000 images" in line:
                os.kill(child, number)
                break
        rest = messages.read()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 130, rest
    assert "run the same command again to go on" in rest
    assert "Traceback" not in rest
    assert committed(out) % 2 == 0

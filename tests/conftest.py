"""The surroundings of every test: no network, no display, one thread."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Before anything imports torch, matplotlib or a hub client: they read these once.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MPLBACKEND"] = "Agg"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"


@pytest.fixture(scope="session")
def contents() -> Callable[[Path], dict[str, bytes]]:
    """Every file of a data set, by its path; the writers' locks are no part of it."""

    def read(folder: Path) -> dict[str, bytes]:
        files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(".lock")]
        return {str(path.relative_to(folder)): path.read_bytes() for path in files}

    return read


@pytest.fixture(scope="session")
def in_child() -> Callable[..., int]:
    """Run an action in a forked process; how it ended: 0, 3 StorageError, 4 ConflictError, 1 another, minus a signal.

    The action's message, if it ends in an error, is written to ``told``.
    """
    from outcrop.data.errors import ConflictError, StorageError

    def run(action: Callable[[], object], *, told: Path | None = None) -> int:
        child = os.fork()
        if child:
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        status = 1
        try:
            action()
            status = 0
        except BaseException as error:  # noqa: BLE001  # the child reports it and ends
            status = 3 if isinstance(error, StorageError) else 4 if isinstance(error, ConflictError) else 1
            if told is not None:
                told.write_text(f"{type(error).__name__}: {error}")
        finally:
            os._exit(status)

    return run


@pytest.fixture(scope="session")
def tall_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of 600 samples x 48 features at two sites; ``content`` stands at the first of them."""
    import numpy as np

    from outcrop.data.samples import Sample, sample_id
    from outcrop.data.schema import DatasetRecord, SiteRecord, StepRecord
    from outcrop.data.writer import open_writer

    count, width, rng = 600, 48, np.random.default_rng(0)
    sites = [
        SiteRecord(name=name, role="block", depth=depth, source_shape=(width,), shape=(width,))
        for depth, name in enumerate(("mid", "late"))
    ]
    record = DatasetRecord(
        uuid="tall",
        model="planted",
        dtype="float16",
        reduction="mean",
        half="cond",
        sites=tuple(sites),
        steps=(StepRecord(index=0, timestep=500.0, log_snr=0.0, noise=50.0),),
        labels=("content",),
        planned_samples=count,
        shard_samples=count // 4,
        spec={"images": False},
        provenance={},
    )
    content = rng.integers(2, size=count)
    samples = [
        Sample(sample_id("tall", "", k, k), f"prompt {k}", k, f"t{k % 30}", labels={"content": "ab"[own]})
        for k, own in enumerate(content)
    ]
    columns = {site.name: rng.standard_normal((1, count, width)).astype(np.float16) for site in sites}
    columns["mid"][0, :, :8] += (content[:, None] - 0.5).astype(np.float16)
    folder = tmp_path_factory.mktemp("tall") / "ds"
    with open_writer(folder, record) as writer:
        for index in range(4):
            rows = slice(index * count // 4, (index + 1) * count // 4)
            writer.commit(index, samples[rows], {name: values[:, rows] for name, values in columns.items()})
        writer.seal(samples)
    return folder


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Give a command; what comes back is the exit code, the output and the messages."""
    from outcrop.cli import main

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["outcrop", *map(str, arguments)])
        code: object = 0
        try:
            main()
        except SystemExit as end:
            code = end.code
        out, err = capsys.readouterr()
        return int(str(code or 0)), out, err

    return call


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the tests note as checked does not end up in the home of who runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield

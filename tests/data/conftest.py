"""A small data set with known values, and a server that hands out folders over HTTP."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from outcrop.data.samples import LabelValue, Sample, image_path, sample_id
from outcrop.data.schema import FILLED_DTYPE, DatasetRecord, DType, SiteRecord, StepRecord, format_of
from outcrop.data.writer import open_writer

SHARD = 3
SHAPES = {"mid_block": (4,), "up_blocks.0": (2, 3, 3)}

Columns = dict[str, NDArray[np.generic]]


def make_record(*, dtype: DType = "float16", uuid: str = "u1", planned: int = 8, **changes: object) -> DatasetRecord:
    sites = tuple(
        SiteRecord(name=name, role="block", depth=place, source_shape=shape, shape=shape)
        for place, (name, shape) in enumerate(SHAPES.items())
    )
    steps = tuple(StepRecord(index=k, timestep=900.0 - 400 * k, log_snr=k - 1.0, noise=90.0 - k) for k in range(2))
    fields = {
        "format": format_of(dtype),
        "uuid": uuid,
        "model": "planted",
        "dtype": dtype,
        "reduction": "mean",
        "half": "cond",
        "sites": sites,
        "steps": steps,
        "labels": ("content", "size"),
        "planned_samples": planned,
        "shard_samples": SHARD,
        "spec": {"model": "planted", "steps": 2},
        "provenance": {},
    }
    return DatasetRecord.model_validate(fields | changes)


def make_samples(n: int = 8) -> list[Sample]:
    def labels(k: int) -> dict[str, LabelValue]:
        return {"content": ("disc", "star")[k % 2], "size": k / 2}

    ids = [sample_id("planted", f"prompt {k}", k, k) for k in range(n)]
    return [
        Sample(name, f"prompt {k}", k, f"t{k % 3}", labels=labels(k), image=image_path(name))
        for k, name in enumerate(ids)
    ]


def make_columns(record: DatasetRecord, rows: range) -> Columns:
    """Values that depend on the site, the step and the sample's place in the plan."""
    kind = np.dtype(FILLED_DTYPE[record.dtype])
    columns = {}
    for number, site in enumerate(record.sites):
        planes = [
            np.random.default_rng([number, row]).standard_normal((len(record.steps), *site.shape)) for row in rows
        ]
        values = np.stack(planes, axis=1)
        columns[site.name] = (100 * values).astype(kind) if kind.kind == "f" else np.abs(100 * values).astype(kind)
    return columns


def write_shards(folder: Path, record: DatasetRecord, samples: list[Sample], *, seal: bool = True) -> None:
    """Commit what is not committed yet, as a capture does."""
    with open_writer(folder, record) as writer:
        for index in range(-(-len(samples) // SHARD)):
            if index in writer.committed:
                continue
            rows = range(index * SHARD, min((index + 1) * SHARD, len(samples)))
            writer.commit(index, [samples[row] for row in rows], make_columns(record, rows))
        if seal:
            writer.seal(samples)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sealed data set of 8 samples in three shards."""
    target = tmp_path / "ds"
    write_shards(target, make_record(), make_samples())
    return target


@pytest.fixture
def new_record() -> Callable[..., DatasetRecord]:
    return make_record


@pytest.fixture
def new_samples() -> Callable[..., list[Sample]]:
    return make_samples


@pytest.fixture
def new_columns() -> Callable[..., Columns]:
    return make_columns


@pytest.fixture
def write() -> Callable[..., None]:
    return write_shards


@dataclass
class Served:
    """A folder behind ``url``. ``asked``: each request's path and bytes, (path, None) for a whole file."""

    url: str
    asked: list[tuple[str, tuple[int, int] | None]] = field(default_factory=list)

    def fetched(self, suffix: str) -> int:
        """Bytes that were fetched in ranges from files of that ending."""
        ranges = [span for path, span in self.asked if path.endswith(suffix) and span is not None]
        return sum(end - start for start, end in ranges)


class RangeHandler(SimpleHTTPRequestHandler):
    """Files whole or in part, as the static servers do that people publish data on."""

    protocol_version = "HTTP/1.1"
    ranges = True

    def __init__(self, *arguments: object, served: Served, **options: object) -> None:
        self.served = served
        super().__init__(*arguments, **options)

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        wanted = self.headers.get("Range")
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        if wanted is None or not self.ranges:
            self.served.asked.append((self.path, None))
            self._answer(200, content)
            return
        first, last = wanted.removeprefix("bytes=").split("-")
        start, end = int(first), min(int(last) + 1 if last else len(content), len(content))
        self.served.asked.append((self.path, (start, end)))
        self._answer(206, content[start:end], {"Content-Range": f"bytes {start}-{end - 1}/{len(content)}"})

    def _answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), "Accept-Ranges": "bytes", **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        return


class PlainHandler(RangeHandler):
    """A server that knows no ranges."""

    ranges = False


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Serve a folder on the loopback interface until the test ends."""
    servers = []

    def start(folder: Path, *, ranges: bool = True) -> Served:
        served = Served("")
        handler = partial(RangeHandler if ranges else PlainHandler, served=served, directory=str(folder))
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        served.url = f"http://127.0.0.1:{server.server_address[1]}"
        return served

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()

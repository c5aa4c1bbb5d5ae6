"""A data set is written to an S3 server on the loopback, which refuses, loses its network, or sees its writer die."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import ThreadingHTTPServer
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from localbucket import S3Handler

from outcrop.cli import main
from outcrop.data import lease, object_store
from outcrop.data.dataset import open_dataset
from outcrop.data.errors import ConflictError, DataError, InputError, StorageError
from outcrop.data.journal import read_journal
from outcrop.data.places import open_place
from outcrop.data.shard import fill_shard
from outcrop.data.writer import DelegateWriter, open_writer
from outcrop.probes.spec import ProbeSpec
from outcrop.probes.sweep import probe

Make = Callable[..., object]
Request = tuple[str, str]
KILLS = "OUTCROP_KILLS" in os.environ  # after each change, not only some
OUT = "s3://lab/runs/ds"
GONE = "network gone"
WRITE = """
import sys
from outcrop.data.writer import open_writer
sys.path.insert(0, sys.argv[1])
from conftest import make_record, make_samples, write_shards
write_shards("s3://lab/runs/ds", make_record(), make_samples())
"""


class Bucket:
    """``folder`` holds the objects. ``before`` sees each request, and may say what goes wrong with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.before: Callable[[Request], str | None] = lambda _request: None
        self.asked: list[Request] = []

    def contents(self) -> dict[str, bytes]:
        return contents(self.folder)


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    (tmp_path / "s3" / "lab").mkdir(parents=True)
    it = Bucket(tmp_path / "s3" / "lab" / "runs" / "ds")

    class Handler(S3Handler):
        data_root = tmp_path / "s3"
        disable_nagle_algorithm = True  # a request would wait for a timer of the kernel

        def _dispatch(self, action: object) -> None:
            request = (self.command, self.path)
            it.asked.append(request)
            fault = it.before(request)
            if fault == GONE:
                self.close_connection = True
            elif fault:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                body = f"<Error><Code>{fault}</Code><Message>{fault}</Message></Error>".encode()
                self.send_response(403 if fault == "AccessDenied" else 503)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            elif self.path.endswith("?delete"):
                self._delete_several()
            else:
                super()._dispatch(action)

        def _delete_several(self) -> None:
            """DeleteObjects, which localbucket lacks."""
            listed = ET.fromstring(self.rfile.read(int(self.headers["Content-Length"])))
            keys = [str(key.text) for key in listed.iter() if key.tag.endswith("Key")]
            for key in keys:
                (self.data_root / "lab" / key).unlink(missing_ok=True)
            deleted = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
            self._send_xml(ET.fromstring(f"<DeleteResult>{deleted}</DeleteResult>"))

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    values = {"ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}", "REGION": "eu-north-1"}
    for name, value in (values | {"ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret"}).items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setattr(object_store, "RETRIES", 0)
    monkeypatch.setattr(object_store, "FIRST_RETRIES", 0)
    yield it
    server.shutdown()
    thread.join()
    server.server_close()


def test_it_is_the_local_data_set_to_the_byte_and_reads_back(
    bucket: Bucket, folder: Path, new_record: Make, new_samples: Make, write: Make
) -> None:
    write(OUT, new_record(), new_samples())
    assert bucket.contents() == contents(folder)
    assert not list(bucket.folder.glob(".*")), "neither a lock nor a clock stays"
    there, here = open_dataset(OUT), open_dataset(folder)
    for site in here.sites.index:
        np.testing.assert_array_equal(there.activations(site, step=1), here.activations(site, step=1))
    assert there.samples.equals(here.samples)


def test_whatever_was_the_last_to_arrive_it_goes_on_to_the_same_bytes(
    bucket: Bucket,
    folder: Path,
    new_record: Make,
    new_samples: Make,
    write: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lease, "EXPIRES", timedelta(0))  # what was left behind is old
    write(OUT, new_record(), new_samples())
    changing = [number for number, (method, _) in enumerate(bucket.asked) if method not in {"GET", "HEAD"}]
    kept, told = [], set()
    for last in changing if KILLS else changing[2::3]:
        for path in bucket.folder.rglob("*"):
            if path.is_file():
                path.unlink()
        bucket.asked.clear()
        bucket.before = lambda _request, last=last: GONE if len(bucket.asked) > last else None
        try:
            write(OUT, new_record(), new_samples())
        except (DataError, StorageError) as error:
            told.add("run the same command again to go on" in str(error))
        bucket.before = lambda _request: None
        announced = sum(method == "PUT" and "/journal/" in path for method, path in bucket.asked[:last])
        kept.append(len(open_place(OUT).journal()))
        assert kept[-1] == announced, "no line is lost"
        write(OUT, new_record(), new_samples())
        assert bucket.contents() == contents(folder), f"{last} requests arrived"
    assert len(set(kept)) > 2
    assert told == {True}


def test_killed_after_a_shard_has_arrived_it_is_followed_at_once(
    bucket: Bucket, folder: Path, new_record: Make, new_samples: Make, write: Make
) -> None:
    running: list[subprocess.Popen[bytes]] = []

    def kill(request: Request) -> str | None:
        if request[0] == "PUT" and "journal/s000001" in request[1]:
            os.kill(running[0].pid, signal.SIGKILL)
            return GONE
        return None

    bucket.before = kill
    arguments = [sys.executable, "-c", WRITE, str(Path(__file__).parent)]
    with subprocess.Popen(arguments, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}) as process:
        running.append(process)
    assert process.returncode == -signal.SIGKILL
    assert (bucket.folder / ".lock").exists()
    assert (bucket.folder / "shards/000/s000001.h5").exists()
    assert [record.index for record in open_place(OUT).journal()] == [0]
    bucket.before = lambda _request: None
    write(OUT, new_record(), new_samples())
    assert bucket.contents() == contents(folder)


def test_a_second_writer_is_refused_but_ranks_share(
    bucket: Bucket, new_record: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_writer(OUT, new_record()):
        for rank in (None, 3):
            with pytest.raises(ConflictError, match=r"Another process \(process \d+ on .*void 5 minutes after"):
                open_writer(OUT, new_record(), rank=rank).__enter__()
        monkeypatch.setattr(lease, "EXPIRES", timedelta(0))
        with open_writer(OUT, new_record()) as writer:
            assert writer.committed == {}, "a lock without a sign of life is void"
        monkeypatch.undo()
    bucket_free = [path.name for path in bucket.folder.glob(".*")]
    assert bucket_free == []


def test_ranks_write_side_by_side_and_the_last_one_seals(
    bucket: Bucket, folder: Path, new_record: Make, new_samples: Make, new_columns: Make
) -> None:
    samples, record = new_samples(), new_record()
    with open_writer(OUT, record, rank=0) as first, open_writer(OUT, record, rank=1) as second:
        with pytest.raises(ConflictError, match="as rank 0"):
            open_writer(OUT, record).__enter__()
        with pytest.raises(ConflictError, match="as rank 1"):
            open_writer(OUT, record, rank=1).__enter__()
        for index, writer in ((1, second), (0, first), (2, first)):
            rows = range(3 * index, min(3 * index + 3, 8))
            assert not writer.seal(samples)
            writer.commit(index, [samples[row] for row in rows], new_columns(record, rows))
        assert first.seal(samples)
    assert bucket.contents() == contents(folder)


def test_a_worker_takes_over_what_lies_there_whole(
    bucket: Bucket, folder: Path, new_record: Make, new_samples: Make, new_columns: Make
) -> None:
    record, samples = new_record(), new_samples()[:3]
    with open_writer(OUT, record) as writer:
        shard = fill_shard(record, 0, samples, new_columns(record, range(3)))
        worker = DelegateWriter(open_place(OUT), record)
        assert not worker.take_over(fill_shard(record, 0, samples, new_columns(record, range(3))))
        worker.commit_shard(shard)
        again = DelegateWriter(open_place(OUT), record)
        assert again.take_over(fill_shard(record, 0, samples, new_columns(record, range(3))))
        assert again.records == worker.records == read_journal(folder)[:1]
        assert writer.committed == {}


def test_a_short_outage_is_waited_out(bucket: Bucket, new_record: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_store, "RETRIES", 2)
    monkeypatch.setattr(object_store, "BACKOFF", {"init_backoff": timedelta(milliseconds=1)})
    bucket.before = lambda request: (None, GONE, "SlowDown")[len(bucket.asked) % 3]
    with open_writer(OUT, new_record()) as writer:
        assert writer.committed == {}
    assert (bucket.folder / "dataset.json").exists()


def test_before_anything_is_done_an_outage_is_told_soon(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_store, "FIRST_RETRIES", 1)
    monkeypatch.setattr(object_store, "RETRIES", 10)
    monkeypatch.setattr(object_store, "BACKOFF", {"init_backoff": timedelta(milliseconds=1)})
    bucket.before = lambda _request: GONE
    with pytest.raises(DataError, match=r"could not be read"):
        open_dataset(OUT)
    with pytest.raises(DataError, match=r"could not be read"):
        object_store.check_reachable(OUT)
    assert len(bucket.asked) == 2 * 2
    object_store.check_reachable("runs/ds")


def test_what_stands_in_the_way_is_told(
    bucket: Bucket, new_record: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"no bucket 'nowhere'\. Make it"):
        open_place("s3://nowhere/ds")
    with pytest.raises(InputError, match="names no bucket"):
        open_place("s3:///ds")
    with pytest.raises(InputError, match=r"Got hf://datasets/a/b.*`outcrop push`"):
        open_place("hf://datasets/a/b")
    bucket.before = lambda request: "AccessDenied" if request[0] == "PUT" else None
    with pytest.raises(StorageError, match=r"refuses it to these credentials.*write"):
        open_writer(OUT, new_record()).__enter__()
    bucket.before = lambda _request: None
    place = open_place(OUT)
    place.write("thesis.tex", b"words")
    with pytest.raises(ConflictError, match=r"holds no data set.*thesis.tex"):
        open_writer(OUT, new_record()).__enter__()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(DataError, match=r"does not answer at http://127.0.0.1:1 .*run the same command again"):
        open_place(OUT)
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    monkeypatch.setitem(sys.modules, "obstore.exceptions", None)
    with pytest.raises(InputError, match=r"outcrop\[remote\]"):
        open_place(OUT)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Error performing PUT http://169.254.169.254/latest/api/token: 403", "no credentials were found. Set AWS_"),
        ("Error performing POST http://store/bucket?delete: 501 Not Implemented", "AWS_DISABLE_BULK_DELETE=true"),
        ("Error performing GET http://store/bucket: 500", "run the same command again"),
    ],
)
def test_what_a_request_failed_of_is_told_with_the_way_out(said: str, expected: str) -> None:
    assert expected in object_store.told(OSError(said), OUT)


def test_a_url_that_lacks_a_slash_is_no_folder() -> None:
    with pytest.raises(InputError, match=r"s3:/lab/ds is no URL.*Did you mean s3://lab/ds\?"):
        open_place("s3:/lab/ds")


def test_after_a_fork_it_refuses_instead_of_waiting_for_ever(bucket: Bucket, in_child: Callable[..., int]) -> None:
    open_place(OUT)

    def child() -> None:
        signal.alarm(20)
        with pytest.raises(ConflictError, match="by spawn"):
            open_place(OUT)

    assert in_child(child) == 0


def test_a_column_larger_than_the_memory_is_read_by_rows_from_there_too(bucket: Bucket, tall_folder: Path) -> None:
    shutil.copytree(tall_folder, bucket.folder)
    spec = ProbeSpec(folds=3, controls=1, strengths=(0.1,), sites=("mid",))
    near, far = (probe(open_dataset(where), spec=spec, memory=320_000) for where in (tall_folder, OUT))
    pd.testing.assert_frame_equal(near.frame, far.frame, check_exact=True)
    read = [path for method, path in bucket.asked if method == "GET" and path.endswith(".h5")]
    assert len(read) > 4, "in memory, each shard is asked for once"


def test_the_command_reads_it(
    bucket: Bucket,
    new_record: Make,
    new_samples: Make,
    write: Make,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(OUT, new_record(), new_samples())
    monkeypatch.setattr(sys, "argv", ["outcrop", "inspect", OUT])
    main()
    assert "8 samples" in capsys.readouterr().out

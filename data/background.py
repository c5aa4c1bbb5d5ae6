"""Writing beside the work: shards are committed and images written on a thread of their own, within a fixed memory."""

import io
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from outcrop.data.samples import Sample
from outcrop.data.shard import Memory, OpenShard
from outcrop.data.writer import DelegateWriter, ShardWriter

PICTURE_BATCHES = 3
"""Batches of pixels that may be in memory at once: one being made, the others waiting or being written."""


@dataclass(frozen=True)
class _Task:
    run: Callable[[], object]
    free: Callable[[], None]
    """Gives back the memory that the task held, whether it ran or not."""


class BackgroundWriter:
    """Does the work of a writer in the order in which it is given, while its context is open.

    At most ``buffers`` shards are in memory: :meth:`open_shard` waits until one is free, and :meth:`write_images` until
    earlier pictures are written, so that a slow disk slows the work down instead of filling the memory. What fails on
    the thread is raised by the next call, or at the end; tasks that were given after it are dropped. An exception in
    the body does not stop the writing of what was given before.
    """

    def __init__(self, writer: ShardWriter | DelegateWriter, *, buffers: int) -> None:
        self._writer = writer
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._free: queue.SimpleQueue[Memory] = queue.SimpleQueue()
        for _ in range(buffers):
            self._free.put(np.empty(0, np.uint8))
        self._pictures = threading.Semaphore(PICTURE_BATCHES - 1)
        self._failure: BaseException | None = None
        self._room_checked = False
        self._thread = threading.Thread(target=self._work, name="outcrop-writer", daemon=True)

    def __enter__(self) -> "BackgroundWriter":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tasks.put(None)
        self._thread.join()
        if error is None:
            self._raise_failure()

    def open_shard(self, index: int, samples: Sequence[Sample]) -> OpenShard:
        """A shard to be filled, as soon as there is memory for it."""
        memory = self._free.get()
        self._raise_failure()
        return OpenShard(self._writer.dataset, index, samples, memory=memory)

    def commit(self, shard: OpenShard) -> None:
        """Have a filled shard written; it must not be touched any more."""
        self._raise_failure()
        self._tasks.put(_Task(lambda: self._commit(shard), lambda: self._free.put(shard.memory)))

    def write_images(self, samples: Sequence[Sample], pixels: NDArray[np.uint8]) -> None:
        """Have the pictures of ``samples`` written, (n, height, width, 3), before any shard that is given later."""
        self._pictures.acquire()
        self._raise_failure()
        self._tasks.put(_Task(lambda: self._write_images(samples, pixels), self._pictures.release))

    def _commit(self, shard: OpenShard) -> None:
        shard.finish()
        self._writer.commit_shard(shard)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        for task in iter(self._tasks.get, None):
            try:
                if self._failure is None:
                    task.run()
            except BaseException as error:  # noqa: BLE001  # it is raised in the thread that gave the task
                self._failure = error
            finally:
                task.free()

    def _write_images(self, samples: Sequence[Sample], pixels: NDArray[np.uint8]) -> None:
        files = {sample.image: encode_png(picture) for sample, picture in zip(samples, pixels, strict=True)}
        if not self._room_checked:
            self._writer.check_room(image_bytes=sum(map(len, files.values())) / len(files))
            self._room_checked = True
        self._writer.write_images(files)


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """A picture (height, width, 3) as the bytes of a PNG file, the same for the same pixels."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="png")
    return buffer.getvalue()

"""Ways to record a whole generation: ours, and those that people write themselves."""

from pathlib import Path

import h5py
import torch
from capture_setup import Pictures, Run, hooked

from outcrop.capture.job import Job
from outcrop.capture.plan import Plan
from outcrop.data.background import BackgroundWriter
from outcrop.data.schema import DatasetRecord
from outcrop.data.writer import open_writer


def outcrop(record: DatasetRecord) -> Run:
    """A capture into ``record`` but for what it begins with (loading, the dry pass, the trial runs): hooks, shards,
    pictures, journal, seal.
    """

    def run(job: Job, plan: Plan, out: Path) -> Pictures:
        pictures = []
        with open_writer(out, record) as writer:
            with BackgroundWriter(writer, buffers=2) as background, job.recorder() as recorder:
                for index in range(-(-len(plan.samples) // record.shard_samples)):
                    shard = background.open_shard(index, plan.shard(index, record.shard_samples))
                    for start in range(0, len(shard.samples), job.spec.batch):
                        batch = shard.samples[start : start + job.spec.batch]
                        images, values = job.record(recorder, batch)
                        for name, column in shard.columns.items():
                            column[:, start : start + len(batch)] = values[name]
                        background.write_images(batch, images)
                        pictures.append(images)
                    background.commit(shard)
            writer.seal(plan.samples)
        return pictures

    return run


def list_of_tensors(job: Job, plan: Plan, _out: Path) -> Pictures:
    kept: list[torch.Tensor] = []
    return hooked(job, plan, lambda _name, tensor: kept.append(tensor))


def torch_save(job: Job, plan: Plan, out: Path) -> Pictures:
    out.mkdir()
    numbers = iter(range(10**9))
    return hooked(job, plan, lambda name, tensor: torch.save(tensor, out / f"{name}-{next(numbers)}.pt"))


def h5py_gzip(job: Job, plan: Plan, out: Path) -> Pictures:
    with h5py.File(out.with_suffix(".h5"), "w") as file:

        def append(name: str, tensor: torch.Tensor) -> None:
            values = tensor.numpy()
            if name not in file:
                room = (None, *values.shape[1:])
                file.create_dataset(name, (0, *room[1:]), "<f2", maxshape=room, chunks=values.shape, compression="gzip")
            file[name].resize(len(file[name]) + len(values), axis=0)
            file[name][-len(values) :] = values

        return hooked(job, plan, append)

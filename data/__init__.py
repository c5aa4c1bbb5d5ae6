"""The data set: format, writer, reader."""

from outcrop.data.dataset import Dataset, open_dataset
from outcrop.data.errors import ConflictError, DataError, InputError, OutcropError, StorageError
from outcrop.data.samples import Sample, sample_id
from outcrop.data.schema import DatasetRecord, SiteRecord, StepRecord
from outcrop.data.writer import ShardWriter, open_writer

__all__ = [
    "ConflictError",
    "DataError",
    "Dataset",
    "DatasetRecord",
    "InputError",
    "OutcropError",
    "Sample",
    "ShardWriter",
    "SiteRecord",
    "StepRecord",
    "StorageError",
    "open_dataset",
    "open_writer",
    "sample_id",
]

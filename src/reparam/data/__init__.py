"""Readers for what people have on disk, the split, the order of batches, and safe writing."""

from reparam.data.arrays import from_array
from reparam.data.dataset import DEFAULT_LIKELIHOOD, KINDS, DataError, Dataset
from reparam.data.order import batch_indices, batches_per_epoch, epoch_order, locate, split
from reparam.data.readers import NAMES, load
from reparam.data.summary import inspect, summarize

__all__ = [
    "DEFAULT_LIKELIHOOD",
    "KINDS",
    "NAMES",
    "DataError",
    "Dataset",
    "batch_indices",
    "batches_per_epoch",
    "epoch_order",
    "from_array",
    "inspect",
    "load",
    "locate",
    "split",
    "summarize",
]

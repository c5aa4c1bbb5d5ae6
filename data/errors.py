"""The error tree.

OutcropError
├── InputError      the request is at fault: a configuration, a pattern, an argument
├── DataError       the data set is at fault: missing, damaged, of another format
├── ConflictError   the output folder holds another configuration's data, or another writer has it
├── StorageError    the disk is at fault: full, read-only, failing
└── ClusterError    the cluster is at fault: no scheduler, no worker, other versions, workers lost

Every message says what was expected, what came, where, and what to do next.
"""


class OutcropError(Exception):
    """Base of every error that Outcrop raises on purpose."""


class InputError(OutcropError, ValueError):
    """The request is at fault."""


class DataError(OutcropError):
    """The data set is at fault."""


class ConflictError(OutcropError):
    """The output folder belongs to another configuration or to another running writer."""


class StorageError(OutcropError, OSError):
    """Writing failed: the disk is full, read-only or failing."""


class ClusterError(OutcropError):
    """The cluster that should do the work cannot be reached, does not fit, or was lost."""

"""A file that describes workers as jobs of a batch system, by dask-jobqueue."""

import shutil
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from outcrop.data.errors import ClusterError, InputError

if TYPE_CHECKING:
    from dask_jobqueue.core import JobQueueCluster

System = Literal["slurm", "pbs", "sge", "lsf", "oar", "moab", "htcondor", "local"]
CLASSES = {"htcondor": "HTCondorCluster", "local": "LocalCluster", "moab": "MoabCluster"}
"""Where they are not named like SLURMCluster."""
OF_THE_SCHEDULER = ("host", "scheduler_options", "security", "shared_temp_directory", "silence_logs")
"""Keys that are no job's."""


class JobCluster(BaseModel):
    """``system``: slurm, pbs, ... (``local`` starts the job scripts on this machine, to try a file out); ``workers``:
    how many are kept running; ``job``: keys of dask-jobqueue's class for the system.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    system: System
    workers: int = Field(default=1, ge=1)
    job: dict[str, Any] = Field(default_factory=dict)

    def start(self) -> "JobQueueCluster":
        """The cluster, without workers yet. Raises :class:`ClusterError` for what the batch system does not take."""
        make = self._cluster_class()
        job = {key: value for key, value in self.settings.items() if key not in OF_THE_SCHEDULER}
        try:
            make.job_cls(scheduler="tcp://nowhere:0", name="trial", **job)  # a cluster that fails half made is noisy
            cluster: JobQueueCluster = make(**self.settings)
        except (TypeError, ValueError, OSError) as error:
            raise ClusterError(f"The jobs of {self.system} cannot be described as the file says: {error}.") from error
        return cluster

    def check_installed(self) -> None:
        """Raises :class:`ClusterError` without the program that submits jobs: they would be waited for without end."""
        submit = self._cluster_class().job_cls.submit_command
        if submit and shutil.which(submit) is None:
            raise ClusterError(
                f"Jobs of {self.system} are submitted by {submit}, which this machine does not have. Give the command "
                "on a machine of the cluster, or --scheduler local to use the cores of this one."
            )

    def _cluster_class(self) -> Any:
        module = import_module(f"dask_jobqueue.{self.system}")
        return getattr(module, CLASSES.get(self.system, f"{self.system.upper()}Cluster"))

    @property
    def settings(self) -> dict[str, Any]:
        """What dask-jobqueue is given: one worker a job, with one task at a time, unless the file says otherwise."""
        given = {"processes": 1} | self.job
        extra = [*given.pop("worker_extra_args", []), "--nthreads", "1"]
        scheduler = {"dashboard_address": ":0"} | given.pop("scheduler_options", {})
        return given | {"worker_extra_args": extra, "scheduler_options": scheduler}


def read_jobs(path: Path) -> JobCluster:
    """The jobs that a YAML file describes: ``system``, ``workers``, and the keys of dask-jobqueue beside them, such as
    ``cores``, ``memory``, ``walltime``, ``queue``, ``account``, ``job_extra_directives`` and ``job_script_prologue``.

    Raises :class:`InputError` if it is missing or says something else.
    """
    try:
        fields = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(
            f"{path}, which should describe jobs of a batch system, is not readable YAML: {error}"
        ) from error
    if not isinstance(fields, dict):
        raise InputError(f"{path} must hold a mapping such as 'system: slurm'. Got {type(fields).__name__}.")
    try:
        own = {key: fields[key] for key in ("system", "workers") if key in fields}
        return JobCluster.model_validate(own | {"job": {key: fields[key] for key in fields if key not in own}})
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        raise InputError(f"{path}: {place}: {problem['msg']}. Got {problem['input']!r}.") from error

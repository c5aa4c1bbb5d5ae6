"""One command on many processes: of this machine, of a Dask cluster that runs already, or of a batch system.

:func:`outcrop.cluster.schedulers.open_cluster` gives the workers, :func:`outcrop.cluster.captures.capture_on`,
:func:`outcrop.cluster.sweeps.probe_on` and :func:`outcrop.cluster.studies.attribute_on` work with them::

    if __name__ == "__main__":  # the processes read the script again
        with open_cluster("local", workers=2) as cluster:
            ds = capture_on(cluster, spec, "runs/demo")
"""

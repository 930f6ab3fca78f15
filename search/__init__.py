"""The application: searches with Ray, Optuna and MLflow around the core `hierclf`.

    result = search.run("demo", trials=2, gpus=0)
    model = hierclf.load(result.model)

Importing it sets environment variables that Ray and MLflow read when they are imported, since any
module of this package may be the first to import them. Variables that are set already are kept.
"""

import os
from typing import TYPE_CHECKING

__all__ = ["RunResult", "dry_run", "resume", "run"]

_ENVIRONMENT = {
    # What a cluster started by `ray start` asks for, and what keeps others out of a local one; set
    # later than at the import it would come too late. An open cluster: RAY_AUTH_MODE=disabled.
    "RAY_AUTH_MODE": "token",
    # Not only there: off, a Ray that is started here has 127.0.0.1 for its address, and none of its
    # ports can be reached from the network. To join a cluster needs no more than its address.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.1",  # a report a poll: 2 s would throttle short epochs
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    # A trial whose node is lost waits for its turn on those that are left, and does not fail.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "86400",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # A Ray Train trial starts several processes that only wait: more than one per core at a time.
    "RAY_worker_maximum_startup_concurrency": str(max(12, os.cpu_count() or 1)),
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Tune would end its search and let the job go on
    "TUNE_GLOBAL_CHECKPOINT_S": "1",  # a killed search loses at most a second of its book-keeping
    "THP_MEM_ALLOC_ENABLE": "1",  # torch: huge pages for large CPU tensors, far fewer page faults
    # MLflow's own seven retries would delay a search by four minutes per call to a server that is
    # unreachable.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
for _name, _value in _ENVIRONMENT.items():
    os.environ.setdefault(_name, _value)

if TYPE_CHECKING:
    from search.pipeline.api import RunResult, dry_run, resume, run
else:
    # Ray's workers import this package, too, and need none of these.
    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from search.pipeline import api

        return getattr(api, name)

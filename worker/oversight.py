"""The planner and the reconciler, put together from the settings."""

from datetime import timedelta

from api_adapter.rate_limit.policy import parse_rate_limit
from worker.configuration.remotes import Remote
from worker.loops.dispatcher import slowest_rate
from worker.loops.planner import Planner
from worker.loops.reconciler import Reconciler
from worker.runtime import Runtime, WorkerRuntime, process_name


def planner_of(runtime: Runtime) -> Planner:
    settings = runtime.settings
    return Planner(runtime.database, settings.policy, settings.roster, settings.guard, settings.remote_for)


def reconciler_of(sending: WorkerRuntime) -> Reconciler:
    settings = sending.runtime.settings

    def gap_of(remote: Remote) -> timedelta:
        rate = slowest_rate(parse_rate_limit(remote.rate_limit))
        return timedelta(seconds=1 / (settings.reconcile.share * rate))

    return Reconciler(
        sending.runtime.database, settings.reconcile, settings.remote_for, sending.read, gap_of, process_name()
    )

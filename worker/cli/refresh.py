"""``--refresh``: the targets of a file are read at their remotes, under the fleet's limit, and known from then on."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime
from itertools import islice

from schemas.lanes import Lane
from worker.cli.apply import progress_of
from worker.cli.output import ExitCode, Output
from worker.configuration.remotes import Remote
from worker.runtime import Runtime, WorkerRuntime, process_name
from worker.store import pauses, quarantine
from worker.store.engine import database_now
from worker.store.records import Worker
from worker.store.survey_records import record_survey
from worker.surveyor import PATIENCE, Survey, SurveyFailed
from worker.telling.words import pause_words, quarantine_words

_AT_ONCE = 500


def refresh(names: Mapping[Remote, Sequence[str]], runtime: Runtime, output: Output) -> set[str]:
    """Returns those that the remotes do not have. A remote that cannot be read ends the command."""
    for remote in names:
        _require_reachable(remote, runtime, output)
    runtime.redis.ping()  # without the limiter nobody sends: say so at once
    missing: set[str] = set()
    with closing(WorkerRuntime(runtime)) as sending:
        for remote, its in names.items():
            missing |= _survey(remote, its, sending, output)
    return missing


def _require_reachable(remote: Remote, runtime: Runtime, output: Output) -> None:
    with runtime.database.read() as session:
        aside = quarantine.find(session, remote.name)
        pause = pauses.longest(session, remote.name, Lane.BULK)
        now = database_now(session)
    if aside:
        output.fail(f"--refresh: {quarantine_words(remote.name, aside)}", ExitCode.SOME_FAILED)
    if pause and pause.until - now > PATIENCE:
        told = pause_words(remote.name, pause.lane, pause.until, pause.until - now)
        output.fail(f"--refresh: {told}", ExitCode.SOME_FAILED)


def _survey(remote: Remote, names: Sequence[str], sending: WorkerRuntime, output: Output) -> set[str]:
    survey, runtime = Survey(), sending.runtime
    with runtime.database.read() as session:
        since = database_now(session)
    try:
        with progress_of(f"reading at {remote.name}", output) as progress:
            task = progress.add_task("reading", total=len(names))
            sending.survey(remote.name, names, survey, lambda seen: progress.update(task, completed=seen))
    except SurveyFailed as failure:
        output.fail(f"--refresh: {remote.name} cannot be read: {failure}", ExitCode.SOME_FAILED)
    finally:
        _keep(survey, remote, runtime, since)
    return survey.missing


def _keep(survey: Survey, remote: Remote, runtime: Runtime, since: datetime) -> None:
    """In parts: nobody waits long for the database because of it."""
    worker = Worker(remote.name, process_name())
    found, tried = iter(survey.found.items()), iter(survey.tried)
    while True:
        some, requests = dict(islice(found, _AT_ONCE)), list(islice(tried, _AT_ONCE))
        if not (some or requests):
            return
        with runtime.database.write() as session:
            record_survey(session, some, requests, worker, since)

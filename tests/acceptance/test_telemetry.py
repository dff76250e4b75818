"""A worker, loops and a deliverer tell what they have counted, and how they are, whatever is done to them."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from schemas.lanes import Lane
from tests.acceptance.collector import Collector, Seen, collecting
from tests.acceptance.installation import Config, Installation, installed, wait_until
from tests.acceptance.nodes import ProcessContainer
from tests.acceptance.receivers import HEALTHY, receivers
from tests.acceptance.wishes import wish
from tests.services.valkey import ValkeyServer
from worker.app import queue_name
from worker.telemetry.catalogue import EVERY, FLEET
from worker.telemetry.health import WITHIN, Question, judge, pulses_of

TARGETS = 40
SHORT = 2.0
ALLOWED = '[webhooks]\nallow_http = true\nallow = ["127.0.0.1"]\n'
PRODUCER = """
import json, sys
from worker.producer import enqueue_target_updates
receipt = enqueue_target_updates(json.load(sys.stdin))
assert receipt.accepted == 1, receipt
"""
ROLES = ("worker", "loops", "deliverer", "gateway")
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@dataclass
class Watched:
    installation: Installation
    valkey: ValkeyServer
    collector: Collector
    worker: ProcessContainer
    loops: ProcessContainer
    deliverer: ProcessContainer
    gateway: ProcessContainer

    def reasons(self, role: str, question: Question, within: float = WITHIN) -> tuple[str, ...]:
        pulses = pulses_of(self.installation.folder, role, socket.gethostname())
        return judge(pulses, question, time.monotonic(), within).reasons

    def is_well(self, role: str, question: Question, within: float = WITHIN) -> bool:
        return not self.reasons(role, question, within)


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    with tempfile.TemporaryDirectory(prefix="coachsync-watched-") as name:
        folder = Path(name)
        valkey = ValkeyServer(folder)
        (folder / "coachsync.toml").write_text(ALLOWED)
        try:
            config = Config(f"sqlite:///{folder / 'coachsync.db'}", targets=TARGETS)
            with installed(config, folder, valkey) as installation, collecting() as collector:
                metrics, env = ["--metrics-port", "0"], installation.env | collector.env
                worker = ["worker", "--concurrency", "2", *metrics]
                started = [
                    installation._start("worker", worker, env, lambda log: " ready." in log),
                    installation._start("loops", ["loops", *metrics], env, _shows_metrics),
                    installation._start("deliverer", ["webhooks", "deliver", *metrics], env, _shows_metrics),
                ]
                started.append(installation._start("gateway", ["gateway", "--port", "0", *metrics], env, _listens))
                for process in started:
                    process.ready()
                yield Watched(installation, valkey, collector, *started)
        finally:
            valkey.stop()


def _shows_metrics(log: str) -> bool:
    return "Metrics are at http" in log


def _listens(log: str) -> bool:
    return "listens at http" in log


def scraped(process: ProcessContainer) -> Samples:
    found = re.search(r"Metrics are at (http://127\.0\.0\.1:\d+/metrics)", process.logs())
    assert found
    return samples_of(httpx.get(found[1]).text)


def samples_of(text: str) -> Samples:
    families = text_string_to_metric_families(text)
    return {(sample.name, frozenset(sample.labels.items())): sample.value for one in families for sample in one.samples}


def total(samples: Samples, name: str, **labels: str) -> float:
    return sum(
        value for (found, has), value in samples.items() if found == name and labels.items() <= dict(has).items()
    )


def test_all_children_of_a_worker_count_into_one_series_and_the_sums_are_the_remotes(watched: Watched) -> None:
    watched.installation.await_end(watched.installation.accept(wish(target, 11.25) for target in range(TARGETS)))

    def is_counted() -> bool:
        samples = scraped(watched.worker)
        done = total(samples, "coachsync_jobs_total", outcome="succeeded") == TARGETS
        return done and total(samples, "coachsync_chunks_running") == 0

    wait_until(is_counted, "all are counted, and every chunk has ended", seconds=90)
    samples = scraped(watched.worker)
    assert {dict(labels)["process"] for _, labels in samples} == {"worker-0"}
    assert total(samples, "coachsync_request_seconds_count") == total(samples, "coachsync_requests_total")
    assert total(samples, "coachsync_permits_total", outcome="granted") >= TARGETS
    assert total(samples, "coachsync_jobs_claimed_total", lane="bulk") == total(samples, "coachsync_jobs_total")
    assert total(samples, "coachsync_chunk_seconds_count") >= 1
    wait_until(lambda: _requests(watched) == len(watched.installation.remote.arrivals()), "all are counted", seconds=90)


def test_the_fleet_is_shown_by_the_loops_and_each_name_is_in_the_catalogue(watched: Watched) -> None:

    def is_shown() -> bool:
        samples = scraped(watched.loops)
        at_work = samples["coachsync_processes", frozenset({("role", "worker")})] == 1
        return at_work and total(samples, "coachsync_batches_open") == 0

    wait_until(is_shown, "the worker is shown, and that all has ended", seconds=90)
    samples = scraped(watched.loops)
    assert total(samples, "coachsync_source_up") == 2
    assert total(samples, "coachsync_processes", role="loops") == 1
    assert total(scraped(watched.gateway), "coachsync_processes", role="loops") == 1, "so does a gateway"
    assert total(samples, "coachsync_requests_in_flight_limit", remote="default") == 32
    assert total(samples, "coachsync_loop_passes_total", loop="dispatcher") > 0
    names = {name for one in EVERY for name in one.samples}
    shown = {name for name, _ in samples} | {name for name, _ in scraped(watched.worker)}
    assert shown <= names
    assert {one.name for one in FLEET if not one.labels} <= shown


def test_the_gateway_shows_every_process_with_its_home(watched: Watched) -> None:
    url = re.search(r"listens at (http://\S+)", watched.gateway.logs())
    assert url
    httpx.get(f"{url[1]}/livez")
    samples = samples_of(httpx.get(f"{url[1]}/metrics").text)
    named = {dict(labels)["process"] for _, labels in samples if "process" in dict(labels)}
    assert named == {"worker-0", "loops-0", "gateway-0"}  # the deliverer has had nothing to count
    assert total(samples, "coachsync_gateway_requests_total", route="/livez", status="200") == 1
    assert total(samples, "coachsync_source_up") == 2


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("question", list(Question))
def test_what_runs_is_live_started_and_ready(watched: Watched, role: str, question: Question) -> None:
    wait_until(lambda: watched.is_well(role, question), f"{role}: {question}", seconds=90)


def test_the_command_says_it_to_a_probe(watched: Watched) -> None:
    wait_until(lambda: watched.is_well("loops", Question.READY), "the loops are ready", seconds=90)
    asked = [sys.executable, "-m", "worker.cli", "health", "loops", "--ready", "--json"]
    done = subprocess.run(asked, env=watched.installation.env, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert (told["well"], told["processes"][0]["pid"]) == (True, watched.loops.pid)
    assert told["processes"][0]["parts"]["dispatcher"]["silentSeconds"] < 60


def test_a_probe_loads_neither_database_nor_broker_nor_http() -> None:
    loaded = "import sys, worker.cli.health as _, worker.cli.entry as _; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, timeout=60, check=True)
    assert not {"pydantic", "sqlalchemy", "celery", "kombu", "redis", "httpx", "aiohttp", "prometheus_client"} & set(
        done.stdout.split()
    )


def test_a_role_that_nobody_has_is_not_live(tmp_path: Path) -> None:
    assert not judge(pulses_of(tmp_path, "worker", socket.gethostname()), Question.LIVE, time.monotonic()).well


@pytest.mark.parametrize("role", ROLES)
def test_a_process_that_stands_still_is_not_live_until_it_goes_on(watched: Watched, role: str) -> None:
    process: ProcessContainer = getattr(watched, role)
    with _stopped(process):
        wait_until(lambda: not watched.is_well(role, Question.LIVE, SHORT), "it is not live", seconds=90)
    wait_until(lambda: watched.is_well(role, Question.LIVE, SHORT), "it is live again", seconds=90)


def test_a_worker_that_is_connected_and_takes_nothing_although_messages_wait_is_not_live(watched: Watched) -> None:
    installation = watched.installation
    control = installation.runtime.app.control
    queues = [queue_name(lane) for lane in Lane]
    for queue in queues:
        control.cancel_consumer(queue)
    try:
        batch = installation.accept([wish(3, 44.75)])
        wait_until(lambda: not watched.is_well("worker", Question.LIVE, SHORT), "it is not live", seconds=90)
        assert watched.reasons("worker", Question.LIVE, SHORT)[0].startswith("worker-0: the consumer has not passed")
        assert watched.is_well("loops", Question.LIVE)
    finally:
        for queue in queues:
            control.add_consumer(queue)
    wait_until(lambda: watched.is_well("worker", Question.LIVE, SHORT), "it is live again", seconds=90)
    installation.await_end(batch)


def test_one_trace_goes_from_the_producer_to_the_webhook(watched: Watched) -> None:
    installation = watched.installation
    with receivers() as those:
        created = ["webhooks", "endpoints", "create", f"{those.url}/{HEALTHY}", "--type", "target.updated", "--json"]
        assert installation.coachsync(*created)[0] == 0
        update = json.dumps([wish(1, 77.5).model_dump(mode="json", by_alias=True, exclude_none=True)])
        env = installation.env | watched.collector.env
        program = [sys.executable, "-c", PRODUCER]
        done = subprocess.run(program, input=update, env=env, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        wait_until(lambda: bool(those.got), "the world is told", seconds=90)
        _, trace, parent, _ = those.got[0].headers["traceparent"].split("-")
        wanted = {"accept", "job", "request", "webhook"}
        wait_until(lambda: _names(watched, trace) >= wanted, "all is traced", seconds=90)
    spans = {span.name: span for span in watched.collector.of(trace)}
    assert spans.keys() == wanted
    assert {name: span.service for name, span in spans.items()} == {
        "accept": "coachsync-producer",
        "job": "coachsync-worker",
        "request": "coachsync-worker",
        "webhook": "coachsync-deliverer",
    }
    assert (spans["accept"].parent, spans["job"].parent) == ("", spans["accept"].id)
    assert (spans["request"].parent, spans["webhook"].parent) == (spans["job"].id, spans["accept"].id)
    assert spans["webhook"].id == parent
    assert spans["request"].facts["coachsync.operation"] == "update_target"


def test_a_read_of_the_loops_is_a_trace_of_its_own(watched: Watched) -> None:
    def reads() -> list[Seen]:
        return [one for one in watched.collector.spans if one.service == "coachsync-loops"]

    wait_until(reads, "the reconciler has read", seconds=30)
    assert {(one.name, one.parent) for one in reads()} == {("request", "")}


def test_a_trace_that_a_producer_brings_to_the_gateway_goes_on(watched: Watched) -> None:
    code, created = watched.installation.coachsync("tokens", "create", "tests", "--scope", "targets:write", "--json")
    assert code == 0, created
    url = re.search(r"listens at (http://\S+)", watched.gateway.logs())
    assert url
    trace = "c" * 32
    headers = {"Authorization": f"Bearer {json.loads(created)['secret']}", "traceparent": f"00-{trace}-{'d' * 16}-01"}
    update = wish(2, 66.25).model_dump(mode="json", by_alias=True, exclude_none=True)
    answer = httpx.post(f"{url[1]}/v1/target-updates", json=update, headers=headers)
    assert answer.is_success, answer.text
    wait_until(lambda: {"job", "request"} <= _names(watched, trace), "the job is traced", seconds=90)
    wait_until(lambda: _root(watched, trace) == ("coachsync-gateway", "d" * 16), "by the request's span", seconds=90)


def _root(watched: Watched, trace: str) -> tuple[str, str]:
    """Whose span stands above the job and all that is above it, and what it goes on from."""
    by_id = {span.id: span for span in watched.collector.of(trace)}
    one = next(span for span in by_id.values() if span.name == "job")
    while one.parent in by_id:
        one = by_id[one.parent]
    return one.service, one.parent


def _names(watched: Watched, trace: str) -> set[str]:
    return {span.name for span in watched.collector.of(trace)}


def test_while_the_broker_is_away_they_are_live_and_not_ready(watched: Watched) -> None:
    watched.valkey.kill()
    try:
        for role in ("worker", "loops"):
            wait_until(partial(watched.reasons, role, Question.READY), f"{role} is not ready", seconds=90)
            assert watched.is_well(role, Question.LIVE)
            assert "the broker is away" in watched.reasons(role, Question.READY)[0]
        assert watched.is_well("deliverer", Question.READY)
        assert total(scraped(watched.loops), "coachsync_source_up", source="database") == 1
    finally:
        watched.valkey.restart()
    for role in ("worker", "loops"):
        wait_until(partial(watched.is_well, role, Question.READY), f"{role} is ready again", seconds=90)


def _requests(watched: Watched) -> float:
    """The loops send too: they reconcile."""
    return sum(total(scraped(one), "coachsync_requests_total") for one in (watched.worker, watched.loops))


@contextmanager
def _stopped(process: ProcessContainer) -> Iterator[None]:
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)

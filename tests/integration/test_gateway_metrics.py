"""Who may read the gateway's metrics, and what they show: each process of the home, and the fleet."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import prometheus_client
import pytest
from prometheus_client.parser import text_string_to_metric_families

from schemas.lanes import Lane
from tests.integration.gateway_rig import Gateway, gateway_on, problem
from tests.integration.store_rig import offer, wish
from worker.core.access import Scope
from worker.store.engine import Database

COUNT = """
import sys, time
from pathlib import Path
from worker.telemetry.attendance import attend, forget_dead
slot = attend(Path(sys.argv[1]), "worker", {}, time.monotonic).slot
from worker.telemetry import instruments
import os
instruments.expect(["default"])
for number in range(2):
    if os.fork() == 0:
        instruments.jobs_claimed("default", "bulk", 5)
        with instruments.chunk_running("default", "bulk"):
            os._exit(0)
    os.wait()
left = list(slot.folder.glob("gauge_live*.db"))
forget_dead(slot.folder)
size = sum(file.stat().st_size for file in slot.folder.glob("*.db") if str(os.getpid()) not in file.name)
print(len(left), len(list(slot.folder.glob("gauge_live*.db"))), size < 20_000, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def gateway(sqlite_store: Database, tmp_path: Path) -> Iterator[Gateway]:
    with gateway_on(sqlite_store, tmp_path) as one:
        yield one


def values(gateway: Gateway, **headers: str) -> dict[str, float]:
    """By name and labels, as they are written."""
    text = gateway.without_token(**headers).get("/metrics").text
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_who_asks_through_a_proxy_on_this_machine_is_not_taken_for_local(gateway: Gateway) -> None:
    from_afar = {"X-Forwarded-For": "203.0.113.9"}
    problem(gateway.without_token(**from_afar).get("/metrics"), 401, "unauthorized")
    problem(gateway.client(Scope.READ, **from_afar).get("/metrics"), 403, "insufficient-scope")
    assert gateway.client(Scope.METRICS_READ, **from_afar).get("/metrics").status_code == 200
    assert gateway.without_token().get("/metrics").status_code == 200
    for said in ({"X-Forwarded-Proto": "https"}, {"Host": "ops.example"}):  # all that the console needs of a proxy
        problem(gateway.without_token(**said).get("/metrics"), 401, "unauthorized")


def test_the_fleet_is_shown_while_the_broker_is_away(gateway: Gateway) -> None:
    offer(gateway.store, wish(1), wish(2), lane=Lane.INTERACTIVE)
    offer(gateway.store, wish(3))
    shown = values(gateway)
    assert shown["coachsync_jobs_due[('lane', 'interactive'), ('remote', 'default')]"] == 2
    assert shown["coachsync_jobs_due[('lane', 'bulk'), ('remote', 'default')]"] == 1
    assert shown["coachsync_batches_open[]"] == 2
    assert shown["coachsync_source_up[('source', 'database')]"] == 1
    assert shown["coachsync_source_up[('source', 'broker')]"] == 0


def test_several_scrapers_cost_no_more_reads_than_one_within_a_few_seconds(gateway: Gateway) -> None:
    before = values(gateway)["coachsync_batches_open[]"]
    offer(gateway.store, wish(1))
    assert values(gateway)["coachsync_batches_open[]"] == before == 0


def test_a_process_is_shown_while_it_lives_its_children_summed_and_a_dead_childs_work_not_under_way(
    gateway: Gateway,
) -> None:
    home = str(gateway.services.settings.home)
    command = [sys.executable, "-c", COUNT, home]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "3 1 True\n"  # its own stays
        shown = values(gateway)
        labels = "[('lane', 'bulk'), ('process', 'worker-0'), ('remote', 'default')]"
        assert shown[f"coachsync_jobs_claimed_total{labels}"] == 10
        assert shown[f"coachsync_chunks_broken_total{labels}"] == 0, "its first is an increase"
        assert shown["coachsync_jobs_total[('outcome', 'late'), ('process', 'worker-0'), ('remote', 'default')]"] == 0
        assert shown.get("coachsync_chunks_running[('process', 'worker-0')]", 0) == 0
        process.kill()
    assert not [name for name in values(gateway) if "worker-0" in name]


WITHOUT_ROOM = """
import resource, sys, time
from pathlib import Path
resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))
from worker.telemetry.attendance import attend
attendance = attend(Path(sys.argv[1]), "worker", {"consumer": 0.0}, time.monotonic)
from worker.telemetry import instruments
instruments.jobs_claimed("default", "bulk", 5)
attendance.pulse.passed("consumer")
import prometheus_client
labels = {"remote": "default", "lane": "bulk"}
print(prometheus_client.REGISTRY.get_sample_value("coachsync_jobs_claimed_total", labels))
print(*sorted(one.name for one in attendance.slot.folder.iterdir()))
"""


def test_a_process_that_finds_no_room_for_its_metrics_goes_on_without(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_ROOM, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["5.0", "lock pulse"]


def test_requests_are_counted_by_route_and_not_by_path(gateway: Gateway) -> None:
    client = gateway.without_token()
    for path in ("/livez", "/nothing/1", "/nothing/2", "/livez?x=1"):
        client.get(path)
    shown = counted_here()
    assert shown["/livez", "200"] >= 2
    assert shown["none", "404"] >= 2
    assert not [route for route, _ in shown if route.startswith("/nothing")]


def counted_here() -> dict[tuple[str, str], float]:
    """The test's own process has no slot: it counts in its memory."""
    return {
        (sample.labels["route"], sample.labels["status"]): sample.value
        for family in prometheus_client.REGISTRY.collect()
        for sample in family.samples
        if sample.name == "coachsync_gateway_requests_total"
    }

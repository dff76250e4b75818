"""What producers post: one wish, an array, or a file's worth; what is answered is committed, what is wrong is named."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import select

from schemas.jobs import JobState
from schemas.lanes import Lane
from tests.integration.cli_rig import command_on
from tests.integration.gateway_rig import Gateway, gateway_on, hear_no_more_of_keys, make_token, problem
from tests.integration.guard_rig import know
from tests.integration.store_rig import TEMPLATE, USECASE, assert_adds_up, batch, name_of
from tests.services.processes import wait_until
from tests.services.stores import on_both, on_sqlite
from worker.core.access import Scope
from worker.store.engine import Database
from worker.store.kept_answers import AT_WORK
from worker.store.models import Job
from worker.store.tables import api_tokens, batches, kept_answers

pytestmark = on_sqlite

TARGETS, QUOTAS = "/v1/target-updates", "/v1/quota-recalculations"
CSV = {"Content-Type": "text/csv"}
JSON = {"Content-Type": "application/json"}
JSONL = {"Content-Type": "application/jsonl"}
MEDIA_TYPES = ("application/jsonl", "application/x-ndjson")


@pytest.fixture
def gateway(store: Database, gateways: Callable[[Database], Gateway]) -> Gateway:
    return gateways(store)


@pytest.fixture
def producer(gateway: Gateway) -> httpx.Client:
    return gateway.client(Scope.TARGETS_WRITE, Scope.QUOTAS_WRITE)


def jobs_of(store: Database) -> list[Job]:
    with store.read() as session:
        return sorted(session.execute(select(Job)).scalars(), key=lambda job: job.id)


def one(target: object, value: object = 50, **said: object) -> dict[str, Any]:
    fields = {"name": name_of(target), "scorecardTemplateName": TEMPLATE, "usecaseName": USECASE, "target": value}
    return fields | said


def csv_of(count: int, *wrong: str, value: float = 50) -> bytes:
    rows = [f"{name_of(number)},{TEMPLATE},{USECASE},{value}" for number in range(count)]
    return "\n".join(["name,scorecardTemplateName,usecaseName,target", *rows, *wrong, ""]).encode()


@on_both
def test_one_object_becomes_one_job_and_the_answer_says_where_it_is(store: Database, producer: httpx.Client) -> None:
    said = producer.post(TARGETS, json=one(1), params={"lane": "interactive", "label": "jane"})
    assert said.status_code == 202
    receipt = said.json()
    (job,) = jobs_of(store)
    assert said.headers["location"] == f"/v1/jobs/{receipt['job']}"
    assert (job.resource, job.lane, job.state) == (name_of(1), Lane.INTERACTIVE, JobState.PENDING)
    assert (receipt["accepted"], receipt["rejected"], receipt["fates"]["queued"]) == (1, 0, 1)
    assert batch(store, receipt["batch"]).label == "jane"
    assert batch(store, receipt["batch"]).source == "gateway:tests"
    assert_adds_up(store)


def test_snake_case_and_a_byte_order_mark_are_read_as_in_a_file(store: Database, producer: httpx.Client) -> None:
    row = {"name": name_of(1), "scorecard_template_name": TEMPLATE, "usecase_name": USECASE, "target": "50"}
    body = b"\xef\xbb\xbf" + json.dumps(row).encode()
    assert producer.post(TARGETS, content=body, headers={"Content-Type": "application/json"}).status_code == 202
    assert len(jobs_of(store)) == 1


@on_both
def test_many_at_once_are_taken_together_and_each_gets_its_own_answer(store: Database, gateway: Gateway) -> None:
    clients = [gateway.client(Scope.TARGETS_WRITE) for _ in range(8)]

    def post(number: int) -> httpx.Response:
        bad = number % 10 == 3
        return clients[number % 8].post(TARGETS, json=one(number, 101 if bad else 50))

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(post, range(80)))
    refused = [number for number, said in enumerate(answers) if said.status_code == 422]
    assert refused == list(range(3, 80, 10))
    resources = {f"{job.id >> 24}-{job.id & 0xFFFFFF}": job.resource for job in jobs_of(store)}
    assert {number: resources[said.json()["job"]] for number, said in enumerate(answers) if number not in refused} == {
        number: name_of(number) for number in range(80) if number not in refused
    }
    assert_adds_up(store)


def test_one_that_is_refused_at_the_door_costs_its_neighbours_nothing(store: Database, gateway: Gateway) -> None:
    """They share a batch: what only the store can refuse is one row of it."""
    clients = [gateway.client(Scope.TARGETS_WRITE) for _ in range(6)]

    def post(number: int) -> httpx.Response:
        said = {"asOf": "2999-01-01T00:00:00Z"} if number == 2 else {}
        return clients[number].post(TARGETS, json=one(number, **said))

    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(post, range(6)))
    assert [said.status_code for said in answers] == [202, 202, 422, 202, 202, 202]
    said = problem(answers[2], 422, "invalid-update")
    (error,) = said["errors"]
    assert (error["pointer"], error["field"]) == ("/asOf", "asOf")
    assert error["reason"].startswith("lies in the future")
    assert_adds_up(store)


def test_each_bad_field_of_one_object_has_its_pointer_and_nothing_is_written(
    store: Database, producer: httpx.Client
) -> None:
    said = problem(producer.post(TARGETS, json=one(1, 101, qaScore="x", **{"a/b": 1})), 422, "invalid-update")
    assert {error["pointer"] for error in said["errors"]} == {"/a~1b"}
    said = problem(producer.post(TARGETS, json=one(1, 101, qaScore="x")), 422, "invalid-update")
    assert {error["pointer"] for error in said["errors"]} == {"/target", "/qaScore"}
    assert not jobs_of(store)


@pytest.mark.parametrize(
    ("body", "prefix"), [([one(1), one(2, 101)], ""), ({"updates": [one(1), one(2, 101)]}, "/updates")]
)
def test_of_an_array_the_good_rows_are_taken_and_the_others_named(
    body: Any, prefix: str, store: Database, producer: httpx.Client
) -> None:
    said = producer.post(TARGETS, json=body, params={"label": "nightly"})
    receipt = said.json()
    assert (said.status_code, said.headers["location"]) == (202, f"/v1/batches/{receipt['batch']}")
    assert (receipt["rows"], receipt["accepted"], receipt["rejected"]) == (2, 1, 1)
    (rejected,) = receipt["rejections"]
    assert rejected["row"] == 2
    assert rejected["errors"][0]["pointer"] == f"{prefix}/1/target"
    assert [job.resource for job in jobs_of(store)] == [name_of(1)]


@on_both
def test_a_csv_is_taken_page_by_page_and_its_bad_rows_have_lines(store: Database, producer: httpx.Client) -> None:
    body = csv_of(1500, f"{name_of(1)},{TEMPLATE},{USECASE},eighty")
    receipt = producer.post(TARGETS, content=body, headers=CSV).json()
    assert (receipt["rows"], receipt["accepted"], receipt["rejected"]) == (1501, 1500, 1)
    assert receipt["rejections"] == [
        {
            "row": 1501,
            "line": 1502,
            "errors": [{"field": "target", "reason": "'eighty' is no number; write it like 82.5", "value": "eighty"}],
        }
    ]
    assert len(jobs_of(store)) == 1500
    assert_adds_up(store)


@pytest.mark.parametrize("kind", MEDIA_TYPES)
def test_json_lines_are_taken_as_a_file_of_them_is(kind: str, store: Database, producer: httpx.Client) -> None:
    body = "\n".join(json.dumps(one(number)) for number in range(3)).encode()
    assert producer.post(TARGETS, content=body, headers={"Content-Type": kind}).json()["accepted"] == 3
    assert len(jobs_of(store)) == 3


def test_of_very_many_bad_rows_the_first_hundred_are_told(producer: httpx.Client) -> None:
    receipt = producer.post(TARGETS, json=[one(number, 101) for number in range(150)]).json()
    assert receipt["rejected"] == 150
    assert [row["row"] for row in receipt["rejections"]] == list(range(1, 101))


def test_strict_refuses_all_for_one_bad_row(store: Database, producer: httpx.Client) -> None:
    answer = producer.post(TARGETS, json=[one(1), one(2, 101)], params={"strict": "true"})
    said = problem(answer, 422, "rows-rejected")
    assert said["rejected"] == 1
    assert said["rejections"][0]["errors"][0]["pointer"] == "/1/target"
    assert not jobs_of(store)


def test_quotas_are_asked_for_in_the_same_ways(store: Database, producer: httpx.Client) -> None:
    asked = {"scorecardTemplateName": f"{TEMPLATE}@1", "usecaseName": USECASE}
    assert producer.post(QUOTAS, json=asked).status_code == 202
    assert producer.post(QUOTAS, json={"recalculations": [asked | {"period": "next"}]}).status_code == 202
    assert len(jobs_of(store)) == 2


@pytest.mark.parametrize(
    ("content", "headers", "status", "name"),
    [
        (b"{", {"Content-Type": "application/json"}, 400, "malformed-json"),
        (b'{"a": 1, "a": 2}', {"Content-Type": "application/json"}, 400, "malformed-json"),
        (b"\xff", {"Content-Type": "application/json"}, 400, "malformed-json"),
        (b"[" * 100_000, {"Content-Type": "application/json"}, 400, "malformed-json"),
        (b"1" * 5_000, {"Content-Type": "application/json"}, 400, "malformed-json"),
        (b"17", {"Content-Type": "application/json"}, 422, "unreadable-body"),
        (b"null", {"Content-Type": "application/json"}, 422, "unreadable-body"),
        (b"[]", {"Content-Type": "application/json"}, 422, "unreadable-body"),
        (b'{"updates": 1}', {"Content-Type": "application/json"}, 422, "unreadable-body"),
        (b'{"updates": [], "label": "x"}', {"Content-Type": "application/json"}, 422, "unreadable-body"),
        (b"", CSV, 422, "unreadable-body"),
        (b"name,what\n", CSV, 422, "unreadable-body"),
        (b"PK\x03\x04", CSV, 422, "unreadable-body"),
        (b"[{}]", JSONL, 422, "unreadable-body"),
        (b"{}", {"Content-Type": "text/plain"}, 415, "unsupported-media-type"),
        (b"{}", {}, 415, "unsupported-media-type"),
        (b"{}", {"Content-Type": "application/json; charset=latin-1"}, 415, "unsupported-media-type"),
        (b"{}", {"Content-Type": "application/json", "Content-Encoding": "gzip"}, 415, "unsupported-media-type"),
    ],
)
def test_a_body_that_cannot_be_read_is_a_problem_and_nothing_is_written(  # noqa: PLR0913, PLR0917 - a row of the table
    content: bytes, headers: dict[str, str], status: int, name: str, store: Database, producer: httpx.Client
) -> None:
    said = problem(producer.post(TARGETS, content=content, headers=headers), status, name)
    assert "body." not in said["detail"]  # it has no name that ends in .csv
    with store.read() as session:
        assert not session.execute(select(batches)).all()


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("kind", ["application/json", "text/csv"])
def test_a_body_that_is_too_long_is_refused_before_it_is_read_whole(
    kind: str, sqlite_store: Database, tmp_path: Path, *, announced: bool
) -> None:
    (tmp_path / "coachsync.toml").write_text("[gateway]\njson_megabytes = 1\nfile_megabytes = 1\n")
    with gateway_on(sqlite_store, tmp_path) as gateway:
        body = b"x" * (1 << 20) + b"y"
        content: Any = body if announced else iter([body])
        said = gateway.client().post(TARGETS, content=content, headers={"Content-Type": kind})
        assert problem(said, 413, "body-too-large")["limit"] == 1 << 20


def test_what_would_change_too_much_waits_for_a_person_and_then_passes(sqlite_store: Database, tmp_path: Path) -> None:
    know(sqlite_store, 40)
    with gateway_on(sqlite_store, tmp_path) as gateway:
        producer = gateway.client(Scope.TARGETS_WRITE)
        body, key = csv_of(20, value=60), {"Idempotency-Key": "nightly"} | CSV
        said = problem(producer.post(TARGETS, content=body, headers=key), 409, "guard-tripped")
        assert not jobs_of(sqlite_store)
        command_on(sqlite_store, tmp_path)("approvals", "approve", said["approval"])
        assert producer.post(TARGETS, content=body, headers=key).status_code == 202
    assert len(jobs_of(sqlite_store)) == 20


def test_above_the_backlogs_bound_nothing_is_taken(sqlite_store: Database, tmp_path: Path) -> None:
    (tmp_path / "coachsync.toml").write_text("[gateway]\nbacklog = 2\n")
    with gateway_on(sqlite_store, tmp_path) as gateway:
        producer = gateway.client(Scope.TARGETS_WRITE)
        assert producer.post(TARGETS, json=[one(number) for number in range(3)]).status_code == 202
        gateway.clock.ahead += 3_600
        said = producer.post(TARGETS, json=one(9))
        problem(said, 429, "backlog-full")
        assert int(said.headers["retry-after"]) > 0


@pytest.mark.parametrize("body", [one(1), [one(1), one(2)]])
@on_both
def test_the_same_key_with_the_same_request_gets_the_same_answer(
    body: Any, store: Database, producer: httpx.Client
) -> None:
    first = producer.post(TARGETS, json=body, headers={"Idempotency-Key": '"a-key"'})
    again = producer.post(TARGETS, json=body, headers={"Idempotency-Key": "a-key"})
    assert (again.status_code, again.content) == (first.status_code, first.content) == (202, again.content)
    assert again.headers["location"] == first.headers["location"]
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert len(jobs_of(store)) == (1 if isinstance(body, dict) else 2)


@pytest.mark.parametrize("body", [one(1), [one(1), one(2)]])
def test_the_same_key_with_another_request_is_refused(body: Any, store: Database, producer: httpx.Client) -> None:
    key = {"Idempotency-Key": "a-key"}
    assert producer.post(TARGETS, json=body, headers=key).status_code == 202
    problem(producer.post(TARGETS, json=[one(3)], headers=key), 422, "idempotency-key-reused")
    problem(producer.post(TARGETS, json=one(3), headers=key), 422, "idempotency-key-reused")
    problem(producer.post(TARGETS, json=body, headers=key, params={"label": "x"}), 422, "idempotency-key-reused")
    assert name_of(3) not in {job.resource for job in jobs_of(store)}


def test_a_refusal_at_the_door_is_replayed_too(producer: httpx.Client) -> None:
    body, key = one(1, asOf="2999-01-01T00:00:00Z"), {"Idempotency-Key": "a-key"}
    first, again = (producer.post(TARGETS, json=body, headers=key) for _ in range(2))
    assert problem(again, 422, "invalid-update") == problem(first, 422, "invalid-update")
    assert again.headers["idempotency-replayed"] == "true"


def test_a_key_is_its_tokens_own(store: Database, gateway: Gateway) -> None:
    key = {"Idempotency-Key": "a-key"}
    for number in range(2):
        assert gateway.client(Scope.TARGETS_WRITE).post(TARGETS, json=one(number), headers=key).status_code == 202
    assert len(jobs_of(store)) == 2


@pytest.mark.parametrize("key", ["", '""', '"a', "a b", "x" * 256, "é", '"a"b"'])
def test_a_key_that_is_none_is_refused(key: str, producer: httpx.Client) -> None:
    said = producer.post(TARGETS, json=one(1), headers=[("Idempotency-Key", key.encode())])
    problem(said, 400, "bad-idempotency-key")


@pytest.mark.parametrize("body", [one(1), [one(1), one(2)]])
@on_both
def test_where_the_answer_was_lost_the_same_key_doubles_nothing(
    body: Any, store: Database, producer: httpx.Client
) -> None:
    """As after a crash between the commit and the answer, or once the answer is no longer kept."""
    key = {"Idempotency-Key": "a-key"}
    first = producer.post(TARGETS, json=body, headers=key)
    with store.write() as session:
        session.execute(kept_answers.delete())
    again = producer.post(TARGETS, json=body, headers=key)
    assert again.status_code == 202
    pending = [job for job in jobs_of(store) if job.state == JobState.PENDING]
    assert len(pending) == (1 if isinstance(body, dict) else 2)
    assert again.headers["location"] == first.headers["location"]
    other = [one(7)] if isinstance(body, list) else one(7)
    with store.write() as session:
        session.execute(kept_answers.delete())
    assert producer.post(TARGETS, json=other, headers=key).status_code == 422
    assert_adds_up(store)


def test_a_token_of_some_customers_writes_theirs_alone(store: Database, gateway: Gateway) -> None:
    theirs = gateway.client(Scope.TARGETS_WRITE, customers=("globex",))
    problem(theirs.post(TARGETS, json=one(1)), 403, "another-customers")
    receipt = theirs.post(TARGETS, json=[one(1)]).json()
    assert (receipt["accepted"], receipt["rejected"]) == (0, 1)
    assert receipt["rejections"][0]["errors"][0]["reason"] == "the token is for customers/globex alone"
    assert not jobs_of(store)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"lane": "fast"}, "lane: must be interactive or bulk"),
        ({"lane": ["bulk", "interactive"]}, "lane: is given more than once"),
        ({"label": "x" * 201}, "label: must have at most 200 characters"),
        ({"strict": "perhaps"}, "strict: must be true or false"),
    ],
)
def test_a_parameter_that_cannot_be_meant_is_named(params: dict[str, Any], words: str, producer: httpx.Client) -> None:
    said = problem(producer.post(TARGETS, json=one(1), params=params), 400, "bad-parameter")
    (error,) = said["errors"]
    assert f"{error['parameter']}: {error['reason']}" == said["detail"] == words


def test_while_a_key_is_being_worked_on_the_same_key_is_told_so(store: Database, gateway: Gateway) -> None:
    token = make_token(store, Scope.TARGETS_WRITE)
    other = gateway.without_token(Authorization=f"Bearer {token}")
    body, address = json.dumps(one(1)).encode(), urlsplit(gateway.url)
    head = (
        f"POST {TARGETS} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {token}\r\nIdempotency-Key: k\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    )
    with socket.create_connection((str(address.hostname), int(address.port or 0))) as connection:
        connection.sendall(head.encode())
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"  # it waits for the body, and holds its key
        said = other.post(TARGETS, content=b"{}", headers={"Idempotency-Key": "k"} | JSON)
        problem(said, 409, "request-in-flight")
        assert said.headers["retry-after"] == "1"
        connection.sendall(body)
        assert connection.recv(12) == b"HTTP/1.1 202"
    again = other.post(TARGETS, content=body, headers={"Idempotency-Key": "k"} | JSON)
    assert again.headers["idempotency-replayed"] == "true"
    assert len(jobs_of(store)) == 1


def test_a_token_that_is_revoked_while_its_file_is_on_the_way_writes_nothing(store: Database, gateway: Gateway) -> None:
    token, address, body = make_token(store, Scope.TARGETS_WRITE), urlsplit(gateway.url), csv_of(3)
    head = (
        f"POST {TARGETS} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {token}\r\nContent-Type: text/csv\r\n"
        f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    )
    with socket.create_connection((str(address.hostname), int(address.port or 0))) as connection:
        connection.sendall(head.encode())
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        with store.write() as session:
            session.execute(api_tokens.update().values(revoked_at=api_tokens.c.created_at))
        gateway.clock.ahead += 2.1
        connection.sendall(body)
        assert connection.recv(12) == b"HTTP/1.1 401"
    assert not jobs_of(store)


def test_who_leaves_in_the_middle_of_a_body_leaves_nothing_behind(store: Database, gateway: Gateway) -> None:
    token, address = make_token(store, Scope.TARGETS_WRITE), urlsplit(gateway.url)
    head = (
        f"POST {TARGETS} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {token}\r\nIdempotency-Key: k\r\n"
        "Content-Type: text/csv\r\nContent-Length: 100000\r\n\r\n"
    )
    for _ in range(3):
        with socket.create_connection((str(address.hostname), int(address.port or 0))) as connection:
            connection.sendall(head.encode() + csv_of(10))
    client = gateway.without_token(Authorization=f"Bearer {token}")

    def free() -> bool:
        return client.post(TARGETS, content=csv_of(3), headers={"Idempotency-Key": "k"} | CSV).status_code == 202

    wait_until(free, "the key is free again")
    assert len(jobs_of(store)) == 3


@on_both
def test_a_key_that_another_gateway_is_at_work_on_is_held_until_it_is_not_heard_of(
    store: Database, producer: httpx.Client
) -> None:
    def post(body: object) -> httpx.Response:
        return producer.post(TARGETS, json=body, headers={"Idempotency-Key": "k"})

    first = post([one(1)])
    with store.write() as session:  # as it is there before the answer
        session.execute(kept_answers.update().values(status=AT_WORK))
    assert problem(post([one(1)]), 409, "request-in-flight")
    assert problem(post(one(1)), 422, "idempotency-key-reused")
    problem(post([one(2)]), 422, "idempotency-key-reused")
    hear_no_more_of_keys(store)
    again = post([one(1)])
    assert (again.status_code, again.headers["location"]) == (202, first.headers["location"])
    assert len(jobs_of(store)) == 1


def test_a_key_is_free_again_where_its_request_came_to_nothing(producer: httpx.Client) -> None:
    def post(*rows: object) -> httpx.Response:
        return producer.post(TARGETS, json=rows, params={"strict": True}, headers={"Idempotency-Key": "k"})

    problem(post(one(1), {}), 422, "rows-rejected")
    assert post(one(1)).status_code == 202


@on_both
def test_two_gateways_that_are_asked_with_one_key_at_once_do_it_once(
    store: Database, gateway: Gateway, tmp_path: Path
) -> None:
    token = make_token(store, Scope.TARGETS_WRITE)
    with gateway_on(store, tmp_path) as second:
        clients = [one.without_token(Authorization=f"Bearer {token}") for one in (gateway, second)]

        def post(number: int, client: httpx.Client) -> httpx.Response:
            body = one(number) if number % 2 else [one(number), one(f"{number}-b")]
            headers = {"Idempotency-Key": f"k-{number}"}
            while (said := client.post(TARGETS, json=body, headers=headers)).status_code == 409:
                assert said.headers["retry-after"] == "1"
            return said

        with ThreadPoolExecutor(2) as threads:
            for number in range(12):
                first, other = threads.map(post, [number, number], clients)
                assert (first.status_code, other.status_code) == (202, 202), (first.text, other.text)
                assert first.headers["location"] == other.headers["location"]
    assert len([job for job in jobs_of(store) if job.state == JobState.PENDING]) == 18
    assert_adds_up(store)


def test_where_the_port_is_taken_the_command_says_so_in_one_line(store: Database, tmp_path: Path) -> None:
    environ = {name: value for name, value in command_on(store, tmp_path).environ.items() if value}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        command = [sys.executable, "-m", "worker.cli", "gateway"]
        env = environ | {"COACHSYNC_GATEWAY_LISTEN": address}
        ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    remedy = "name another by COACHSYNC_GATEWAY_LISTEN=HOST:PORT"
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1] == f"error: {address}: Address already in use; {remedy}"


def test_a_misspelt_option_is_refused_by_its_name_and_nothing_is_written(
    store: Database, producer: httpx.Client
) -> None:
    said = producer.post(TARGETS, json=one(1), params={"lanee": "interactive"})
    assert said.status_code == 400
    (error,) = said.json()["errors"]
    assert error["parameter"] == "lanee"
    assert "lane, strict" in error["reason"]
    assert not jobs_of(store)

"""The door of the console: who has a token of it is let in for a while, and no other site's form is obeyed."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import update

from schemas.ids import format_job_id
from tests.integration.cli_rig import command_on
from tests.integration.console_rig import Console, console_on, state_of
from tests.integration.gateway_rig import make_token
from tests.integration.store_rig import job_of, wish
from tests.services.processes import end, spawn, wait_until
from tests.services.stores import on_sqlite
from worker.console.entry import ATTEMPTS, COOKIE
from worker.core.access import Scope, new_token
from worker.store import tokens
from worker.store.engine import Database
from worker.store.tables import audit, console_sessions

pytestmark = on_sqlite

DAY = timedelta(days=1)
TOKEN = new_token(lambda count: b"t" * count)


@pytest.fixture
def console(store: Database, tmp_path: Path) -> Iterator[Console]:
    with console_on(store, tmp_path) as served:
        yield served


def test_who_is_not_signed_in_is_led_to_the_door_and_back_to_where_they_wanted(console: Console) -> None:
    visitor = console.visitor()
    answer = visitor.client.get("/console/jobs?state=failed")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/console/sign-in?next=%2Fjobs%3Fstate%3Dfailed"
    assert "coachsync tokens create me --scope console:act" in visitor.get("/sign-in?next=/jobs")
    entered = visitor.post("/sign-in", token=make_token(console.store, Scope.CONSOLE_VIEW), next="/jobs?state=failed")
    assert (entered.status_code, entered.headers["location"]) == (303, "/console/jobs?state=failed")
    visitor.get("/jobs?state=failed")


@pytest.mark.parametrize(
    "wanted",
    ["//evil.example/", "/\\evil.example", "https://evil.example/", "/a\r\nSet-Cookie: x=y", "/..//evil.example"],
)
def test_nobody_is_led_to_another_site(console: Console, wanted: str) -> None:
    visitor = console.visitor()
    entered = visitor.post("/sign-in", token=make_token(console.store, Scope.CONSOLE_VIEW), next=wanted)
    assert entered.headers["location"] == "/console/"


def test_the_cookie_is_for_this_console_alone_and_no_script_reads_it(console: Console) -> None:
    visitor = console.visitor()
    entered = visitor.post("/sign-in", token=make_token(console.store, Scope.CONSOLE_VIEW))
    cookie = entered.headers["set-cookie"]
    for said in ("HttpOnly", "SameSite=strict", "Path=/console", "Max-Age=43200"):
        assert said in cookie
    assert "Secure" not in cookie, "http on loopback"
    assert visitor.client.cookies[COOKIE] not in str(_sessions(console.store)), "only its digest is kept"


def test_behind_tls_the_cookie_is_secure_and_from_elsewhere_without_it_no_token_is_taken(console: Console) -> None:
    token = make_token(console.store, Scope.CONSOLE_VIEW)
    secure = console.gateway.without_token(
        Host="ops.example", Origin="https://ops.example", **{"X-Forwarded-Proto": "https"}
    )
    entered = secure.post("/console/sign-in", data={"token": token})
    assert entered.status_code == 303
    assert "Secure" in entered.headers["set-cookie"]
    plain = console.gateway.without_token(Host="ops.example", Origin="http://ops.example")
    refused = plain.post("/console/sign-in", data={"token": token})
    assert refused.status_code == 400
    assert "https alone" in refused.text


@pytest.mark.parametrize("token", ["", "nonsense", "coachsync_" + "0" * 36, "\ud800".encode("utf-16", "surrogatepass")])
def test_what_is_no_token_lets_nobody_in(console: Console, token: str) -> None:
    assert console.visitor().post("/sign-in", token=token).status_code == 401


def test_a_token_without_a_scope_of_the_console_lets_nobody_in(console: Console) -> None:
    others = [scope for scope in Scope if not scope.startswith("console:")]
    answer = console.visitor().post("/sign-in", token=make_token(console.store, *others))
    assert answer.status_code == 401
    assert "needs the scope console:view" in answer.text


def test_who_tries_too_often_waits(console: Console) -> None:
    visitor = console.visitor()
    for _ in range(ATTEMPTS):
        assert visitor.post("/sign-in", token="wrong").status_code == 401
    waits = visitor.post("/sign-in", token=make_token(console.store, Scope.CONSOLE_VIEW))
    assert waits.status_code == 429
    assert 0 < int(waits.headers["retry-after"]) <= 60


def test_a_session_ends_with_its_token(console: Console) -> None:
    ann = console.signed_in()
    ann.get("/")
    with console.store.write() as session:
        for token in tokens.list_all(session):
            tokens.revoke(session, token.id)
    assert ann.client.get("/console/").status_code == 303
    assert ann.client.get("/console/live").status_code == 401


@pytest.mark.parametrize("column", ["ends_at", "seen_at"])
def test_a_session_ends_after_its_time_and_when_it_is_idle(console: Console, column: str) -> None:
    ann = console.signed_in()
    _age(console.store, column)
    assert ann.client.get("/console/").status_code == 303


def test_a_page_that_polls_keeps_no_session_alive(console: Console) -> None:
    ann = console.signed_in()
    console_sessions_before = _age(console.store, "seen_at", timedelta(minutes=10))
    ann.get("/live")
    assert _sessions(console.store) == console_sessions_before
    ann.get("/")
    assert _sessions(console.store) != console_sessions_before


def test_who_signs_in_anew_is_no_longer_who_they_were(console: Console) -> None:
    ann = console.signed_in()
    before = ann.client.cookies[COOKIE]
    token = make_token(console.store, Scope.CONSOLE_VIEW, name="bob")
    assert ann.post("/sign-in", token=token).status_code == 303
    assert ann.client.cookies[COOKIE] != before
    assert len(_sessions(console.store)) == 1


def test_who_signs_out_is_out(console: Console) -> None:
    ann = console.signed_in()
    ann.get("/")
    cookie = ann.client.cookies[COOKIE]
    assert ann.post("/sign-out", csrf=ann.csrf).status_code == 303
    assert _sessions(console.store) == []
    again = console.gateway.without_token(Cookie=f"{COOKIE}={cookie}")
    assert again.get("/console/").status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {},
    ],
    ids=str,
)
def test_a_form_of_another_site_does_nothing(console: Console, headers: dict[str, str]) -> None:
    job = job_of(console.store, wish("a"))
    ann = console.signed_in()
    ann.get(f"/do/cancel-job?on={format_job_id(job)}")
    foreign = console.gateway.without_token(Cookie=f"{COOKIE}={ann.client.cookies[COOKIE]}", **headers)
    answer = foreign.post("/console/do/cancel-job", data={"csrf": ann.csrf, "on": format_job_id(job)})
    assert answer.status_code == 403
    assert foreign.post("/console/sign-in", data={"token": "x"}).status_code == 403
    assert state_of(console.store, job) == "pending"


@pytest.mark.parametrize("csrf", ["", "0" * 64, None])
def test_a_form_without_what_its_page_knew_does_nothing(console: Console, csrf: str | None) -> None:
    job = job_of(console.store, wish("a"))
    ann, bob = console.signed_in(), console.signed_in(name="bob")
    bob.get("/")
    answer = ann.post("/do/cancel-job", csrf=bob.csrf if csrf is None else csrf, on=format_job_id(job))
    assert answer.status_code == 403
    assert state_of(console.store, job) == "pending"
    assert ann.post("/sign-out", csrf="wrong").status_code == 403


def test_a_form_larger_than_any_of_ours_is_not_read(console: Console) -> None:
    assert console.visitor().post("/sign-in", token="x" * 20_000).status_code == 413


def test_sign_ins_are_in_the_audit_trail(console: Console) -> None:
    console.signed_in(name="ann")
    with console.store.read() as session:
        (line,) = session.execute(audit.select()).all()
    assert (line.who, line.action, line.outcome) == ("ann", "sign-in", "done")
    assert line.subject.startswith("token tok_")


def test_the_gateway_of_the_command_has_it(store: Database, tmp_path: Path) -> None:
    log = tmp_path / "gateway.log"
    environ = {**os.environ, **command_on(store, tmp_path).environ}  # noqa: TID251 - a child's environment
    pid = spawn([sys.executable, "-m", "worker.cli", "gateway", "--port", "0"], log, env=environ)
    try:
        wait_until(lambda: "listens at" in log.read_text(), "the gateway listens", seconds=90)
        (url,) = re.findall(r"listens at (\S+)", log.read_text())
        with httpx.Client(follow_redirects=True) as browser:
            page = browser.get(f"{url}/console")
        assert (page.status_code, page.url.path) == (200, "/console/sign-in")
    finally:
        end(pid)


def test_without_a_database_it_says_so(tmp_path: Path) -> None:
    with closing(Database(f"sqlite:///{tmp_path / 'empty.db'}")) as empty, console_on(empty, tmp_path) as console:
        somebody = console.gateway.without_token(Cookie=f"{COOKIE}=whoever", Origin=console.gateway.url)
        for answer in (somebody.get("/console/"), somebody.post("/console/sign-in", data={"token": TOKEN})):
            assert answer.status_code == 503
            assert "The database cannot be used" in answer.text
            assert "no such table" not in answer.text
            assert answer.headers["retry-after"]
            assert "content-security-policy" in answer.headers


def _sessions(store: Database) -> list[tuple[object, ...]]:
    with store.read() as session:
        return [tuple(row) for row in session.execute(console_sessions.select()).all()]


def _age(store: Database, column: str, by: timedelta = DAY) -> list[tuple[object, ...]]:
    with store.write() as session:
        (row,) = session.execute(console_sessions.select()).all()
        session.execute(update(console_sessions).values({column: getattr(row, column) - by}))
    return _sessions(store)

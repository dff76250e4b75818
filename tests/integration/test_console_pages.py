"""The console's pages: each shows what is there, to who may see it, and nothing of what others have written runs."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.ids import format_job_id
from tests.integration.console_rig import HOSTILE, TARGET, Console, Filled, Visitor, console_on, fill, filled_store
from tests.integration.store_rig import HOME, job_ids, offer, wish
from tests.services.stores import on_sqlite
from worker.console.headers import POLICY
from worker.core.access import Scope
from worker.store.engine import Database

pytestmark = on_sqlite


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("console")


@pytest.fixture(scope="module")
def place(folder: Path) -> Iterator[tuple[Database, Filled]]:
    with filled_store(folder) as made:
        yield made


@pytest.fixture(scope="module")
def store(place: tuple[Database, Filled]) -> Database:
    return place[0]


@pytest.fixture(scope="module")
def filled(place: tuple[Database, Filled]) -> Filled:
    return place[1]


@pytest.fixture(scope="module")
def console(store: Database, folder: Path) -> Iterator[Console]:
    with console_on(store, folder) as served:
        yield served


@pytest.fixture(scope="module")
def ann(console: Console) -> Visitor:
    return console.signed_in()


def pages_of(filled: Filled) -> dict[str, str]:
    """Each page with words that only it has."""
    return {
        "/": "What waits, by lane",
        "/live": "Processes alive",
        "/remotes": "in quarantine",
        "/remotes/default": "their release is on",
        "/batches": "nightly",
        "/batches?open=1": "before the review",
        f"/batches/{filled.done_batch}": "Download all 2 as CSV",
        f"/batches/{filled.open_batch}/live": "62%",
        "/jobs": "Jobs, newest first",
        "/jobs?state=failed&error=not_found": "the remote says",
        f"/jobs?batch={filled.open_batch}&state=pending&lane=bulk": format_job_id(filled.pending),
        f"/jobs/{format_job_id(filled.failed)}": "Retry the job",
        f"/jobs/{format_job_id(filled.pending)}/live": "is paused since",
        "/targets": "t-history",
        f"/targets/{TARGET}": "The value that held",
        "/quotas": "150",
        f"/quotas/{filled.quota}": "What changed the roster meanwhile",
        "/agents": "agent-1",
        "/agents?gone=1": "agent-2",
        f"/agents/{HOME}/agents/agent-1": "Each fact, and who said so",
        f"/events/e{filled.event}": "As it came",
        "/webhooks": "ep_crm",
        "/webhooks/ep_crm": "Rotate the secret",
        "/deliveries": "Deliveries, newest first",
        "/deliveries?state=dead": "410 Gone",
        f"/deliveries/{filled.dead}": "Send again",
        f"/messages/{filled.message}": "To whom it went",
        "/approvals": "12 of 30 agents would leave",
        f"/approvals/{filled.approval}": "Approve",
        "/drifts": "changed",
        "/audit": "signed in",
        "/search": "It finds a job",
    }


def test_each_page_shows_what_is_there(ann: Visitor, filled: Filled) -> None:
    for path, words in pages_of(filled).items():
        assert words in ann.get(path), path


@pytest.mark.postgres
def test_each_page_shows_what_is_there_on_postgresql(postgres_store: Database, tmp_path: Path) -> None:
    filled = fill(postgres_store)
    with console_on(postgres_store, tmp_path) as served:
        ann = served.signed_in()
        for path, words in pages_of(filled).items():
            assert words in ann.get(path), path


def test_nothing_that_others_have_written_becomes_markup(ann: Visitor, filled: Filled) -> None:
    shown = [ann.get(path) for path in pages_of(filled)]
    assert sum("&lt;script&gt;alert(" in page for page in shown) > 5
    assert not any("<script>alert(" in page for page in shown)
    assert HOSTILE not in ann.get("/search?q=%3Cscript%3Ealert('x')%3C/script%3E%22%26")


def test_every_answer_forbids_all_scripts_but_ours_and_is_kept_by_nobody(console: Console, ann: Visitor) -> None:
    for path in ("/", "/jobs", "/nowhere", "/jobs/17", "/batches/1/rejected.csv"):
        headers = ann.client.get(f"/console{path}").headers
        assert headers["content-security-policy"] == POLICY
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
    refused = ann.post("/jobs")
    assert (refused.status_code, sorted(refused.headers["allow"].split(", "))) == (405, ["GET", "HEAD"])
    assert "default-src 'none'" in POLICY
    assert "unsafe" not in POLICY
    assert console.visitor().client.get("/console/sign-in").headers["content-security-policy"] == POLICY


def test_a_page_of_something_that_is_called_static_is_kept_by_nobody(store: Database, ann: Visitor) -> None:
    name = "customers/acme/profiles/static/targets/t-1"
    offer(store, wish(1).model_copy(update={"name": name}))
    answer = ann.client.get(f"/console/targets/{name}")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")


def test_pages_name_no_script_or_style_but_files_of_ours_and_those_may_be_kept(ann: Visitor, filled: Filled) -> None:
    for path in pages_of(filled):
        page = ann.get(path)
        assert "<style" not in page
        assert " style=" not in page
        assert " onclick" not in page
        assert page.count("<script") <= 1
    answer = ann.client.get("/console/static/console.css")
    assert "immutable" in answer.headers["cache-control"]


def test_lists_go_on_where_they_ended(store: Database, ann: Visitor) -> None:
    ids = job_ids(store, *(wish(f"many-{number}") for number in range(60)))
    first = ann.get(f"/jobs?batch={ids[0] >> 24}")
    assert first.count('<tr><td><a class="id"') == 50
    rest = ann.get(f"/jobs?batch={ids[0] >> 24}&before={format_job_id(ids[10])}")
    assert rest.count('<tr><td><a class="id"') == 10
    assert f"before={format_job_id(ids[10])}" in first


def test_rejected_rows_are_downloaded_whole_and_no_spreadsheet_runs_them(store: Database, ann: Visitor) -> None:
    ids = job_ids(store, wish("a"), *([None] * 1_200))
    answer = ann.client.get(f"/console/batches/{ids[0] >> 24}/rejected.csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 1_200
    assert rows[0] == {"line": "3", "row": "2", "field": "target", "reason": "must be a number", "value": "many"}
    assert "attachment" in answer.headers["content-disposition"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/jobs/1-99999", "There is no job 1-99999"),
        ("/jobs/many", "is no job id"),
        ("/batches/999", "There is no batch 999"),
        ("/targets/customers/acme/profiles/main/targets/none", "Nothing is known of"),
        ("/agents/nobody", "There is no agent"),
        ("/events/e999", "There is no event e999"),
        ("/webhooks/ep_none", "There is no endpoint"),
        ("/deliveries/999", "There is no delivery 999"),
        ("/approvals/999", "There is no approval 999"),
        ("/remotes/nowhere", "There is no remote"),
        ("/nothing/of/this/name", "There is no such page"),
    ],
)
def test_what_is_not_there_is_said_in_words(ann: Visitor, path: str, words: str) -> None:
    assert words in ann.get(path, 404)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/jobs?state=lost", "state: &#39;lost&#39; is none of pending"),
        ("/jobs?batch=x", "batch: &#39;x&#39; is no batch id"),
        ("/jobs?before=x", "before: &#39;x&#39; is no job id"),
        ("/batches?before=99999999999999999999", "is no number"),
        ("/deliveries?type=x", "type: &#39;x&#39; is none of"),
        ("/events/x", "is no number"),
    ],
)
def test_what_cannot_be_meant_names_the_field(ann: Visitor, path: str, words: str) -> None:
    assert words in ann.get(path, 400)


@pytest.mark.postgres
def test_rubbish_is_never_a_mistake_of_ours(postgres_store: Database, tmp_path: Path) -> None:
    """A NUL, half a character, a long text, a number past all: on the database that refuses most."""
    rubbish = ("%00", "%ff%fe" + "x" * 3_000, "9" * 18)
    places = ("/jobs/{}", "/batches/{}", "/targets/{}", "/quotas/{}", "/agents/{}", "/agents/p/agents/{}", "/events/{}")
    places += ("/webhooks/{}", "/deliveries/{}", "/messages/{}", "/approvals/{}", "/remotes/{}", "/search?q={}")
    places += ("/jobs?resource={}", "/jobs?error={}", "/jobs?batch={}", "/jobs?before={}", "/targets?after={}")
    places += ("/targets?prefix={}", "/quotas?template={}", "/quotas?after={}", "/agents?after={}", "/audit?who={}")
    places += ("/batches?before={}", "/deliveries?endpoint={}", "/do/approve?on={}", "/do/rotate-secret?on={}")
    with console_on(postgres_store, tmp_path) as served:
        ann = served.signed_in()
        ann.get("/")
        for path in (place.format(one) for place in places for one in rubbish):
            assert ann.client.get(f"/console{path}").status_code in (200, 303, 400, 404), path
        for one in rubbish:
            body = f"csrf={ann.csrf}&on={one}&why={one}"
            sent = ann.client.post(
                "/console/do/rotate-secret", content=body, headers={"Content-Type": "application/x-www-form-urlencoded"}
            )
            assert sent.status_code == 404, one


def test_the_search_goes_to_what_is_named(ann: Visitor, filled: Filled) -> None:
    def led_to(what: str) -> str:
        answer = ann.client.get("/console/search", params={"q": what})
        assert answer.status_code == 303, what
        return answer.headers["location"].removeprefix("/console")

    job = format_job_id(filled.failed)
    assert led_to(job) == f"/jobs/{job}"
    assert led_to(str(filled.open_batch)) == f"/batches/{filled.open_batch}"
    assert led_to(f" {TARGET} ") == f"/targets/{TARGET}"
    assert led_to(filled.quota) == f"/quotas/{filled.quota}"
    assert led_to("agent-1") == f"/agents/{HOME}/agents/agent-1"
    assert led_to(f"e{filled.event}") == f"/events/e{filled.event}"
    assert led_to(filled.message) == f"/messages/{filled.message}"
    assert "Nothing that is known is named" in ann.get("/search?q=nobody")


def test_a_token_of_one_customer_sees_nothing_of_the_others(console: Console, filled: Filled) -> None:
    foreign = console.signed_in(Scope.CONSOLE_ACT, customers=("globex",), name="gus")
    for path, words in pages_of(filled).items():
        answer = foreign.client.get(f"/console{path}")
        if answer.status_code == 404:
            assert words not in answer.text
            continue
        assert answer.status_code == 200, path
        for theirs in ("acme/", "acme ·", "t-history", "agent-1", "ep_crm", "quarantine", "nightly", "12 of 30"):
            assert theirs not in answer.text, (path, theirs)
    assert foreign.client.get(f"/console/batches/{filled.done_batch}/rejected.csv").status_code == 404
    for what in (format_job_id(filled.failed), TARGET, "agent-1", filled.quota, filled.message, str(filled.done_batch)):
        assert "Nothing that is known" in foreign.get(f"/search?q={what}")
    assert foreign.client.get("/console/do/pause-remote?on=default").status_code == 404
    assert foreign.client.get(f"/console/do/retry-job?on={format_job_id(filled.failed)}").status_code == 404


def test_a_token_of_one_customer_sees_what_is_theirs(console: Console, filled: Filled) -> None:
    theirs = console.signed_in(Scope.CONSOLE_VIEW, customers=("acme",))
    assert "nightly" in theirs.get("/batches?before=2")
    assert "The value that held" in theirs.get(f"/targets/{TARGET}")
    assert "nightly" not in theirs.get(f"/jobs/{format_job_id(filled.failed)}")
    assert format_job_id(filled.failed) in theirs.get("/jobs?state=failed")
    assert theirs.client.get("/console/search", params={"q": TARGET}).status_code == 303

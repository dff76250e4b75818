"""Each wrong word to `coachsync webhooks` ends in one line that names it, exits 2, and changes nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.apply_rig import Program, program_like
from tests.integration.cli_rig import command_on
from tests.integration.webhook_rig import deliveries_of, endpoint, make_endpoint, set_endpoint, tell_some
from tests.services.stores import on_sqlite
from worker.store import endpoints
from worker.store.engine import Database
from worker.store.outbox import DISABLED

pytestmark = on_sqlite

CREATE, UPDATE, ROTATE = (("webhooks", "endpoints", verb) for verb in ("create", "update", "rotate"))
LIST, SHOW, RETRY = (("webhooks", "deliveries", verb) for verb in ("list", "show", "retry"))
RECOVER, LISTEN = ("webhooks", "recover"), ("webhooks", "listen")
URL = "https://hooks.example.com/"
PAST = "2020-01-01T00:00:00Z"
NO_SUCH = "ENDPOINT: there is no endpoint 'ep_9' (coachsync webhooks endpoints list)"
HUGE = "99999999999999999999"

WRONG: list[tuple[tuple[str, ...], str]] = [
    (CREATE, "Missing argument 'URL'"),
    ((*CREATE, "hooks.example.com"), "URL: the URL must begin with https://"),
    ((*CREATE, "http://hooks.example.com/"), "plain http only where [webhooks] allow_http is true"),
    ((*CREATE, "ftp://hooks.example.com/"), "must begin with https://"),
    ((*CREATE, "https://me:hunter2@example.com/"), "credentials"),
    ((*CREATE, "https://example.com/#top"), "fragment"),
    ((*CREATE, "https://exa mple.com/"), "a space"),
    ((*CREATE, "https://zoë.example/"), "outside ASCII"),
    ((*CREATE, "https:///hooks"), "no host"),
    ((*CREATE, "https://example.com:0/"), "the port 0"),
    ((*CREATE, "https://example.com:99999/"), "no valid host or port"),
    ((*CREATE, "https://[::1/"), "no valid host or port"),
    ((*CREATE, "https://a..example/"), "'a..example' is no host name"),
    ((*CREATE, f"https://{'a' * 64}.example/"), "is no host name"),
    ((*CREATE, "https://2130706433/"), "no way to write an address"),
    ((*CREATE, "https://127.0.0.1/"), "127.0.0.1 is a loopback address; nothing is sent there"),
    ((*CREATE, "https://localhost/"), "localhost is this machine"),
    ((*CREATE, "https://169.254.169.254/latest"), "a link-local address"),
    ((*CREATE, "https://10.1.2.3/"), "a private address"),
    ((*CREATE, "https://[::ffff:10.1.2.3]/"), "10.1.2.3 is a private address"),
    ((*CREATE, f"https://example.com/{'a' * 2000}"), "at most 2,000 are taken"),
    ((*CREATE, URL, "--type", "target.upated"), "--type: 'target.upated' is no event type; known are: target.updated"),
    ((*CREATE, URL, "--type", "*"), "--type: '*' is no event type"),
    ((*CREATE, URL, "--customer", "customers/acme"), "--customer: 'customers/acme' is no customer's id"),
    ((*CREATE, URL, "--usecase", "voice"), "--usecase: 'voice' is no usecase name; expected customers/"),
    ((*CREATE, URL, "--rate", "-1"), "Invalid value for '--rate'"),
    ((*CREATE, URL, "--rate", "many"), "Invalid value for '--rate'"),
    ((*CREATE, URL, "--concurrency", "0"), "Invalid value for '--concurrency'"),
    ((*CREATE, URL, "--concurrency", "101"), "Invalid value for '--concurrency'"),
    *(((("webhooks", "endpoints", verb, "ep_9")), NO_SUCH) for verb in ("show", "rotate", "pause", "resume", "delete")),
    (("webhooks", "endpoints", "test", "ep_9"), NO_SUCH),
    ((*UPDATE, "ep_9", "--rate", "5"), NO_SUCH),
    ((*UPDATE, "ep_1"), "nothing to change: give one of the options"),
    ((*UPDATE, "ep_1", "--url", "http://example.com/"), "must begin with https://"),
    ((*UPDATE, "ep_1", "--type", "targets.*"), "--type: 'targets.*' is no event type"),
    ((*UPDATE, "ep_1", "--customer", "a/b"), "--customer: 'a/b' is no customer's id"),
    ((*UPDATE, "ep_1", "--usecase", "u"), "--usecase: 'u' is no usecase name"),
    ((*ROTATE, "ep_1", "--overlap", "soon"), "--overlap: 'soon' is no time"),
    ((*ROTATE, "ep_1", "--overlap", "5000d"), "--overlap: '5000d' is no time up to"),
    (("webhooks", "endpoints", "pause", "ep_off"), "ep_off is disabled: only an enabled endpoint can be paused"),
    (("webhooks", "endpoints", "resume", "ep_1"), "ep_1 is enabled: there is nothing to resume"),
    ((*LIST, "--state", "lost"), "--state: 'lost' is none of pending, delivered, dead"),
    ((*LIST, "--type", "target.*"), "Invalid value for '--type'"),
    ((*LIST, "--job", "17"), "--job: '17' is no job id; expected BATCH-ROW like 17-203"),
    ((*LIST, "--batch", "nightly"), "--batch: 'nightly' is no batch id"),
    ((*LIST, "--batch", HUGE), f"--batch: '{HUGE}' is no batch id"),
    ((*LIST, "--job", f"{HUGE}-1"), "--job: "),
    ((*LIST, "--since", "yesterday"), "--since: "),
    ((*LIST, "--endpoint", "ep_9"), NO_SUCH),
    ((*LIST, "--limit", "0"), "Invalid value for '--limit'"),
    ((*SHOW, "99"), "DELIVERY: there is no delivery 99 (coachsync webhooks deliveries list)"),
    ((*SHOW, "0"), "Invalid value for 'DELIVERY'"),
    ((*SHOW, "first"), "Invalid value for 'DELIVERY'"),
    ((*SHOW, HUGE), "Invalid value for 'DELIVERY'"),
    (RETRY, "say which: by number, or by an option such as --endpoint"),
    ((*RETRY, "1", "--state", "dead"), "give numbers, or say by options which are meant; not both"),
    ((*RETRY, "--state", "pending"), "--state: what is pending is sent anyway; give dead or delivered"),
    ((*RETRY, "99"), "DELIVERY: there is no delivery 99"),
    ((*RETRY, "1", HUGE), "Invalid value for '[DELIVERY]...'"),
    ((*RETRY, "--endpoint", "ep_9"), NO_SUCH),
    ((*RETRY, "--endpoint", "ep_off"), "ep_off is disabled: `coachsync webhooks endpoints resume ep_off` first"),
    ((*RETRY, "of ep_off"), "ep_off is disabled: `coachsync webhooks endpoints resume ep_off` first"),
    ((*RETRY, "of ep_gone"), "ENDPOINT: there is no endpoint 'ep_gone'"),
    ((*RECOVER, "ep_1"), "Missing option '--since'"),
    ((*RECOVER, "ep_1", "--since", "soon"), "--since: "),
    ((*RECOVER, "ep_1", "--since", "1h", "--until", "2h"), "--since: is not before --until"),
    ((*RECOVER, "ep_1", "--since", PAST, "--until", "later"), "--until: "),
    ((*RECOVER, "ep_1", "--since", PAST, "--type", "nothing"), "--type: 'nothing' is no event type"),
    ((*RECOVER, "ep_9", "--since", PAST), NO_SUCH),
    ((*RECOVER, "ep_off", "--since", PAST), "ep_off is disabled"),
    (LISTEN, "--secret: give the one that `coachsync webhooks endpoints create` has printed"),
    ((*LISTEN, "--secret", "hunter2"), "--secret: a secret begins with whsec_ or whpk_"),
    ((*LISTEN, "--secret", "whsec_%%%%"), "--secret: what follows the prefix is no base64"),
    ((*LISTEN, "--secret", "whsec_zoë"), "--secret: what follows the prefix is no base64"),
    ((*LISTEN, "--secret", "whsec_c2hvcnQ="), "--secret: a secret has 24 to 64 bytes, this one 5"),
    ((*LISTEN, "--secret", "whsk_" + "QUFB" * 8), "--secret: a secret begins with whsec_ or whpk_"),
    ((*LISTEN, "--secret", "@none"), "--secret: none: No such file or directory"),
    ((*LISTEN, "--secret", "@."), "--secret: .: Is a directory"),
    ((*LISTEN, "--secret", "@binary"), "--secret: binary: is no text"),
    ((*LISTEN, "--secret", "whsec_" + "QUFB" * 8, "--port", "70000"), "Invalid value for '--port'"),
    ((*LISTEN, "--secret", "whsec_" + "QUFB" * 8, "--host", "203.0.113.1"), "203.0.113.1:9000 cannot be listened on"),
    (("webhooks", "reseal"), "give the key it was sealed with, after the new one, in COACHSYNC_WEBHOOK_KEY"),
    (("webhooks", "endpoints", "lst"), "No such command 'lst'"),
]


@pytest.fixture
def store(sqlite_store: Database) -> Database:
    """One endpoint that is enabled, one disabled, one deleted; a delivery to each."""
    for name in ("ep_1", "ep_off", "ep_gone"):
        make_endpoint(sqlite_store, name)
    tell_some(sqlite_store, 1)
    set_endpoint(sqlite_store, "ep_off", state=DISABLED)
    with sqlite_store.write() as session:
        endpoints.remove(session, "ep_gone")
    return sqlite_store


@pytest.fixture
def program(
    store: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Program]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with program_like(command_on(store, tmp_path, webhook_key="k" * 32), monkeypatch, capsys) as one:
        yield one


@pytest.mark.parametrize(("argv", "error"), WRONG, ids=[" ".join(argv[1:])[:60] for argv, _ in WRONG])
def test_a_wrong_word_is_one_line_and_changes_nothing(
    store: Database, program: Program, argv: tuple[str, ...], error: str
) -> None:
    names = ("ep_1", "ep_off", "ep_gone")
    before = [endpoint(store, name) for name in names], deliveries_of(store)
    numbers = {f"of {one.endpoint_id}": str(one.id) for one in deliveries_of(store)}
    said = program(*(numbers.get(word, word) for word in argv))
    assert said.code == 2, said
    lines = said.err.splitlines()
    assert [line for line in lines if line.startswith("error: ")] == lines, said
    assert len(lines) == 1, said
    assert error in lines[0]
    assert said.out == ""
    assert "hunter2" not in said.err, "neither a password nor what may be a secret is shown"
    assert ([endpoint(store, name) for name in names], deliveries_of(store)) == before
    with store.read() as session:
        assert len(endpoints.list_all(session)) == 2

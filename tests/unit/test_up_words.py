"""The last lines of a start say what runs, where it sends to, where things are, and what to type next; no secret."""

from pathlib import Path

import pytest

from worker.cli.up_words import ready_words
from worker.configuration.settings import load_settings

URL = "http://127.0.0.1:8081"


def told(processes: int = 2, *, sandbox: bool = False, **given: str) -> list[str]:
    environ = {f"COACHSYNC_{name.upper()}": value for name, value in ({"home": "/h"} | given).items()}
    return ready_words(load_settings(environ, cwd=Path("/")), processes, sandbox=sandbox).splitlines()


def test_it_is_a_block_with_an_address_a_line() -> None:
    assert told(api_url=URL, sandbox=True) == [
        "",
        "Ready: 1 worker (2 processes), the loops, webhooks and the gateway. Ctrl-C stops all.",
        f"  sends to   the sandbox at {URL}",
        "  gateway    http://127.0.0.1:8080",
        "  console    http://127.0.0.1:8080/console",
        "  sign in    with a token: coachsync tokens create me --scope console:act",
        "  database   /h/coachsync.db",
        "  broker     Valkey, in /h",
        "  next       with the same settings in another terminal: coachsync doctor, targets apply FILE --wait, status",
    ]


def test_a_port_that_nobody_knows_yet_is_not_told() -> None:
    names = [line.split()[0] for line in told(1, gateway_listen="127.0.0.1:0")[2:]]
    assert names == ["sends", "database", "broker", "next"]


def test_who_is_sent_to(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(f'[remotes.acme]\ncustomers = ["acme"]\napi_url = "{URL}"\n')
    assert told(api_url=URL)[2] == f"  sends to   {URL}"
    assert told()[2] == "  sends to   nobody yet: set COACHSYNC_API_URL"
    assert told(api_url="http://127.0.0.1:1", config=str(tmp_path / "c.toml"))[2] == "  sends to   2 remotes"


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"broker_url": "redis://:hush@b/0"}, "  broker     redis://:••••@b/0"),
        ({"database_url": "postgresql://us:hush@d/x"}, "  database   postgresql+psycopg://us:••••@d/x"),
    ],
    ids=["broker", "database"],
)
def test_servers_of_ones_own_are_named_without_their_passwords(given: dict[str, str], line: str) -> None:
    assert line in told(api_url=URL, **given)

"""The last line of a start says what runs, where it sends to, where things are, and what to type next; no secret."""

from pathlib import Path

import pytest

from worker.cli.up_words import ready_words
from worker.configuration.settings import load_settings

URL = "http://127.0.0.1:8081"
NEXT = (
    " Next, in another terminal with the same settings: coachsync doctor, coachsync targets apply FILE --wait."
    " Ctrl-C stops all."
)
GATEWAY = (
    "the gateway is at http://127.0.0.1:8080, the console at http://127.0.0.1:8080/console"
    " (`coachsync tokens create me --scope console:act` lets you in)"
)
AT_HOME = "Valkey and the database are in /h"


def told(processes: int = 2, *, sandbox: bool = False, **given: str) -> str:
    environ = {f"COACHSYNC_{name.upper()}": value for name, value in ({"home": "/h"} | given).items()}
    words = ready_words(load_settings(environ, cwd=Path("/")), processes, sandbox=sandbox)
    assert "\n" not in words
    assert words.endswith(NEXT)
    return words.removesuffix(NEXT)


def test_where_it_sends_to() -> None:
    assert (
        told(api_url=URL)
        == f"Ready: 1 worker (2 processes) and the loops send to {URL}, webhooks are delivered; {GATEWAY}; {AT_HOME}."
    )
    assert told(api_url=URL, sandbox=True).startswith(
        f"Ready: 1 worker (2 processes) and the loops send to the sandbox at {URL}, webhooks"
    )
    assert (
        told(1) == "Ready: 1 worker (1 process) and the loops have nobody to send to, webhooks are delivered;"
        f" {GATEWAY}; {AT_HOME}."
    )


def test_several_remotes_are_counted(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(f'[remotes.acme]\ncustomers = ["acme"]\napi_url = "{URL}"\n')
    assert "send to 2 remotes," in told(api_url="http://127.0.0.1:1", config=str(tmp_path / "c.toml"))


@pytest.mark.parametrize(
    ("given", "places"),
    [
        (
            {"broker_url": "redis://:hush@b/0"},
            "the broker is redis://:••••@b/0, the database is sqlite:////h/coachsync.db.",
        ),
        (
            {"database_url": "postgresql://us:hush@d/x"},
            "Valkey is in /h, the database is postgresql+psycopg://us:••••@d/x.",
        ),
    ],
    ids=["broker", "database"],
)
def test_servers_of_ones_own_are_named_without_their_passwords(given: dict[str, str], places: str) -> None:
    assert told(api_url=URL, **given).endswith(f"; {places}")

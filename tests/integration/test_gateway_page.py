"""The page on the gateway shows what works: each of its curl lines is sent, as it stands, to a gateway."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.gateway_rig import Gateway, gateway_on
from tests.integration.store_rig import TEMPLATE, USECASE, name_of, offer, wish
from tests.services.stores import empty
from worker.configuration.settings import load_settings
from worker.core.access import Scope
from worker.store.engine import Database

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "how-to" / "use-the-http-gateway.md").read_text()
PROBLEMS = (DOCS / "reference" / "gateway-problems.md").read_text()
GATEWAY = Path(__file__).parents[2] / "worker" / "gateway"
BASE = "http://127.0.0.1:8080"
LINES = [
    line.removeprefix("$ ")
    for block in re.findall(r"^```console\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for line in re.split(r"\n(?=\$ )", block.replace("\\\n", " "))
    if line.startswith("$ curl")
]


@pytest.fixture(scope="module")
def gateway(_sqlite_store: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    empty(_sqlite_store)
    for _ in range(17):
        offer(_sqlite_store, *([None] * 202), wish(1))
    with gateway_on(_sqlite_store, tmp_path_factory.mktemp("gateway")) as one:
        yield one


def row(number: int) -> dict[str, Any]:
    return {"name": name_of(number), "scorecardTemplateName": TEMPLATE, "usecaseName": USECASE, "target": 50}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "updates.json").write_text(json.dumps([row(1), row(2)]))
    (tmp_path / "targets.jsonl").write_text("".join(json.dumps(row(number)) + "\n" for number in range(3)))
    header, values = ",".join(row(1)), [",".join(map(str, row(number).values())) for number in range(3)]
    (tmp_path / "targets.csv").write_text("\n".join([header, *values, ""]))
    return tmp_path


def sent(line: str, gateway: Gateway, files: Path) -> httpx.Response:
    """What curl would send."""
    words = iter(shlex.split(line)[1:])
    client, url, headers, content = gateway.client(*Scope), "", {}, None
    for word in words:
        match word:
            case "-sS" | "-sSN":
                pass
            case "-H":
                name, _, value = next(words).partition(": ")
                headers[name] = value
            case "-d" | "--data-binary":
                given = next(words)
                content = (files / given[1:]).read_bytes() if given.startswith("@") else given.encode()
            case _:
                url = word
    assert url.startswith(BASE), url
    assert headers.pop("Authorization") == "Bearer $TOKEN"
    method = "GET" if content is None else "POST"
    with client.stream(method, url.removeprefix(BASE), headers=headers, content=content) as answer:
        if answer.headers["content-type"].startswith("text/event-stream"):
            next(answer.iter_bytes())
        else:
            answer.read()
    return answer


def test_curl_lines_are_found() -> None:
    assert len(LINES) == 12


@pytest.mark.parametrize("line", LINES)
def test_what_the_page_sends_is_taken(line: str, gateway: Gateway, files: Path) -> None:
    if "targets/customers/acme/profiles/support/targets/t-00001" in line:
        sent(LINES[0], gateway, files)
    answer = sent(line, gateway, files)
    assert answer.status_code in (200, 202), answer.text


def test_the_pages_sources_are_settings(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    secret = tmp_path / "payroll"
    secret.write_text("p" * 32)
    secret.chmod(0o600)
    (tmp_path / "coachsync.toml").write_text(example.replace("/run/secrets/payroll", str(secret)))
    settings = load_settings({"HOME": str(tmp_path), "HRIS_SECRET": "whsec_" + "c" * 32}, cwd=tmp_path)
    assert settings.gateway.sources.keys() == settings.source_secrets.keys() == {"hris", "payroll"}


def test_every_problem_is_explained_and_no_other() -> None:
    code = "\n".join(path.read_text() for path in sorted(GATEWAY.glob("*.py")))
    raised = set(re.findall(r"HTTPStatus\.[A-Z_]+,\s*\"([a-z-]+)\"", code)) | {"not-found", "method-not-allowed"}
    assert "guard-tripped" in raised
    assert raised == set(re.findall(r"^\| `([a-z-]+)`", PROBLEMS, re.MULTILINE))

"""The gateway against its own document: it is what the code says, and whatever is made of it is answered as it says."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from tests.integration.gateway_rig import Gateway, gateway_on, make_token
from tests.integration.store_rig import applied, job_of, name_of, offer, take_one, wish, write
from tests.services.stores import empty
from worker.core.access import Scope
from worker.gateway.openapi import document
from worker.store.engine import Database

CONTRACT = Path(__file__).parents[2] / "docs" / "reference" / "gateway.openapi.json"
DOCUMENT: dict[str, Any] = json.loads(CONTRACT.read_text())


@schemathesis.serializer("application/jsonl", "application/x-ndjson", "text/tab-separated-values")
def _as_it_is(_: object, value: Any) -> bytes:
    return str(value).encode(errors="replace")


contract = schemathesis.openapi.from_path(CONTRACT).exclude(path="/v1/batches/{batch}/events")


@pytest.fixture(scope="module")
def gateway(_sqlite_store: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    empty(_sqlite_store)
    with gateway_on(_sqlite_store, tmp_path_factory.mktemp("gateway")) as one:
        yield one


@pytest.fixture(scope="module")
def token(gateway: Gateway) -> str:
    job = job_of(gateway.store, wish(1))
    write(gateway.store, applied(take_one(gateway.store, job)))
    offer(gateway.store, None, wish(2))
    return make_token(gateway.store, *Scope)


def test_the_document_is_what_the_code_says() -> None:
    assert CONTRACT.read_text() == document(), "`make docs` writes it anew"


def test_it_is_valid_openapi() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_every_operation_says_who_may_and_how_it_refuses() -> None:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            if path.startswith("/v1"):
                assert "security" in operation, (method, path)
                assert {"401", "503"} <= operation["responses"].keys(), (method, path)


@contract.parametrize()
@settings(
    max_examples=4,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_one_that_the_document_describes(case: schemathesis.Case, gateway: Gateway, token: str) -> None:
    """But no schema says what a name looks like, and of an array the rows that are wrong are set aside: 202."""
    headers = {"Authorization": f"Bearer {token}"}
    beyond_schemas = [negative_data_rejection, positive_data_acceptance]
    case.call_and_validate(base_url=gateway.url, headers=headers, excluded_checks=beyond_schemas)


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/v1/jobs", "/v1/jobs"),
        ("/v1/jobs/1-1", "/v1/jobs/{job}"),
        ("/v1/batches", "/v1/batches"),
        ("/v1/batches/2", "/v1/batches/{batch}"),
        ("/v1/batches/2/rejections", "/v1/batches/{batch}/rejections"),
        (f"/v1/targets/{quote(name_of(1))}", "/v1/targets/{name}"),
        (f"/v1/targets/{quote(name_of(1))}/history", "/v1/targets/{name}/history"),
        ("/v1/explain/1", "/v1/explain/{what}"),
        ("/v1/explain/1-1", "/v1/explain/{what}"),
    ],
)
def test_what_is_there_is_told_in_the_documents_shape(path: str, template: str, gateway: Gateway, token: str) -> None:
    answer = httpx.get(f"{gateway.url}{path}", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200, answer.text
    shape = DOCUMENT["paths"][template]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    told = answer.json()
    Draft202012Validator(shape | {"components": DOCUMENT["components"]}).validate(told)
    name = shape["$ref"].rpartition("/")[2]
    if name != "Story":
        properties = DOCUMENT["components"]["schemas"][name]["properties"]
        assert told.keys() == properties.keys()

"""The sandbox against the written contract: whatever is generated from it is answered as it says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, Phase, settings
from openapi_spec_validator import OpenAPIV31SpecValidator

from schemas.instants import parse_instant
from tests.contract.sandbox_caller import calling

CONTRACT = Path(__file__).parents[2] / "docs" / "reference" / "coaching-api.openapi.yaml"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with calling() as api:
        yield api.sandbox.url


contract = schemathesis.openapi.from_path(CONTRACT)


def test_the_contract_is_valid_openapi() -> None:
    OpenAPIV31SpecValidator(yaml.safe_load(CONTRACT.read_text())).validate()


@contract.parametrize()
@settings(
    max_examples=12,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_one_that_the_contract_describes(case: schemathesis.Case, url: str) -> None:
    if _period_runs_backwards(case.body):
        assert case.call(base_url=url).status_code in {400, 404}
    else:
        case.call_and_validate(base_url=url)


def _period_runs_backwards(body: Any) -> bool:
    """What a schema cannot say."""
    try:
        period = body["evaluationPeriod"]
        return bool(parse_instant(period["endTime"]) < parse_instant(period["startTime"]))
    except (TypeError, KeyError, ValueError):
        return False

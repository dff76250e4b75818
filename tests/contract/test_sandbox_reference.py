"""The two calls that the vendor's reference prints, with real names filled in, against a fresh sandbox."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from api_adapter.sandbox.options import SandboxOptions
from tests.contract.sandbox_caller import PROFILE, calling

CURL = shutil.which("curl")
TEMPLATE, USECASE = f"{PROFILE}/scorecardTemplates/empathy", f"{PROFILE}/usecases/voice"
UPDATE = (
    f"/v1/{PROFILE}/targets/t-00001"
    f"?target.scorecardTemplateName={TEMPLATE}&target.target=0.1&target.usecaseName={USECASE}"
)
QUOTA_BODY = """{
    "usecaseName": "USECASE",
    "overrideTaskCompleteConfig": {
      "evaluatedConversationCountPerAgent": 0,
      "overriddenAgents": [
        {
          "group": "customers/acme/groups/tier-1",
          "user": "customers/acme/users/agent-001",
          "evaluatedConversationCountPerAgent": 0
        }
      ]
    },
    "evaluationPeriod": {
      "startTime": "2019-08-24T14:15:22Z",
      "endTime": "2019-08-24T14:15:22Z"
    }
  }""".replace("USECASE", USECASE)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with calling(SandboxOptions()) as api:
        yield api.sandbox.url


def _call(method: str, url: str, body: str = "") -> tuple[int, str]:
    """Through curl as printed; where there is none, the same bytes through ``http.client``."""
    return _through_curl(method, url, body) if CURL else _through_http_client(method, url, body)


def _through_curl(method: str, url: str, body: str) -> tuple[int, str]:
    assert CURL
    posted = ["-H", "Content-Type: application/json", "-d", body] if body else []
    command = [CURL, "--silent", "--show-error", "--noproxy", "*", "-i", "-X", method, url, *posted]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=90).stdout
    head, _, answer = printed.partition("\n\n")
    return int(head.split()[1]), answer


def _through_http_client(method: str, url: str, body: str) -> tuple[int, str]:
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=90)
    try:
        headers = {"Content-Type": "application/json"} if body else {}
        connection.request(method, f"{parts.path}?{parts.query}", body=body or None, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_the_printed_update_works(url: str) -> None:
    status, answer = _call("PATCH", url + UPDATE)
    target = json.loads(answer)["target"]
    assert status == 200
    assert (target["name"], target["target"]) == (f"{PROFILE}/targets/t-00001", 0.1)
    assert (target["scorecardTemplateName"], target["usecaseName"]) == (TEMPLATE, USECASE)


def test_the_printed_quota_call_works(url: str) -> None:
    status, answer = _call("POST", f"{url}/v1/{TEMPLATE}@1:retrieveTotalAgentQuota", QUOTA_BODY)
    assert status == 200
    assert json.loads(answer) == {"totalAgentQuota": 0, "totalActiveAgentsCount": 72}


def test_both_ways_of_calling_see_the_same(url: str) -> None:
    path = f"{url}/v1/{PROFILE}/targets/t-00002"
    assert _through_http_client("GET", path, "") == _call("GET", path)

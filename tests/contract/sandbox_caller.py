"""A caller of the sandbox that says what a test says: update this target, ask for that quota."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from api_adapter.sandbox.background import background_sandbox
from api_adapter.sandbox.options import SandboxOptions
from api_adapter.sandbox.server import RunningSandbox

PROFILE = "customers/acme/profiles/support"
TARGET = f"{PROFILE}/targets/t-00006"  # attached to a coaching plan, and with a criterion
IDENTITY = {
    "scorecardTemplateName": f"{PROFILE}/scorecardTemplates/empathy",
    "criterionOrChapterId": "greeting",
    "usecaseName": f"{PROFILE}/usecases/voice",
    "coachingPlanName": f"{PROFILE}/coachingPlans/plan-003",
}
WISH = IDENTITY | {"target": "82.5"}


@dataclass(frozen=True, slots=True)
class Caller:
    sandbox: RunningSandbox
    http: httpx.Client

    def update(
        self, name: str = TARGET, fields: Mapping[str, Any] = WISH, *, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        query = {f"target.{field}": value for field, value in fields.items()}
        return self.http.patch(f"/v1/{name}", params=query, headers=dict(headers or {}))

    def get(self, name: str = TARGET) -> dict[str, Any]:
        answer = self.http.get(f"/v1/{name}")
        assert answer.status_code == 200, answer.text
        target: dict[str, Any] = answer.json()["target"]
        return target

    def script(self, fault: Mapping[str, Any], **entry: Any) -> None:
        answer = self.http.post("/_sandbox/faults", json=[{"fault": fault, **entry}])
        assert answer.status_code == 200, answer.text

    def settings(self, **settings: Any) -> None:
        assert self.http.put("/_sandbox/settings", json=settings).status_code == 200

    def ledger(self) -> dict[str, Any]:
        summary: dict[str, Any] = self.http.get("/_sandbox/ledger").json()
        return summary


@contextmanager
def calling(options: SandboxOptions = SandboxOptions(targets=30), **server: Any) -> Iterator[Caller]:  # noqa: B008 - frozen
    with background_sandbox(options, **server) as sandbox, httpx.Client(base_url=sandbox.url, timeout=5) as http:
        yield Caller(sandbox, http)

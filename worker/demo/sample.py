"""Pure: the sample that the demo applies, as the text of the files that a user would have."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random  # noqa: TID251 - seeded: the same sample every time

from api_adapter.sandbox.seed import CUSTOMERS, REVISIONS, TEMPLATES, USECASES, profile_name, sample_targets
from api_adapter.sandbox.targets import Target
from schemas.instants import format_instant

TARGETS = 1_000  # of each customer
COLUMNS = (
    "name",
    "scorecardTemplateName",
    "usecaseName",
    "criterionOrChapterId",
    "coachingPlanName",
    "target",
    "asOf",
)
EVENING = datetime(2026, 1, 5, 18, tzinfo=UTC)
Row = dict[str, str]


def targets_csv() -> str:
    """2,000 targets of two customers, 200 of them asked for twice, 100 stale wishes, and some rows that are wrong."""
    random = Random(7)  # noqa: S311 - a sample is no secret
    rows = [row for customer in CUSTOMERS for row in _customer(customer, random)]
    for wrong, (field, value) in enumerate(_WRONG):
        rows.insert(31 + 97 * wrong, rows[17 * wrong] | {field: value})
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def quotas_jsonl() -> str:
    """A dozen recalculations: each template of each customer in each usecase."""
    wishes = (
        {
            "scorecardTemplateName": f"{profile_name(customer)}/scorecardTemplates/{template}@{REVISIONS[-1]}",
            "usecaseName": f"{profile_name(customer)}/usecases/{usecase}",
        }
        for customer in CUSTOMERS
        for template in TEMPLATES
        for usecase in USECASES
    )
    return "".join(json.dumps(wish) + "\n" for wish in wishes)


def faults_json() -> str:
    """A few faults, where they hurt."""
    update = {"method": "PATCH"}
    return json.dumps(
        [
            {"match": update | {"nth": 400}, "fault": {"kind": "status", "status": 429, "retry_after": "1"}},
            {"match": update | {"nth": 700}, "fault": {"kind": "status", "status": 503}},
            {"match": update | {"nth": 1000}, "fault": {"kind": "cut_after"}},
            {"match": update | {"nth": 1300}, "fault": {"kind": "cut_before"}},
            {"match": update | {"nth": 1500}, "fault": {"kind": "garbage"}},
        ],
        indent=2,
    )


_WRONG = (
    ("target", "101"),
    ("target", "NaN"),
    ("target", "eighty"),
    ("target", ""),
    ("target", "-1"),
    ("name", "targets/t-00001"),
    ("usecaseName", ""),
    ("usecaseName", "customers/elsewhere/profiles/support/usecases/voice"),
    ("coachingPlanName", "plan-7"),
    ("asOf", "yesterday"),
    ("scorecardTemplateName", "customers/acme/profiles/support/scorecardTemplates/empathy@3"),
    ("target", "82,5"),
)


def _customer(customer: str, random: Random) -> Iterator[Row]:
    for number, target in enumerate(sample_targets(customer)[:TARGETS], start=1):
        wish = _row(target, random.randint(600, 950) / 10, EVENING)
        if number % 10 == 0:
            yield wish | {"target": "70", "asOf": format_instant(EVENING - timedelta(hours=4))}
        yield wish
        if number % 20 == 0:
            yield wish | {"target": "50", "asOf": format_instant(EVENING - timedelta(days=1))}


def _row(target: Target, value: float, as_of: datetime) -> Row:
    fields = (
        target.name,
        target.scorecard_template_name,
        target.usecase_name,
        target.criterion_or_chapter_id,
        target.coaching_plan_name,
        f"{value:g}",
        format_instant(as_of),
    )
    return dict(zip(COLUMNS, fields, strict=True))

"""What alerts, rules and the dashboard ask for is exported; each alert has its entry in the runbook."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from worker.telemetry.catalogue import EVERY, Kind
from worker.telemetry.reference import reference

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "coachsync.json").read_text())
RULES = [
    rule
    for name in ("rules.yml", "alerts.yml")
    for group in yaml.safe_load((PROMETHEUS / name).read_text())["groups"]
    for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]
EXPORTED = {name: metric for metric in EVERY for name in metric.samples}
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
_SELECTED = re.compile(r"(coachsync[a-z0-9_:]+)(?:\{([^}]*)\})?")


def _panels() -> Iterator[dict[str, Any]]:
    yield from (panel for panel in DASHBOARD["panels"] if panel["type"] != "row")


def _expressions() -> list[Any]:
    asked = [(rule.get("alert") or rule["record"], rule["expr"]) for rule in RULES]
    asked += [(panel["title"], target["expr"]) for panel in _panels() for target in panel["targets"]]
    asked += [(one["name"], one["query"]) for one in DASHBOARD["templating"]["list"] if one["type"] == "query"]
    return [pytest.param(expression, id=name) for name, expression in asked]


@pytest.mark.parametrize("expression", _expressions())
def test_what_is_asked_for_is_exported_with_the_labels_it_is_selected_by(expression: str) -> None:
    selected = _SELECTED.findall(expression)
    assert selected
    for name, labels in selected:
        assert name in EXPORTED or name in RECORDED, name
        if name in EXPORTED:
            asked = set(re.findall(r"(\w+)\s*[=!]", labels))
            assert asked <= {*EXPORTED[name].labels, "process", "le"}, (name, labels)


@pytest.mark.parametrize("expression", _expressions())
def test_only_what_counts_up_is_asked_for_its_rate(expression: str) -> None:
    for function, name in re.findall(r"\b(rate|increase|delta)\((coachsync\w+)", expression):
        assert (EXPORTED[name].kind is Kind.GAUGE) is (function == "delta"), name


def test_names_are_as_prometheus_wants_them() -> None:
    for metric in EVERY:
        assert re.fullmatch(r"coachsync(_[a-z0-9]+)+", metric.name)
        assert metric.name.endswith("_total") is (metric.kind is Kind.COUNTER)
        assert len(metric.labels) <= 3
    assert len({metric.name for metric in EVERY}) == len(EVERY)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_every_alert_says_what_it_is_and_has_an_entry_in_the_runbook(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    assert alert["annotations"].keys() == {"summary", "description", "runbook"}
    page, _, anchor = alert["annotations"]["runbook"].partition("#")
    assert f"\n## {anchor}\n" in (ROOT / page).read_text()


def test_every_entry_of_the_runbook_has_its_alert() -> None:
    entries = re.findall(r"^## ([a-z0-9-]+)$", (ROOT / "docs" / "how-to" / "runbook.md").read_text(), re.MULTILINE)
    assert entries == [alert["annotations"]["runbook"].partition("#")[2] for alert in ALERTS]


def test_the_panels_have_numbers_of_their_own_and_do_not_overlap() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    cells = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(ids)) == len(ids)
    assert len(set(cells)) == len(cells)


def test_every_metric_is_on_the_dashboard_or_in_a_rule() -> None:
    text = json.dumps(DASHBOARD) + "".join(rule["expr"] for rule in RULES)
    unseen = {metric.name for metric in EVERY if not any(name in text for name in metric.samples)}
    assert unseen <= {"coachsync_jobs_claimed_total", "coachsync_loop_passes_total"}


def test_the_page_of_metrics_is_what_the_code_has() -> None:
    page = ROOT / "docs" / "reference" / "metrics.md"
    assert page.read_text() == reference(), "`make docs` writes it anew"


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "rules.yml", "alerts.yml"),
        ("check", "config", "prometheus.yml"),
        ("test", "rules", "alerts.test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_takes_the_rules_and_their_own_tests_hold(arguments: tuple[str, ...]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not on this machine")
    done = subprocess.run(
        [promtool, *arguments], cwd=PROMETHEUS, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr

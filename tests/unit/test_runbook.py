"""Each entry of the runbook says what it means, where to look, what to do and whom to wake; commands are commands."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from worker.cli.main import build

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "runbook.md").read_text()
ENTRIES = dict(re.findall(r"^## ([a-z0-9-]+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
SEVERITY = {
    rule["annotations"]["runbook"].partition("#")[2]: rule["labels"]["severity"]
    for group in yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
}
COMMAND: Any = typer.main.get_command(build())
COMMANDS = [
    pytest.param(command, id=f"{name}: {command}")
    for name, text in ENTRIES.items()
    for command in re.findall(r"`(coachsync [^`]+)`", text)
]


def test_each_alert_has_its_entry_and_each_entry_its_alert() -> None:
    assert list(ENTRIES) == list(SEVERITY)


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_answers_the_four_questions_in_their_order(name: str) -> None:
    assert re.findall(r"^- \*\*(\w+)\*\*", ENTRIES[name], re.MULTILINE) == ["Means", "Look", "Do", "Wake"]


@pytest.mark.parametrize("name", ENTRIES)
def test_a_critical_alert_wakes_somebody_and_one_that_informs_wakes_nobody(name: str) -> None:
    wakes = not re.search(r"\*\*Wake\*\* nobody", ENTRIES[name])
    if SEVERITY[name] == "critical":
        assert wakes
    if SEVERITY[name] == "info":
        assert not wakes


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_that_it_names_exists_with_these_options(command: str) -> None:
    _, *words = shlex.split(command)
    found = COMMAND
    while words and words[0] in getattr(found, "commands", {}):
        found, words = found.commands[words[0]], words[1:]
    assert not getattr(found, "commands", None), f"{found.name} is a group"
    known = {spelling for each in found.params for spelling in each.opts}
    assert {word for word in words if word.startswith("-")} <= known


def test_commands_are_found() -> None:
    assert len(COMMANDS) > 40

"""What the documentation says of commands, settings of Celery, error codes and log actions is what the code has."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from worker.app import _SETTINGS, _TRANSPORT
from worker.cli.main import build
from worker.cli.reference import reference

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
SOURCE = {
    path: path.read_text() for package in ("worker", "api_adapter") for path in sorted((ROOT / package).rglob("*.py"))
}
COMMAND = typer.main.get_command(build())


def _fenced(text: str) -> Iterator[str]:
    for block in re.findall(r"^```[a-z]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield from block.replace("\\\n", " ").splitlines()


def _command_lines(page: Path) -> list[str]:
    """What begins with ``coachsync``, after a prompt, a path or variables; what follows a ``#`` is for people."""
    begins = re.compile(r"^(?:\$ )?(?:[A-Z_]+=\S+ )*(?:ExecStart(?:Pre)?=)?\S*?\bcoachsync(?= [a-z-])(.*)")
    return [found[1] for line in _fenced(page.read_text()) if (found := begins.match(line.strip()))]


def _resolve(words: list[str]) -> tuple[Any, list[str]]:
    command = COMMAND
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    return command, words


COMMAND_LINES = [
    pytest.param(line, id=f"{page.relative_to(ROOT)}:{line}") for page in PAGES for line in _command_lines(page)
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_something(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text())
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_every_command_line_shown_has_a_command_and_options_that_exist(line: str) -> None:
    command, words = _resolve(shlex.split(line, comments=True))
    assert not getattr(command, "commands", None), f"{command.name} is a group: no subcommand is named"
    known = {spelling for each in command.params for spelling in each.opts} | {"--help"}
    asked = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
    assert asked <= known


def test_command_lines_are_found() -> None:
    assert len(COMMAND_LINES) > 20


def test_the_page_of_commands_is_what_the_commands_say() -> None:
    assert (REFERENCE / "cli.md").read_text() == reference(), "`make docs` writes it anew"


def test_each_command_shows_how_it_is_called() -> None:
    _, *commands = reference().split("\n## `")
    assert not [one.partition("`")[0] for one in commands if "```console" not in one]


def test_every_log_action_is_explained() -> None:
    written = re.compile(r"\b_?log\.(?:debug|info|warning|error|exception)\(\s*\"(\w+)\"")
    actions = {action for text in SOURCE.values() for action in written.findall(text)}
    assert "chunk_done" in actions
    assert actions == _first_column("log.md")


def test_every_error_code_of_a_job_is_explained() -> None:
    given = re.compile(r"\bFail\(\s*\"(\w+)\"|error_code=\"(\w+)\"")
    codes = {code for text in SOURCE.values() for pair in given.findall(text) for code in pair if code}
    assert {"poison", "not_found"} <= codes
    assert codes == {code for code in _first_column("errors.md") if code.islower()}


def test_every_setting_of_celery_is_explained() -> None:
    page = (ROOT / "docs" / "explanation" / "celery.md").read_text()
    assert not {name for name in (*_SETTINGS, *_TRANSPORT) if f"`{name}" not in page}


def _first_column(page: str) -> set[str]:
    """The names in the first column of the page's tables; one cell may hold several."""
    rows = re.findall(r"^\| (`.*?) \|", (REFERENCE / page).read_text(), re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}

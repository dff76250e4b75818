"""What the pages show is what works: settings are taken, JSON and Python parse, links and anchors lead somewhere."""

import ast
import importlib
import json
import re
import shlex
import shutil
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from worker.cli.main import build
from worker.configuration.settings import load_settings

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *(path for path in sorted((ROOT / "docs").rglob("*.md")) if path.parent.name != "site"),
]
_BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!\\)\]\(([^)\s]+)\)")
COMMAND: Any = typer.main.get_command(build())
_OURS = ("worker", "api_adapter", "schemas")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(kind: str) -> list[Any]:
    """Of one language, also those inside a list."""
    return [
        pytest.param(textwrap.dedent(text), id=f"{name_of(page)}-{number}")
        for page in PAGES
        for number, (_, language, text) in enumerate(_BLOCK.findall(page.read_text()))
        if language == kind
    ]


def prose(page: Path) -> str:
    """Without what stands in blocks."""
    return _BLOCK.sub("", page.read_text())


@pytest.mark.parametrize("text", blocks("toml"))
def test_settings_that_a_page_shows_are_taken(text: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a-secret-of-the-tests-that-is-long-enough")
    secret.chmod(0o600)
    given = re.sub(r'^((?:\w+_file|ca_bundle) = )"[^"]*"', rf'\1"{secret}"', text, flags=re.MULTILINE)
    (tmp_path / "coachsync.toml").write_text(given)
    variables = re.findall(r'^\w+_env = "(\w+)"', given, re.MULTILINE)
    environ = {"HOME": str(tmp_path)} | dict.fromkeys(variables, "a-secret-of-the-tests-that-is-long-enough")
    assert load_settings(environ, cwd=tmp_path), "SettingsError says what is wrong"


@pytest.mark.parametrize("text", blocks("json"))
def test_json_that_a_page_shows_parses(text: str) -> None:
    assert json.loads(text)


@pytest.mark.parametrize("text", blocks("python"))
def test_python_that_a_page_shows_parses_and_imports_what_there_is(text: str) -> None:
    tree = compile(text, "a page", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    assert isinstance(tree, ast.Module)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(_OURS):
            module = importlib.import_module(node.module)
            assert all(hasattr(module, name.name) for name in node.names)


@pytest.mark.parametrize("text", blocks("sh"))
def test_what_a_shell_is_given_is_what_it_reads(text: str) -> None:
    assert subprocess.run([shutil.which("sh") or "sh", "-n"], input=text, text=True, check=False).returncode == 0


def anchors(page: Path) -> set[str]:
    """As GitHub and the site make them of headings."""
    found = set[str]()
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", prose(page), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        found.add(re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", plain)))
    return found


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_to_a_file_and_every_anchor_to_a_heading(page: Path) -> None:
    broken = []
    for link in _LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_has_one_title_and_no_heading_twice(page: Path) -> None:
    headings = re.findall(r"^(#{1,6}) +(.+?) *$", prose(page), re.MULTILINE)
    assert [marks for marks, _ in headings].count("#") == 1
    if page.name != "CHANGELOG.md":
        assert len(anchors(page)) == len(headings)


def _named_in_prose() -> Iterator[Any]:
    for page in PAGES:
        for span in re.findall(r"`(coachsync [a-z][^`]*)`", prose(page).replace("\n", " ")):
            yield pytest.param(span, id=f"{name_of(page)}:{span}")


@pytest.mark.parametrize("span", list(_named_in_prose()))
def test_every_command_named_in_a_sentence_exists_with_its_options(span: str) -> None:
    """A group may be named as a whole there."""
    _, *words = shlex.split(span.replace("…", " ").replace("'", ""))
    found = COMMAND
    while words and words[0] in getattr(found, "commands", {}):
        found, words = found.commands[words[0]], words[1:]
    assert found.name != "coachsync", f"no command: {span}"
    assert not (getattr(found, "commands", None) and words), f"no command of {found.name}: {words[0]}"
    known = {spelling for each in found.params for spelling in each.opts} | {"--help"}
    assert {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)} <= known


def test_pages_are_found() -> None:
    assert len(PAGES) > 30
    assert len(blocks("toml")) > 10
    assert len(list(_named_in_prose())) > 100


def test_every_page_is_listed_on_the_first() -> None:
    """By itself, or as one of a folder whose own first page lists it."""
    listed = set[Path]()
    for index in (ROOT / "docs" / "README.md", *sorted((ROOT / "docs").rglob("*/README.md"))):
        listed |= {(index.parent / link.partition("#")[0]).resolve() for link in _LINK.findall(prose(index))}
    assert {page for page in PAGES if page.is_relative_to(ROOT / "docs")} - listed == {ROOT / "docs" / "README.md"}

"""The reference page of all commands, written from the commands themselves: `make docs`."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from worker.cli.main import build

_HEAD = """\
# The `coachsync` command

Written from the commands themselves by `make docs`; `coachsync COMMAND --help` says the same. Settings come from the
environment and `coachsync.toml`: [settings.md](settings.md).

## Exit codes

| code | meaning |
|---|---|
| 0 | done |
| 1 | some work failed (a row rejected, a job failed or cancelled), or the database or the broker cannot be used |
| 2 | bad input or usage: nothing was written |
| 3 | stopped by [the guard](../explanation/guard.md): nothing was written, a person is asked |
| 4 | `--timeout` is over; the work goes on |
| 130 | interrupted; what was accepted goes on |

`targets plan` and `reconcile --dry-run` end with 2 where there is something to do, and with 1 for every error. `doctor`
and `policy check` end with 1 where something is wrong. `status` ends with 0 whatever it has found, with 1 where the
database cannot be read, with 2 where it has no tables yet: a monitor reads `status --json`, or asks `doctor`.

What was asked for goes to standard output, and is JSON with `--json`; notes, progress and errors (one line, `error: …`)
go to standard error.
"""
_EXAMPLE = re.compile(r"^Example: ", re.MULTILINE)
_PLAIN_TYPES = {"<int range>": "N", "<float range>": "N", "<int>": "N", "<str>": "TEXT", "<path>": "PATH"}


def reference() -> str:
    """The whole page, as Markdown."""
    root = typer.main.get_command(build())
    context = typer.Context(root, info_name="coachsync")
    return "\n".join([_HEAD, *(_section(command, its) for command, its in _commands(root, context))])


def _commands(command: Any, context: typer.Context) -> Iterator[tuple[Any, typer.Context]]:
    """The commands that do something, in the order of ``--help``; a group is only the way to its own."""
    children = getattr(command, "commands", None)
    if children is None:
        yield command, context
        return
    for name, child in children.items():
        yield from _commands(child, typer.Context(child, info_name=name, parent=context))


def _section(command: Any, context: typer.Context) -> str:
    shown = [(each, record) for each in command.params if (record := each.get_help_record(context))]
    arguments = [each.metavar for each, _ in shown if each.param_type_name == "argument"]
    usage = " ".join([context.command_path, *arguments, "[OPTIONS]" if len(arguments) < len(shown) else ""]).strip()
    parts = [f"## `{context.command_path}`\n", f"```text\n{usage}\n```\n", _prose(command.help)]
    if shown:
        rows = [f"| `{_cell(_named(each, record[0]))}` | {_cell(record[1])} |" for each, record in shown]
        parts.append("\n".join(["| | |", "|---|---|", *rows]) + "\n")
    return "\n".join(parts)


def _named(parameter: Any, spelled: str) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.metavar)
    for shown, plain in _PLAIN_TYPES.items():
        spelled = spelled.replace(shown, plain)
    return spelled.replace("<", "").replace(">", "")


def _prose(text: str) -> str:
    """The help as it stands, its examples as blocks."""
    paragraphs = text.strip().split("\n\n")
    return "\n\n".join(_paragraph(each) for each in paragraphs) + "\n"


def _paragraph(text: str) -> str:
    if not _EXAMPLE.match(text):
        return text
    first, *more = _EXAMPLE.sub("", text).splitlines()
    return "\n".join(["```console", " \\\n    ".join([f"$ {first}", *more]), "```"])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("  [", " [")


def main() -> None:
    Path(sys.argv[1]).write_text(reference(), encoding="utf-8")


if __name__ == "__main__":
    main()

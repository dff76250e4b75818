"""CSV, TSV or JSON lines: by the file's suffix, else by how its first line looks."""

from enum import StrEnum
from pathlib import PurePath

from worker.intake.lines import Line
from worker.intake.source import FileRefused

_ONE_A_LINE = "write one JSON object a line (JSONL)"


class Format(StrEnum):
    CSV = "csv"
    TSV = "tsv"
    JSONL = "jsonl"


_SUFFIXES = {".csv": Format.CSV, ".tsv": Format.TSV, ".jsonl": Format.JSONL, ".ndjson": Format.JSONL}


def format_of(first: Line, name: str, known: Format | None = None) -> Format:
    """Raise ``FileRefused`` for JSON that is not one object a line."""
    head = first.data.strip()
    where = f"{name}, line {first.number}"
    form = known or _SUFFIXES.get(PurePath(name.lower().removesuffix(".gz")).suffix) or _looks_like(head)
    if form is Format.JSONL and head.startswith(b"["):
        raise FileRefused(f"{where}: a JSON array; {_ONE_A_LINE}, as jq -c '.[]' does")
    if form is Format.JSONL and head == b"{":
        raise FileRefused(f"{where}: a JSON object spread over several lines; {_ONE_A_LINE}, as jq -c . does")
    return form


def _looks_like(head: bytes) -> Format:
    if head.startswith((b"{", b"[")):
        return Format.JSONL
    return Format.TSV if b"\t" in head else Format.CSV

"""Pure: a table as text for a terminal, and as Markdown."""

from collections.abc import Iterator, Sequence

from benchmarks.figures import Column, Row, Spread, Table, how_many_times_better, spread

NOTHING = "-"


def as_text(table: Table) -> str:
    lines = _cells(table)
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    body = ["  ".join(_padded(line, widths)).rstrip() for line in lines]
    return "\n".join([f"{table.title}: {table.setting}", *body, *_notes(table)])


def as_markdown(table: Table) -> str:
    head, *body = _cells(table)
    rule = ["---", *("--:" for _ in head[1:])]
    lines = ["| " + " | ".join(line) + " |" for line in (head, rule, *body)]
    return "\n".join(
        [
            f"{table.setting[:1].upper()}{table.setting[1:]}.",
            "",
            *lines,
            *("" for _ in _notes(table)[:1]),
            *_notes(table),
        ]
    )


def _cells(table: Table) -> list[list[str]]:
    compared = [column for column in table.columns if column.better and len(table.rows) > 1 and table.ours]
    head = ["", *(column.name for column in table.columns), *(f"gain in {one.name}" for one in compared)]
    return [head, *([row.name, *_figures(table, row), *_ratios(table, row, compared)] for row in table.rows)]


def _figures(table: Table, row: Row) -> Iterator[str]:
    for column in table.columns:
        yield _with_spread(spread(row.rounds.get(column.name, ())), column)


def _ratios(table: Table, row: Row, compared: Sequence[Column]) -> Iterator[str]:
    for column in compared:
        ratio = how_many_times_better(table, row, column)
        yield f"{ratio.median:.2f}x" if ratio else NOTHING


def _with_spread(figures: Spread | None, column: Column) -> str:
    if figures is None:
        return NOTHING
    median, least, most = (_figure(one, column) for one in (figures.median, figures.least, figures.most))
    return median if least == most else f"{median} ({least} to {most})"


def _figure(value: float, column: Column) -> str:
    return f"{value:.{column.digits}%}" if column.share else f"{value:,.{column.digits}f}"


def _notes(table: Table) -> list[str]:
    return [f"- {row.name}: {row.note}" for row in table.rows if row.note]


def _padded(line: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    first, *others = zip(line, widths, strict=True)
    yield first[0].ljust(first[1])
    for cell, width in others:
        yield cell.rjust(width)

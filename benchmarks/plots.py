"""Pure: a table's first column as bars, with the spread of the rounds, in SVG."""

from html import escape

from benchmarks.figures import Table, spread

WIDTH, LABELS, BAR, GAP = 720, 200, 16, 8
_OURS, _OTHERS, _SPREAD = "#2563eb", "#94a3b8", "#111827"


def bars(table: Table) -> str:
    """Nothing, where there are no two rows to compare."""
    column = table.columns[0]
    found = [(row.name, one) for row in table.rows if (one := spread(row.rounds.get(column.name, ())))]
    longest = max((one.most for _, one in found), default=0)
    if len(found) < 2 or not longest:  # noqa: PLR2004 - a single bar says nothing
        return ""
    scale = (WIDTH - LABELS - 80) / longest
    height = len(found) * (BAR + GAP) + 28
    size = f'width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="12"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}>',
        f'<text x="{LABELS}" y="14">{escape(column.name)}</text>',
    ]
    for number, (name, one) in enumerate(found):
        top = 24 + number * (BAR + GAP)
        least, median, most = (figure * scale for figure in (one.least, one.median, one.most))
        value = f"{one.median:.{column.digits}%}" if column.share else f"{one.median:,.{column.digits}f}"
        fill = _OURS if name == table.ours else _OTHERS
        ends = f'x1="{LABELS + least:.1f}" x2="{LABELS + most:.1f}" y1="{top + BAR / 2}" y2="{top + BAR / 2}"'
        lines += [
            f'<text x="{LABELS - 8}" y="{top + 12}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{LABELS}" y="{top}" width="{median:.1f}" height="{BAR}" fill="{fill}"/>',
            f'<line {ends} stroke="{_SPREAD}" stroke-width="2"/>',
            f'<text x="{LABELS + most + 6:.1f}" y="{top + 12}">{value}</text>',
        ]
    return "\n".join([*lines, "</svg>"]) + "\n"

"""What is made of measured figures: spreads, gains, tables, plots. Nothing is measured here."""

import xml.etree.ElementTree as ET

import pytest

from benchmarks.figures import Better, Column, Row, Spread, Table, gathered, how_many_times_better, spread
from benchmarks.limit.windows import over_the_limit
from benchmarks.plots import bars
from benchmarks.rendering import as_markdown, as_text
from benchmarks.report import document
from benchmarks.results import Results

RATE, COST = Column("updates/s", better=Better.MORE), Column("CPU s", 1, Better.LESS)
OURS = Row("coachsync", {"updates/s": [300.0, 100.0, 200.0], "CPU s": [1.0, 1.0, 2.0]})
PEER = Row("a peer", {"updates/s": [100.0, 100.0, 400.0], "CPU s": [3.0, 4.0, 4.0]}, "threads")
ABSENT = Row("absent", note="refuses <our> client")
TABLE = Table("key", "Throughput", "a setting", (RATE, COST), (OURS, PEER, ABSENT))


def test_a_figure_is_its_median_with_the_least_and_the_most() -> None:
    assert spread([300.0, 100.0, 200.0]) == Spread(200.0, 100.0, 300.0)
    assert spread([]) is None


@pytest.mark.parametrize(
    ("column", "gain"), [(RATE, Spread(1.0, 0.5, 3.0)), (COST, Spread(3.0, 2.0, 4.0))], ids=["more", "less"]
)
def test_a_gain_is_taken_round_by_round_and_above_one_where_ours_is_better(column: Column, gain: Spread) -> None:
    assert how_many_times_better(TABLE, PEER, column) == gain


def test_ours_who_was_not_measured_and_what_is_not_compared_have_no_gain() -> None:
    assert how_many_times_better(TABLE, OURS, RATE) is None
    assert how_many_times_better(TABLE, ABSENT, RATE) is None
    assert how_many_times_better(TABLE, PEER, Column("updates/s")) is None


def test_rounds_are_gathered_by_name_and_whoever_was_in_none_has_a_row_all_the_same() -> None:
    rounds = [{"a": {"x": 1.0}}, {"a": {"x": 2.0, "y": 3.0}}]
    assert gathered(["a", "b"], rounds) == [Row("a", {"x": [1.0, 2.0], "y": [3.0]}), Row("b")]


def test_a_table_comes_back_from_its_json_as_it_was() -> None:
    assert as_text(Table.from_json(TABLE.as_json())) == as_text(TABLE)


def test_a_table_in_markdown_has_a_cell_for_each_figure_and_gain_and_says_why_one_has_none() -> None:
    head, _, ours, peer, absent = [line for line in as_markdown(TABLE).splitlines() if line.startswith("|")]
    assert head == "|  | updates/s | CPU s | gain in updates/s | gain in CPU s |"
    assert ours == "| coachsync | 200 (100 to 300) | 1.0 (1.0 to 2.0) | - | - |"
    assert peer == "| a peer | 100 (100 to 400) | 4.0 (3.0 to 4.0) | 1.00x | 3.00x |"
    assert absent == "| absent | - | - | - | - |"
    assert "- absent: refuses <our> client" in as_markdown(TABLE).splitlines()


def test_a_plot_is_xml_with_a_bar_for_each_who_was_measured() -> None:
    plot = ET.fromstring(bars(TABLE))  # noqa: S314 - our own
    widths = [float(bar.attrib["width"]) for bar in plot.iter("{http://www.w3.org/2000/svg}rect")]
    assert len(widths) == 2
    assert widths[0] == pytest.approx(2 * widths[1], rel=0.01)


def test_one_bar_alone_is_no_plot() -> None:
    assert bars(Table("key", "Alone", "a setting", (RATE,), (OURS,))) == ""


def test_the_document_names_the_machine_and_has_each_table_with_its_plot() -> None:
    lines = "\n".join(document(Results({"machine": "a small one"}, [TABLE]))).splitlines()
    assert "| machine | a small one |" in lines
    assert "## Throughput" in lines
    assert "![Throughput](plots/key.svg)" in lines


def test_a_window_is_over_the_limit_only_if_it_holds_more_within_less_than_its_length() -> None:
    assert over_the_limit([0.0, 0.5, 1.0, 1.5], limit=2, window=1.0) == 0
    assert over_the_limit([0.0, 0.5, 0.999, 1.5], limit=2, window=1.0) == 1
    assert over_the_limit([0.3, 0.2, 0.1], limit=2, window=1.0) == 1

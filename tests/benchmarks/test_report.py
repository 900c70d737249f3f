"""What a run leaves behind says what was measured, whether it was reached, and on what."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from benchmarks import document, page, plot, report, results, table
from benchmarks.figures import Aim, Comparison
from benchmarks.results import PartRun, number


def comparison() -> Comparison:
    return Comparison(
        "GET /get & one <hot> key",
        {"kvcast": [{"rate": 9000.0, "p99_ms": 8.0}] * 3, "node": [{"rate": 2000.0, "p99_ms": 10.0}] * 3},
        [Aim("rate", ">=", 4, "node"), Aim("p99_ms", "<=", 0.5, "node")],
        "rate",
    )


def part_run(part: str = "reads") -> PartRun:
    return PartRun(part, results.now(), f"make bench WHAT={part}", 12.0, {"machine": "2 cores"}, [comparison()])


def test_the_table_says_which_aims_were_reached() -> None:
    reached, missed = table.ratios([comparison()]).splitlines()[2:]
    assert [cell.strip() for cell in reached.split("|")][2:-1] == [
        "rate", "9,000", "node 2,000", "4.50", "4.50", "4.50", ">= 4 x node", "yes",
    ]
    assert "<= 0.5 x node" in missed
    assert missed.rstrip(" |").endswith("no")


def test_a_figure_that_only_one_side_has_leaves_a_gap() -> None:
    one = comparison()
    one.sides["kvcast"][0] = {**one.sides["kvcast"][0], "rows": 7.0}
    (line,) = [line for line in table.figures(one).splitlines() if "rows" in line]
    assert [cell.strip() for cell in line.split("|")][1:-1] == ["rows", "7.00", ""]


def test_a_plot_is_well_formed_and_its_longest_bar_fits() -> None:
    root = ET.fromstring(plot.svg(comparison()))
    bars = [node for node in root.iter() if node.tag.endswith("rect")]
    widths = [float(bar.attrib["width"]) for bar in bars]
    assert widths[0] == pytest.approx(4.5 * widths[1], rel=0.01)
    assert plot.LABEL_WIDTH + widths[0] <= plot.WIDTH - plot.VALUE_WIDTH


def test_the_report_holds_the_newest_run_of_each_part_in_order(tmp_path: Path) -> None:
    for part in ("writes", "reads"):
        results.save(tmp_path, part_run(part))
    runs = results.load(tmp_path, ["reads", "writes", "idle"])
    assert [run.part for run in runs] == ["reads", "writes"]
    assert runs[0].comparisons == [comparison()]
    text = report.write(tmp_path, runs).read_text()
    assert text.index("## reads") < text.index("## writes")
    assert "make bench WHAT=writes" in text
    assert "2 cores" in text
    assert (tmp_path / report.plot_name(comparison().work)).exists()


@pytest.mark.parametrize(
    ("value", "text"), [(12345.6, "12,346"), (99.96, "100.0"), (4.5, "4.50"), (0.01234, "0.0123"), (0.0, "0")]
)
def test_numbers_show_three_digits_that_matter(value: float, text: str) -> None:
    assert number(value) == text


def test_the_table_of_a_document_is_replaced_and_the_rest_stays(tmp_path: Path) -> None:
    path = tmp_path / "performance.md"
    path.write_text(f"before\n{document.BEGIN}old\n{document.END}after\n")
    document.write(path, [part_run()])
    text = path.read_text()
    assert text.startswith(f"before\n{document.BEGIN}- machine: 2 cores\n")
    assert text.endswith(f"{document.END}after\n")
    assert "old" not in text
    assert "| GET /get & one <hot> key | rate | 9,000 | node 2,000 | 4.50 | 4.50 | 4.50 | >= 4 x node | yes |" in text
    document.write(path, [part_run()])
    assert path.read_text() == text


def test_a_document_without_marks_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "performance.md"
    path.write_text("no table")
    with pytest.raises(ValueError, match="between which the table belongs"):
        document.write(path, [part_run()])
    assert path.read_text() == "no table"


def test_the_page_has_the_figures_and_where_we_stand(tmp_path: Path) -> None:
    path = tmp_path / "reports" / "benchmark.json"
    page.write(path, [part_run()])
    (part,) = json.loads(path.read_text())["parts"]
    (shown,) = part["comparisons"]
    assert shown["sides"]["node"]["rate"] == [2000, 2000, 2000]
    assert [(aim["standing"][1], aim["reached"]) for aim in shown["aims"]] == [(4.5, True), (0.8, False)]

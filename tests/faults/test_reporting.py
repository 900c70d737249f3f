"""A run of many faults: none stops the others, and what was found is kept as it comes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.__main__ import ROOT, run_each
from tests.faults.catalogue import FAULTS, Fault, Scene, possible
from tests.faults.reporting import BEGIN, END, HEAD, Report, meaning
from tests.faults.running import Result, called


@contextmanager
def nothing(_: Scene) -> Iterator[None]:
    yield


def fault(name: str, *, impossible: str = "") -> Fault:
    return Fault(name, f"about {name}", nothing, "test", impossible=(lambda: impossible) if impossible else possible)


def result(name: str, *, writes: float = 500, reads: float = 2000, viewers: int = 200, broken: str = "") -> Result:
    return Result(
        name, 1, lost=0, regressions=0, converged_seconds=0.1, unavailable_seconds={"write": 0, "read": 0}, errors={},
        memory_mb=(1, 2), writes_per_second=writes, reads_per_second=reads, viewers=viewers, seconds=15, cores=1,
        broken=[broken] if broken else [],
    )  # fmt: skip


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    path = tmp_path / "reliability.md"
    path.write_text(f"before\n{BEGIN}\nnothing yet\n{END}\nafter\n")
    return path


def test_a_fault_whose_run_fails_is_a_row_and_the_others_are_run(docs: Path) -> None:
    faults = [fault("first"), fault("second"), fault("third", impossible="no root"), fault("fourth")]

    def run_it(one: Fault) -> Result:
        if one.name == "second":
            raise AssertionError("nothing was | cut\nat all")
        return result(one.name)

    report = Report({one.name: one.about for one in faults}, docs)
    assert not run_each(faults, report, run_it)
    rows = docs.read_text().splitlines()
    assert any(row.startswith("| first | held | 0 ") for row in rows)
    assert any(row.startswith("| second | broken: AssertionError: nothing was / cut at all | ") for row in rows)
    assert any(row.startswith("| third | left out: no root | ") for row in rows)
    assert any(row.startswith("| fourth | held | 0 ") for row in rows)
    assert rows[0] == "before"
    assert rows[-1] == "after"


def test_a_fault_that_cannot_be_asked_whether_it_is_possible_is_a_row_too() -> None:
    def asked() -> str:
        raise OSError("no answer")

    one = Fault("one", "", nothing, "test", impossible=asked)
    report = Report({"one": "", "two": ""})
    assert not run_each([one, fault("two")], report, lambda fault: result(fault.name))
    assert "| one | broken: OSError: no answer |" in report.table()
    assert "| two | held |" in report.table()


def test_an_interrupted_run_keeps_what_it_had_and_the_next_one_adds_to_it(docs: Path) -> None:
    faults = [fault("first"), fault("second")]
    abouts = {one.name: one.about for one in faults}

    def interrupted(one: Fault) -> Result:
        if one.name == "second":
            raise KeyboardInterrupt
        return result(one.name, writes=501)

    with pytest.raises(KeyboardInterrupt):
        run_each(faults, Report(abouts, docs), interrupted)
    assert "| first | held |" in docs.read_text()
    assert "| second | held |" not in docs.read_text()
    assert run_each(faults[1:], Report(abouts, docs), lambda fault: result(fault.name))
    assert "| first | held |" in docs.read_text()
    assert "501, 2000, 200 |" in docs.read_text()
    assert "| second | held |" in docs.read_text()
    assert "reached under every fault" in docs.read_text()


def test_a_broken_promise_is_in_the_row_and_makes_the_run_fail() -> None:
    report = Report({"one": ""})
    assert not run_each([fault("one")], report, lambda fault: result(fault.name, broken="durable: k"))
    assert "| one | broken: durable: k | 0 |" in report.table()


def test_the_table_has_the_load_that_was_reached_beside_the_promised_and_says_where_it_was_not() -> None:
    assert "500, 2000, 200" in HEAD[-1]
    report = Report({"enough": "", "little": "", "few": "", "other": ""})
    assert "Not yet measured" in report.missed()
    report.ran(result("enough"))
    report.ran(result("little", writes=499.4, reads=1200))
    report.ran(result("few", viewers=199))
    assert "| 500, 2000, 200 |" in report.table()
    assert "| 499, 1200, 200; writes and reads below |" in report.table()
    assert "| 500, 2000, 199; viewers below |" in report.table()
    assert report.missed() == "The load that was to be was not reached under: little, few. Not yet run: other."


def test_the_document_says_of_each_fault_there_is_what_a_user_notices() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text()
    assert meaning({called(fault): fault.about for fault in FAULTS.values()}) in text

"""Starting a load, asking how it fares, and judging it at its end."""

from __future__ import annotations

import secrets
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from tests.cluster.records import Plan, Report, load
from tests.cluster.release import Release
from tests.cluster.verdict import Verdict
from tests.polling import eventually

ROOT = Path(__file__).parents[2]
KEYS = 20
POLL_SECONDS = 0.5


class RunningLoad:
    """options: of records.Plan. The load ends with the block at the latest."""

    def __init__(self, release: Release, **options: Any) -> None:
        self._site = release.site()
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        mark = secrets.token_hex(4)
        self.plan = Plan(
            address=self._site.address, host=release.host, token=self._site.token,
            keys=[f"load.{mark}.{number}" for number in range(KEYS)], records=str(folder / "records"), **options,
        )
        (folder / "plan").write_bytes(msgspec.json.encode(self.plan))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.cluster.load", str(folder / "plan")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )

    def __enter__(self) -> Self:
        assert self._line() == "ready", "the load did not start; what it said stands above"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._folder.cleanup()

    def report(self) -> Report:
        self._say("report")
        return msgspec.json.decode(self._line(), type=Report)

    def goes_on(self, writes: int, within: float = 120) -> None:
        """Wait until so many more writes are acknowledged."""
        wanted = self.report().acknowledged + writes
        eventually(lambda: self.report().acknowledged >= wanted, within, POLL_SECONDS)

    def finish(self) -> Verdict:
        """Stop calling, let the viewers catch up, and compare with what the store has."""
        self._say("finish")
        assert self._line() == "finished"
        records = load(Path(self.plan.records))
        newest = {key: max(one.rev for one in records.acknowledged if one.key == key) for key in self.plan.keys}
        with self._site as site:
            rows = {key: site.row(key, newest[key]) for key in self.plan.keys}
            ticks = [tick for key in self.plan.keys for tick in site.ticks(key)]
        return Verdict(records, rows, ticks)

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()



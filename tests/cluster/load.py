"""A load in a process of its own: `python -m tests.cluster.load PLAN.json`.

Prints `ready`, then answers each line `report` with a Report and ends at `finish`, or with its standard input.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec

from tests.cluster.callers import Callers
from tests.cluster.records import Plan, Records, Report, save
from tests.cluster.watchers import Watcher

READY_SECONDS = 60.0
CONVERGES_SECONDS = 40.0


class Load:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._records = Records()
        self._callers = Callers(plan, self._records)
        self._watchers = [Watcher(plan, self._records, number) for number in range(plan.viewers)]

    async def run(self) -> None:
        await asyncio.to_thread(self._callers.write_each_key)
        tasks = [asyncio.create_task(watcher.run()) for watcher in self._watchers]
        async with asyncio.timeout(READY_SECONDS):
            for watcher in self._watchers:
                await watcher.subscribed.wait()
        self._callers.start()
        print("ready", flush=True)
        await self._obey()
        await asyncio.to_thread(self._callers.end)
        await self._converge()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        save(self._records, Path(self._plan.records))
        print("finished", flush=True)

    async def _obey(self) -> None:
        while (await asyncio.to_thread(sys.stdin.readline)).strip() == "report":
            print(msgspec.json.encode(self.report()).decode(), flush=True)

    async def _converge(self) -> None:
        """Wait until every viewer shows the last write, or for so long that it never will."""
        for _ in range(int(CONVERGES_SECONDS / 0.1)):
            if not self.behind():
                return
            await asyncio.sleep(0.1)

    def behind(self) -> int:
        return sum(
            watcher.revs.get(key, 0) < self._callers.newest[key]
            for watcher in self._watchers
            for key in watcher.viewer.keys
        )

    def report(self) -> Report:
        records = self._records
        connected = sum(watcher.subscribed.is_set() for watcher in self._watchers)
        return Report(
            len(records.acknowledged), len(records.answered), len(records.failures), connected, self.behind()
        )


if __name__ == "__main__":
    asyncio.run(Load(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Plan)).run())

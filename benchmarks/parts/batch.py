"""POST /batch of 100, in rows, beside what the peer writes one by one."""

from __future__ import annotations

from benchmarks.figures import Aim, Comparison, Figures, interleave
from benchmarks.http_load import WRITE_HEADERS, lines_file, measure
from benchmarks.parts import Plan
from benchmarks.parts.writes import add
from benchmarks.worlds import World

ROWS = 100
KEYS = 10_000


def run(plan: Plan) -> list[Comparison]:
    with World() as world:
        kvcast, node = world.kvcast("write"), world.node()
        items = [f'{{"key":"key.{number}","value":{number}.60}}' for number in range(KEYS)]
        single = lines_file(world.folder, "single.txt", items)
        batches = lines_file(
            world.folder, "batches.txt",
            ("[" + ",".join(items[start : start + ROWS]) + "]" for start in range(0, KEYS, ROWS)),
        )

        def ours() -> Figures:
            figures = measure(kvcast, "/batch", plan.seconds, bodies=batches, headers=WRITE_HEADERS)
            figures["rows_per_second"] = ROWS * figures["requests_per_second"]
            figures["cpu_seconds_per_1000"] /= ROWS
            return figures

        def theirs() -> Figures:
            figures = add(node, single, plan.seconds)
            return {**figures, "rows_per_second": figures["requests_per_second"]}

        ours()
        theirs()
        runs = interleave(plan.rounds, {"kvcast": ours, "node": theirs})
        aim = Aim("rows_per_second", ">=", 100, "node")
        notes = ["kvcast: /batch of 100; node: /add. Processor time is that of 1,000 rows."]
        return [Comparison("POST /batch of 100", runs, [aim], "rows_per_second", notes)]

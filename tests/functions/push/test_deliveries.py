"""What goes to viewers is counted in full, though it is counted together."""

from __future__ import annotations

from prometheus_client import REGISTRY

from kvcast.bus.workers import WorkerReport
from tests.functions.push.changing import change

from functions.push.deliveries import Deliveries
from functions.push.frames import change_frame, control_frame


def sample(name: str) -> float:
    return REGISTRY.get_sample_value(name) or 0.0


def test_counted_together_is_counted_in_full() -> None:
    report = WorkerReport("push", "unix:///nowhere")
    deliveries = Deliveries(report)
    names = ("kvcast_deliveries_total", "kvcast_delivery_seconds_count")
    before = [sample(name) for name in names]
    old, new = (change_frame(change("gold", rev), "e") for rev in (1, 2))
    for frames in ([old, new], [new], [new], [control_frame("hb")]):
        deliveries.add(frames)
    deliveries.count()
    deliveries.count()
    assert [sample(name) - was for name, was in zip(names, before, strict=True)] == [4, 3]
    assert report._totals["deliveries"] == 4
    assert sum(report._stages["socket"]) == 3

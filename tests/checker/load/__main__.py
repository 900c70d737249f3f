"""`python -m tests.checker.load`: loads the given functions, records all of it, prints one line of figures as JSON."""

from __future__ import annotations

import argparse
import json
import random
import resource
import signal
from pathlib import Path

import gevent
from gevent.event import Event

from tests.checker.load.plan import Plan
from tests.checker.load.running import run
from tests.checker.recording import Recorder


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.checker.load", description=__doc__)
    for function in ("write", "read", "push"):
        parser.add_argument(f"--{function}", action="append", required=True, metavar="URL", help="several: repeat it")
    parser.add_argument("--token-file", type=Path, help="holds a token that may write")
    parser.add_argument("--history", type=Path, required=True, metavar="FOLDER", help="gets NAME.jsonl")
    parser.add_argument("--name", default="load", help="of keys and clients: another one for each load of a database")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0, help="of load; SIGTERM ends it earlier")
    parser.add_argument("--settle-seconds", type=float, default=20.0, help="at most, until all shows the last values")
    parser.add_argument("--writes-per-second", type=float, default=500.0)
    parser.add_argument("--reads-per-second", type=float, default=2000.0)
    for name, default in (("viewers", 200), ("keys", 200), ("writers", 32), ("readers", 32)):
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser.parse_args()


def main() -> None:
    arguments = vars(parsed())
    history, token_file = arguments.pop("history"), arguments.pop("token_file")
    token = token_file.read_text().strip() if token_file else ""
    plan = Plan(token=token, **arguments)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    random.seed(plan.seed)  # jitter
    stop = Event()
    gevent.signal_handler(signal.SIGTERM, stop.set)
    gevent.signal_handler(signal.SIGINT, stop.set)
    with Recorder(history / f"{plan.name}.jsonl") as recorder:
        print(json.dumps(run(plan, recorder, stop)), flush=True)


if __name__ == "__main__":
    main()

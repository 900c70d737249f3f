"""Whether kvcast keeps its promises, judged from what its clients have seen.

`python -m tests.checker.load` loads running functions and records every call and every message; `check` judges the
recorded history afterwards. Promises: docs/guarantees.md.

Who breaks things meanwhile writes faults.jsonl into the same folder, a line at the begin and at the end of each:
{"at": time.monotonic_ns(), "who": "faults", "what": "fault", "name": "kill -9 write-1", "phase": "begin"}
Time between begin and end is not counted against anybody; the more must hold as soon as it is over. Further members:
- at the begin of an orderly stop of a push function, `"drains": URL`: its viewers must be told goodbye until the end.
- at the end of restoring a backup, `"voids_from": NS`, when taking that backup began: what was acknowledged between
  them may be gone. End it when the functions have noticed, so that nobody is in the old epoch any more.
"""

from tests.checker.verdict import PROMISED_SECONDS, Verdict, check

__all__ = ["PROMISED_SECONDS", "Verdict", "check"]

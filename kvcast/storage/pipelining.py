"""Several prepared statements in one trip to PostgreSQL, and no more packets than answers.

Up to the one Sync they are one transaction, as if BEGIN and COMMIT stood around them. pg8000 sends a Sync, and waits,
for each statement, and asks with a Flush for each half of an answer by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pg8000 import core
from pg8000.converters import make_params
from pg8000.native import Connection, PreparedStatement


class PipelinedConnection(Connection):  # type: ignore[misc]
    def send_BIND(self, statement_name_bin: bytes, params: Sequence[str | None]) -> None:  # noqa: N802
        message = [b"\0", statement_name_bin, core.H_pack(0), core.H_pack(len(params))]
        for parameter in params:
            if parameter is None:
                message.append(core.i_pack(-1))
            else:
                encoded = parameter.encode()
                message += [core.i_pack(len(encoded)), encoded]
        message.append(core.H_pack(0))
        self._send_message(core.BIND, b"".join(message))

    def send_EXECUTE(self) -> None:  # noqa: N802
        self._sock.write(core.EXECUTE_MSG)

    def run_together(self, calls: Sequence[tuple[PreparedStatement, dict[str, Any]]]) -> list[list[Any]]:
        """The rows of all `calls`, in order. Their columns are alike, and their answers small."""
        first = calls[0][0]
        context = core.Context(columns=first.cols, input_funcs=first.input_funcs, statement=first.statement)
        for prepared, parameters in calls:
            self.send_BIND(prepared.name_bin, make_params(self.py_types, prepared.make_vals(parameters)))
            self.send_EXECUTE()
        self._sock.write(core.SYNC_MSG)
        self._sock.flush()
        self.handle_messages(context)
        return list(context.rows)

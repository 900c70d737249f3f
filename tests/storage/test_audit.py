"""The audit's table: what the functions' role may do with it, and how long its rows stay."""

from __future__ import annotations

import pytest

from kvcast.errors import Conflict
from kvcast.storage import audit
from kvcast.storage.audit import Action
from tests.databases import Database


def record(database: Database, action: Action = "delete", key: str | None = "gold", rev: int = 1) -> None:
    with database.own.transaction() as session:
        audit.record(
            session, action, token="admin", key=key, count=1, rev=rev, note="giá sáng nay", client="203.0.113.7"
        )


def test_a_page_is_newest_first_and_begins_below_the_id_asked_for(database: Database) -> None:
    for rev in range(1, 6):
        record(database, rev=rev)
    newest = audit.page(database.own, before=2**63 - 1, most=2)
    assert [entry.rev for entry in newest] == [5, 4]
    assert [entry.rev for entry in audit.page(database.own, before=newest[-1].id, most=9)] == [3, 2, 1]
    entry = newest[0]
    assert (entry.token, entry.action, entry.key, entry.count, entry.note, entry.client) == (
        "admin", "delete", "gold", 1, "giá sáng nay", "203.0.113.7",
    )


def test_a_row_goes_with_its_transaction(database: Database) -> None:
    def change_and_fail() -> None:
        with database.own.transaction() as session:
            audit.record(session, "create", token="admin", key="gold", count=1, rev=1, note=None, client=None)
            raise Conflict("the change is taken back")

    with pytest.raises(Conflict):
        change_and_fail()
    assert audit.page(database.own, before=2**63 - 1, most=9) == []


@pytest.mark.parametrize("statement", ["UPDATE audit SET token = 'nobody'", "DELETE FROM audit", "TRUNCATE audit"])
def test_the_functions_may_not_change_what_was_recorded(database: Database, statement: str) -> None:
    record(database)
    with pytest.raises(Exception, match="permission denied"):
        database.own.run(statement)
    assert len(audit.page(database.own, before=2**63 - 1, most=9)) == 1


def test_rows_are_reaped_after_thirty_days(database: Database) -> None:
    for rev in (1, 2):
        record(database, rev=rev)
    for rev, seconds in ((1, 1), (2, -60)):
        database.as_owner(
            f"UPDATE audit SET at = now() - interval '{audit.KEPT_DAYS} days' - interval '{seconds} seconds' "
            f"WHERE rev = {rev}"
        )
    audit.reap(database.own)
    assert [entry.rev for entry in audit.page(database.own, before=2**63 - 1, most=9)] == [2]

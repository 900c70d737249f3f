"""Many commands in one write to Redis, and their answers.

redis-py's own pipeline spends most of its time on what these commands do not need: options, hooks, a callback for each
answer. For the guarded script this was 7.0 us of processor time a key, and is 2.8.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import hiredis
import redis
from redis.exceptions import ResponseError

Command = tuple[Any, ...]  # of str, bytes, int or float


def run_all(client: redis.Redis, commands: Sequence[Command]) -> list[Any]:
    """The answer to each of `commands`, in order; repeated whole after a break as often as the client repeats.

    Raises the first error that Redis answered, when all answers are read, or RedisError.
    """
    packed = b"".join([hiredis.pack_command(command) for command in commands])
    connection: Any = client.connection_pool.get_connection()
    try:
        answers: list[Any] = connection.retry.call_with_retry(
            lambda: _exchange(connection, packed, len(commands)), lambda error: connection.disconnect()
        )
    except BaseException:
        connection.disconnect()  # an answer that nobody read would be taken for the next one's
        raise
    finally:
        client.connection_pool.release(connection)
    for answer in answers:
        if isinstance(answer, ResponseError):
            raise answer
    return answers


def _exchange(connection: Any, packed: bytes, number: int) -> list[Any]:
    connection.send_packed_command([packed])
    answers: list[Any] = []
    for _ in range(number):
        try:
            answers.append(connection.read_response())
        except ResponseError as error:
            answers.append(error)
    return answers

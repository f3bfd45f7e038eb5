"""Multiplexer: one Redis connection for all threads, whose concurrent commands share round trips.

A thread adds its command to a queue. If no other thread is using the connection, it becomes the
leader: it sends all queued commands in one write, reads the replies and hands them out, then passes
the lead to a thread that queued a command meanwhile. Under load one round trip, one system call and
one fsync serve many requests (flat combining: Hendler et al., SPAA 2010). A lone command costs
nothing extra.

When the connection is found dead, all commands are sent again, so only repeatable commands may be
used here.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Any, cast

from redis import Redis
from redis.connection import Connection, ConnectionInterface
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

Command = tuple[str | int | bytes, ...]

MOST_AT_ONCE = 128  # commands sent before the first reply is read; keeps both socket buffers short


class _Call:
    """A queued command, and the thread that waits for its reply."""

    __slots__ = ("_parked", "command", "leads", "reply")

    def __init__(self, command: Command) -> None:
        self.command = command
        self.reply: Any = None
        self.leads = False
        self._parked = threading.Lock()
        self._parked.acquire()

    def wait(self) -> None:
        self._parked.acquire()

    def wake(self) -> None:
        self._parked.release()


class Multiplexer:
    """Sends commands of many threads; each reply or error returns to the thread that sent it."""

    def __init__(self, redis: Redis) -> None:
        self._pool = redis.connection_pool
        self._connection: ConnectionInterface | None = None
        self._queue: deque[_Call] = deque()
        self._lock = threading.Lock()  # guards _queue and _has_leader
        self._has_leader = False

    def execute(self, *command: str | int | bytes) -> Any:
        """The reply to one command.

        Raises:
            redis.RedisError: Redis is out of reach, or refused the command.
        """
        call = _Call(command)
        with self._lock:
            self._queue.append(call)
            leads, self._has_leader = not self._has_leader, True
        # From here on the lead may be passed to this call at any moment, even before its wait
        # begins. So `leads` is read only after the wait, or the call would be woken once too often.
        if not leads:
            call.wait()
            leads = call.leads
        if leads:
            self._lead()
        if isinstance(call.reply, BaseException):
            raise call.reply
        return call.reply

    def _lead(self) -> None:
        with self._lock:
            calls = [self._queue.popleft() for _ in range(min(len(self._queue), MOST_AT_ONCE))]
        try:
            self._send_all(calls)
        finally:  # in every case, or the threads that queued later would wait for ever
            self._pass_on()
            for call in calls:
                call.wake()

    def _pass_on(self) -> None:
        """Pass the lead to the first queued call, if there is one."""
        with self._lock:
            self._has_leader = bool(self._queue)
            if self._queue:
                self._queue[0].leads = True
                self._queue[0].wake()

    def _send_all(self, calls: Sequence[_Call]) -> None:
        """Fill in every reply; if the connection is dead, replace it once and send all again."""
        try:
            try:
                self._exchange(calls)
            except RedisConnectionError:
                self._close()
                self._exchange(calls)
        except BaseException as error:
            for call in calls:
                call.reply = error
            self._close()

    def _exchange(self, calls: Sequence[_Call]) -> None:
        if self._connection is None:
            self._connection = self._pool.get_connection()
        connection = self._connection
        packed = connection.pack_commands([call.command for call in calls])
        connection.send_packed_command(packed, check_health=False)
        for call in calls:
            try:
                call.reply = connection.read_response()
            except ResponseError as error:
                call.reply = error

    def _close(self) -> None:
        """Close the connection: unread replies would be taken for those of later commands."""
        if self._connection is not None:
            self._connection.disconnect()
            self._pool.release(cast(Connection, self._connection))
            self._connection = None

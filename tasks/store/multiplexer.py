"""One connection to Redis for all threads of a process: concurrent commands share round trips.

A thread puts its command in line. If nobody is talking to Redis, it leads: it sends everything that
stands in line in one write, reads the replies and hands them out, then gives the lead to a thread
that came in line meanwhile. Under load a round trip, a system call and an fsync serve many requests
(flat combining: Hendler et al., SPAA 2010); alone, a command pays nothing extra.

After a connection is found dead all is sent again, so only what may be repeated belongs here.
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
    """A command in line, and the thread that waits for its reply."""

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
    """Send commands from many threads; replies and errors come back to the thread that asked."""

    def __init__(self, redis: Redis) -> None:
        self._pool = redis.connection_pool
        self._connection: ConnectionInterface | None = None
        self._line: deque[_Call] = deque()
        self._lock = threading.Lock()  # guards _line and _led
        self._led = False

    def execute(self, *command: str | int | bytes) -> Any:
        """The reply to one command.

        Raises:
            redis.RedisError: Redis is out of reach, or refused the command.
        """
        call = _Call(command)
        with self._lock:
            self._line.append(call)
            leads, self._led = not self._led, True
        # From here on the lead may be handed over at any moment, even before the wait begins: it
        # is looked for only behind the wait, or the call would be woken once more than it waits.
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
            calls = [self._line.popleft() for _ in range(min(len(self._line), MOST_AT_ONCE))]
        try:
            self._talk(calls)
        finally:  # whatever happens, or those behind would wait for ever
            self._pass_on()
            for call in calls:
                call.wake()

    def _pass_on(self) -> None:
        """Give the lead to the first in line, or to nobody."""
        with self._lock:
            self._led = bool(self._line)
            if self._line:
                self._line[0].leads = True
                self._line[0].wake()

    def _talk(self, calls: Sequence[_Call]) -> None:
        """Fill in every reply; a connection found dead is replaced once, then all is sent again."""
        try:
            try:
                self._exchange(calls)
            except RedisConnectionError:
                self._hang_up()
                self._exchange(calls)
        except BaseException as error:
            for call in calls:
                call.reply = error
            self._hang_up()

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

    def _hang_up(self) -> None:
        """Unread replies would answer the wrong commands, so a connection in doubt is closed."""
        if self._connection is not None:
            self._connection.disconnect()
            self._pool.release(cast(Connection, self._connection))
            self._connection = None

"""How a worker of gunicorn's stops here without losing a request.

gunicorn stops accepting at SIGTERM and closes the listening socket when it has answered what it has begun; what the
kernel accepted in between is reset. Here SIGTERM begins a drain: /readyz says no, every answer asks its client to
leave, new connections are still served. Then new ones are refused while the last accepted ones are served, and only an
empty queue is closed.
"""

import logging
import os
import select
import signal
import socket
from pathlib import Path
from types import FrameType
from typing import Any, Final

from gunicorn.workers.base import Worker

from app.lifecycle import Lifecycle

SETTLE_SECONDS: Final = 0.25
"""Between refusing new connections and closing the listener: what was half open becomes whole meanwhile."""

_SO_BINDTOIFINDEX = 62  # Linux; Python names it from 3.14 on
_NO_INTERFACE = 2**31 - 1

STOPS: Final = (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT)
"""The signals that end a worker. It unblocks them when it is ready for them."""

_log = logging.getLogger("app.worker")


def keep_signals_while_forking() -> None:
    """Let a signal wait that reaches a worker between its fork and its own handlers.

    gunicorn's worker forgets it, and gunicorn then waits for that worker until graceful_timeout is over and kills it.
    """
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)  # gunicorn itself may have been forked so, at an upgrade
    os.register_at_fork(
        before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, STOPS),
        after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS),
    )


class DrainingWorker(Worker):  # type: ignore[misc]  # gunicorn is untyped
    """A worker that turns SIGTERM into a drain. Whoever derives from it accepts until `alive` is false."""

    leaving = False
    """Whether every answer is to ask its client to leave."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 -- gunicorn's signature
        """SIGTERM: drain, then refuse new connections, then stop as gunicorn does."""
        lifecycle: Lifecycle = self.wsgi.extensions["lifecycle"]
        if lifecycle.draining:
            return
        lifecycle.draining = True
        self.leaving = True
        self._later(lifecycle.drain_seconds, self._refuse)
        # Last: the signal may have come in the middle of writing another line, and then this one can fail.
        _log.info("draining", extra={"fields": {"seconds": lifecycle.drain_seconds}})

    def _refuse(self) -> None:
        for listener in self.sockets:
            # At a reload the arbiter keeps the listener, and the next workers take what waits in it.
            if not _open_in(self.ppid, listener):
                _refuse_new_connections(listener)
        self._later(SETTLE_SECONDS, self._stop)

    def _stop(self) -> None:
        if any(select.select([listener.fileno()], [], [], 0)[0] for listener in self.sockets):
            self._later(SETTLE_SECONDS / 10, self._stop)
        else:
            super().handle_exit(signal.SIGTERM, None)

    def _later(self, seconds: float, act: Any) -> None:
        # An alarm, not a thread: gunicorn's handler expects to run in the main thread.
        signal.signal(signal.SIGALRM, lambda _signum, _frame: act())
        signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))


def _open_in(process: int, listener: Any) -> bool:
    """Whether the process has this socket open; True when that can't be seen."""
    wanted = os.fstat(listener.fileno()).st_ino
    try:
        return any(file.stat().st_ino == wanted for file in Path(f"/proc/{process}/fd").iterdir() if file.exists())
    except OSError:
        return True


def _refuse_new_connections(listener: Any) -> None:
    """Tie the listener to a network interface that isn't there: who comes is refused, who has begun to come gets in.

    shutdown() and close() would reset the latter. Linux 5.7 and later let everybody do this, once for each socket.
    """
    try:
        # The first worker does it for all.
        if listener.getsockopt(socket.SOL_SOCKET, _SO_BINDTOIFINDEX) != _NO_INTERFACE:
            listener.setsockopt(socket.SOL_SOCKET, _SO_BINDTOIFINDEX, _NO_INTERFACE)
    except OSError as error:
        if isinstance(error, PermissionError) and listener.getsockopt(socket.SOL_SOCKET, _SO_BINDTOIFINDEX):
            return  # another worker was quicker
        _log.warning(
            "connections that come at the very end of the drain may be reset", extra={"fields": {"reason": str(error)}}
        )

"""Whether this process is on its way out: what /readyz answers, and what SIGTERM changes."""

import logging
import signal
from types import FrameType
from typing import Any

_log = logging.getLogger("app.lifecycle")


class Lifecycle:
    """One process's state. It starts as serving and can only go to draining."""

    def __init__(self) -> None:
        self.draining = False


def drain_on_sigterm(worker: Any, lifecycle: Lifecycle, drain_seconds: float) -> None:
    """Put a drain before gunicorn's own graceful stop of `worker` (gunicorn's threaded one).

    gunicorn stops accepting at SIGTERM at once. A load balancer learns later, and what it sends meanwhile would be
    refused. So on SIGTERM: /readyz says no, every answer asks its client to leave (`Connection: close`), and new
    connections are still served for `drain_seconds`; only then comes gunicorn's stop, which answers what it has begun.
    """
    stop = signal.getsignal(signal.SIGTERM)
    if not callable(stop):
        raise TypeError("gunicorn has not installed its SIGTERM handler in this worker")

    def drain(signum: int, frame: FrameType | None) -> None:
        if lifecycle.draining:
            return
        lifecycle.draining = True
        _log.info("draining", extra={"fields": {"seconds": drain_seconds}})
        if drain_seconds <= 0:
            stop(signum, frame)
            return
        # gunicorn answers with "Connection: close" when it holds this many idle connections already. Setting `keepalive`
        # to 0 instead would also cut off clients that have just been promised that their connection stays.
        worker.max_keepalived = 0
        # An alarm, not a thread: gunicorn's handler expects to run in the main thread.
        signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_REAL, drain_seconds)

    signal.signal(signal.SIGTERM, drain)

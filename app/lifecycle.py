"""Whether this process is on its way out: what /readyz answers, and what SIGTERM changes (app/stopping.py)."""


class Lifecycle:
    """One process's state. It starts as serving and can only go to draining."""

    def __init__(self, drain_seconds: float) -> None:
        self.draining = False
        self.drain_seconds = drain_seconds
        """From SIGTERM until new connections are no longer taken."""

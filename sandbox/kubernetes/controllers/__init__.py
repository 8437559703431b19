"""The cluster's controllers: one thread that wakes when an object changes and works until nothing is left to do."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from sandbox.account.clusters import ClusterFacts, NodeFacts
from sandbox.kubernetes.api import Api
from sandbox.kubernetes.hooks import Hooks
from sandbox.kubernetes.store import Event

LOG = logging.getLogger(__name__)


class Controllers:
    """Runs every controller of one cluster."""

    def __init__(self, api: Api, facts: ClusterFacts, hooks: Hooks) -> None:
        self.api, self.facts, self.hooks = api, facts, hooks
        self._wake = threading.Event()
        self._stop = False
        self._thread = threading.Thread(target=self._run, name=f"controllers-{facts.name}", daemon=True)
        api.store.listen(self._notice)

    def start(self) -> None:
        """Start working; what happened before the start is looked at first."""
        self._wake.set()
        self._thread.start()

    def stop(self) -> None:
        """Stop and wait for the work in hand."""
        self._stop = True
        self._wake.set()
        self._thread.join(timeout=5)

    def _notice(self, event: Event) -> None:
        self._wake.set()

    def set_nodes(self, group: str, nodes: Sequence[NodeFacts]) -> None:
        """Make these the nodes of a group."""

    def _run(self) -> None:
        while not self._stop:
            self._wake.wait()
            self._wake.clear()

"""The console on a fake source: its application, and a server for the browser."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from sandbox.console import listen
from tests.sandbox.console.fake_source import FakeSource


@pytest.fixture
def source() -> FakeSource:
    return FakeSource()


@pytest.fixture
def url(source: FakeSource) -> Iterator[str]:
    server = listen(source, 0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.port}/"
    server.shutdown()
    server.server_close()
    thread.join()

"""The second service of the examples; its pipeline runs this directory."""

from __future__ import annotations

import json
import runpy
import threading
import urllib.request
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

SERVER = Path(__file__).resolve().parents[3] / "examples" / "echo" / "server.py"


def test_answer_names_path_environment_and_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_ENVIRONMENT", "dev")
    monkeypatch.setenv("APP_IMAGE_DIGEST", "sha256:1")
    for name in ("APP_COMMIT", "DATABASE_HOST"):
        monkeypatch.delenv(name, raising=False)
    handler = runpy.run_path(str(SERVER))["Handler"]
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/readyz"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=10) as response:
            answer = json.load(response)
        server.shutdown()
    assert answer == {
        "path": "/readyz",
        "environment": "dev",
        "commit": "",
        "image": "sha256:1",
        "database": "",
    }

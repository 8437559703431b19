"""A service without dependencies: answers every path with its environment and commit."""

from __future__ import annotations

import json
import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Answers GET, also the probes /livez and /readyz.

    A release is verified by the digest of the image in the answer.
    """

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Return the path, its environment, commit, image and database."""
        body = json.dumps(
            {
                "path": self.path,
                "environment": os.environ.get("APP_ENVIRONMENT", ""),
                "commit": os.environ.get("APP_COMMIT", ""),
                "image": os.environ.get("APP_IMAGE_DIGEST", ""),
                "database": os.environ.get("DATABASE_HOST", ""),
            }
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    """Serve until SIGTERM; running requests end first."""
    address = (os.environ.get("APP_BIND", "127.0.0.1"), int(os.environ.get("APP_PORT", "8080")))
    server = ThreadingHTTPServer(address, Handler)
    server.daemon_threads = False

    def stop(*_: object) -> None:
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    server.serve_forever()
    server.server_close()


if __name__ == "__main__":
    main()

"""Asks this container's own service whether it is alive: exit code 0 or 1. For Docker's HEALTHCHECK."""

import http.client
import os
import sys

_TIMEOUT_SECONDS = 2


def main() -> int:
    """0 if /livez answers 200 on this machine."""
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("APP_PORT") or 8080), _TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/livez")
        return 0 if connection.getresponse().status == 200 else 1
    except (OSError, http.client.HTTPException):
        return 1


if __name__ == "__main__":
    sys.exit(main())

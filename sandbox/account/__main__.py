"""Runs the account alone: `python -m sandbox.account --directory DIR`. Its clusters have no Kubernetes behind them."""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path

import click

from sandbox.account import Account


@click.command()
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Where its memory is.",
)
@click.option(
    "--port",
    type=int,
    default=0,
    show_default=True,
    help="Port on 127.0.0.1; 0 lets the system choose.",
)
@click.option(
    "--time-scale",
    type=float,
    default=0.0,
    show_default=True,
    help="Provisioning times; 1 is as slow as AWS.",
)
@click.option(
    "--registry-host", default=None, help='"localhost:PORT" of the image registry behind ECR.'
)
def main(directory: Path, port: int, time_scale: float, registry_host: str | None) -> None:
    """Start an emulated AWS account, print {"url": …} and run until interrupted."""
    account = Account(directory, registry_host=registry_host, time_scale=time_scale)
    url = account.start(port)
    done = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: done.set())
    sys.stdout.write(json.dumps({"url": url}) + "\n")
    sys.stdout.flush()
    done.wait()
    account.stop()


if __name__ == "__main__":
    main()

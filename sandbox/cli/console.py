"""`console`: serves the sandbox's console, a page on loopback."""

from __future__ import annotations

import os
import webbrowser

import click

from sandbox.cli import options
from sandbox.cli.output import WRONG_USE, Output
from sandbox.runtime.home import Home, find_project
from sandbox.runtime.ports import read_port


@click.command()
@click.argument("stack", required=False, shell_complete=options.complete_stack)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help="Serve on PORT instead of the port of the last run.",
)
@click.option("--open", "opens", is_flag=True, help="Open the page in a browser.")
def console(stack: str | None, port: int | None, *, opens: bool) -> None:
    """Serve a page with stacks, timelines, pipelines and images until Ctrl-C."""
    from sandbox.console import SandboxSource, listen  # noqa: PLC0415 - slow, as boto3 and Flask

    output = Output(as_json=False)
    home, project = Home.of_project(), find_project()
    home.prepare()
    stored = home.path / "console-port"  # the page's address stays the same
    source = SandboxSource(home, project)
    if stack is not None and stack not in {item.name for item in source.overview().stacks}:
        output.fail(f"there is no stack {stack!r} in this project.", WRONG_USE)
    try:
        server = listen(source, port or read_port(stored))
        if port is None:
            stored.write_text(str(server.port))
    except OSError as error:
        if port is not None:
            reason = os.strerror(error.errno or 0)
            output.fail(f"port {port} cannot be used: {reason}; choose another --port.")
        server = listen(source, 0)  # another console has the stored port
    url = f"http://127.0.0.1:{server.port}/" + (f"#/stacks/{stack}" if stack else "")
    output.say(f"{url}  (Ctrl-C ends the console)")
    if opens and not webbrowser.open(url):
        output.note("there is no browser on this machine; open the URL in one.")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        output.say("")
    finally:
        server.server_close()

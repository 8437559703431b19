"""The console: a page on loopback with stacks, timelines, pipelines and images."""

from sandbox.console.documents import RefusedError, Source
from sandbox.console.sandbox_source import SandboxSource
from sandbox.console.server import create_app, listen

__all__ = ["RefusedError", "SandboxSource", "Source", "create_app", "listen"]

"""Serves the component provider for an engine that attaches to it; prints its port."""

from __future__ import annotations

import asyncio

from pulumi.provider.experimental.component import ComponentProvider

from component_provider import COMPONENTS
from tests.sandbox.engine.component_provider import serve

if __name__ == "__main__":
    asyncio.run(serve(ComponentProvider(COMPONENTS, "platform")))

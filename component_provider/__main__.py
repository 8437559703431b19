"""Pulumi's plugin `platform`: its schema derives from the classes of this package."""

from importlib import metadata

from pulumi.provider.experimental import component_provider_host

from component_provider import COMPONENTS

if __name__ == "__main__":
    component_provider_host(COMPONENTS, name="platform", version=metadata.version("platform"))

"""Pulumi's plugin `platform`: its schema derives from the classes of adapters.py."""

from importlib import metadata

from pulumi.provider.experimental import component_provider_host

from component_provider.adapters import Image, Network

if __name__ == "__main__":
    component_provider_host([Network, Image], name="platform", version=metadata.version("platform"))

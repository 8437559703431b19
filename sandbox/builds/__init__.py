"""Runs CodeBuild's builds as processes of this machine."""

from sandbox.builds.build import Surroundings
from sandbox.builds.runner import LocalBuildRunner
from sandbox.builds.tools import Toolbox

__all__ = ["LocalBuildRunner", "Surroundings", "Toolbox"]

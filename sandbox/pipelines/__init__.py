"""Runs the executions of CodePipeline pipelines."""

from sandbox.pipelines.account_clients import AccountClients
from sandbox.pipelines.action_execution import Services
from sandbox.pipelines.push_watcher import PushWatcher
from sandbox.pipelines.repositories import Repositories, RepositoryError
from sandbox.pipelines.runner import CodePipelineRunner
from sandbox.pipelines.source_poller import SourcePoller

__all__ = [
    "AccountClients",
    "CodePipelineRunner",
    "PushWatcher",
    "Repositories",
    "RepositoryError",
    "Services",
    "SourcePoller",
]

"""The service in Kubernetes."""

from components.workload.args import WorkloadArgs
from components.workload.component import Workload

__all__ = ["Workload", "WorkloadArgs"]

"""The components for Pulumi programs in any language, with flat arguments.

Pulumi derives the schema from these classes. The program's components take sections of the stack
file and other components, which a schema cannot express.
"""

from component_provider.cluster import Cluster
from component_provider.database import Database
from component_provider.image import Image
from component_provider.network import Network
from component_provider.observability import Observability
from component_provider.pipeline import Pipeline
from component_provider.workload import Workload

COMPONENTS = [Network, Image, Database, Cluster, Workload, Observability, Pipeline]

__all__ = [
    "COMPONENTS",
    "Cluster",
    "Database",
    "Image",
    "Network",
    "Observability",
    "Pipeline",
    "Workload",
]

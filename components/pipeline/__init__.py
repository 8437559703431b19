"""CodePipeline from commit to cluster."""

from components.pipeline.args import PipelineArgs
from components.pipeline.component import Pipeline

__all__ = ["Pipeline", "PipelineArgs"]

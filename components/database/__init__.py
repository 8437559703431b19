"""PostgreSQL database on RDS."""

from components.database.args import DatabaseArgs
from components.database.component import Database
from components.database.versions import look_up_engine_version

__all__ = ["Database", "DatabaseArgs", "look_up_engine_version"]

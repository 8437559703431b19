"""PostgreSQL database on RDS."""

from components.database.args import DatabaseArgs
from components.database.component import Database

__all__ = ["Database", "DatabaseArgs"]

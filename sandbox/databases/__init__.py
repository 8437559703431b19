"""PostgreSQL servers behind RDS instances."""

from sandbox.databases.errors import ServerError
from sandbox.databases.host import PostgresHost
from sandbox.databases.log_shipper import LogSink
from sandbox.databases.programs import client as client_program

__all__ = ["LogSink", "PostgresHost", "ServerError", "client_program"]

"""PostgreSQL: connections, credentials, migrations."""

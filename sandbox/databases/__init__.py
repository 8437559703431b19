"""PostgreSQL servers behind RDS instances."""

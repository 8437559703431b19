"""RDS: instances, their groups, and the servers behind them."""

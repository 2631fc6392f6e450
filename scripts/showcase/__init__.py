"""What `make demo` and `make up` show, apart from how the processes behind them run."""

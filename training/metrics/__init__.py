"""Metrics as pure functions of arrays, each written once; intervals, tests and tables on top of them."""

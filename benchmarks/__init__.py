"""What things cost on this machine: run with ``python -m benchmarks.NAME``. Never asserted in a test."""

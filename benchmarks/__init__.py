"""Measures what the host promises; `make bench` writes RESULTS.md."""

"""Measures the interceptor: `make bench`."""

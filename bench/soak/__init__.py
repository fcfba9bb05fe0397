"""Keeps `mitm-demo proxy` busy for long: `python -m bench.soak`."""

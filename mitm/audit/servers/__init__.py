"""The audit turned round: does a server check its clients? `run_probe` in `probe.py` is the way in.

It is left empty, because findings of servers and of clients are one kind, and `answer.py` is a part
of that.
"""

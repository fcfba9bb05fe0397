"""Measures the interceptor.

make bench                  all of it, and writes docs/performance.md: some 20 minutes
python -m bench --quick     a look at the same, which writes nothing
python -m bench.audit       the audit alone
python -m bench.soak        twenty minutes of friends and foes: does it stay as it was?
"""

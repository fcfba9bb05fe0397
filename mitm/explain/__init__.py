"""What an error of a TLS client means: its text → the likely causes, and what to do."""

from mitm.explain.dictionary import Dictionary, Known, load
from mitm.explain.log import Reading, read
from mitm.explain.meaning import MEANINGS, Meaning, own_remedy

__all__ = ["MEANINGS", "Dictionary", "Known", "Meaning", "Reading", "load", "own_remedy", "read"]

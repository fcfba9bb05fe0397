"""Memory that many connections have taken, once they are gone."""

import ctypes
import gc


def give_back() -> None:
    """Give what is not used any more back to the system; it takes some ten milliseconds.

    What refers to itself in circles, as h2 does where there is rewriting, only the collector finds.
    And glibc keeps what was freed below what is still in use, which is most of it with so many
    small pieces, until it is asked (malloc_trim(3)); elsewhere there is no such function.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)

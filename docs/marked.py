"""The parts of a page that a program writes, between `<!-- NAME -->` and `<!-- end -->`."""

import re
from collections.abc import Mapping

_PART = re.compile(r"<!-- (\w+) -->\n.*?<!-- end -->", re.DOTALL)


def filled(page: str, parts: Mapping[str, str]) -> str:
    """A page with its parts written anew.

    Args:
        page: with each part once, and no others.
        parts: what is to stand there, by name.
    """
    names = _PART.findall(page)
    assert sorted(names) == sorted(parts), f"the page has {names}, and not {[*parts]}"

    def part(match: re.Match[str]) -> str:
        return f"<!-- {match[1]} -->\n{parts[match[1]]}\n<!-- end -->"

    return _PART.sub(part, page)

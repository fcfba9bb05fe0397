"""Options and arguments that may be repeated, and hold several words each."""

from collections.abc import Iterable


def words_in(given: Iterable[str]) -> list[str]:
    """The words in all of them, which have commas between them: `--only must,expired`."""
    return [word for text in given for word in text.split(",") if word]

"""What the libraries here cannot do."""


class Unsupported(Exception):  # noqa: N818
    """This recipe cannot be made or served here; the text says why, in one line."""

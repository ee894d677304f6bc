"""The built-in source `python-docs`: Python's language reference, which every Python installation carries."""

from collections.abc import Iterator

LICENSE = "PSF-2.0"
_ADDRESS = "https://docs.python.org/3/reference/"


def iter_topics() -> Iterator[tuple[str, str]]:
    """Name and text of each topic of the interactive help, by name."""
    # Imported late: half a megabyte of text that only this source needs.
    from pydoc_data.topics import topics

    for name in sorted(topics):
        yield name, topics[name].strip()


def address(name: str) -> str:
    """Where the topic's text comes from."""
    return f"{_ADDRESS}#{name}"

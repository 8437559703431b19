"""One row of the table of results."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A measure with its bar."""

    measure: str
    result: str
    reference: str
    ratio: str
    bar: str
    met: bool

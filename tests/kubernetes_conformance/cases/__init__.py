"""The corpus: cases by name."""

from tests.kubernetes_conformance.case import Case
from tests.kubernetes_conformance.cases import invalid, valid, verbs, writes

CASES: dict[str, Case] = {
    case.name: case for case in (*valid.CASES, *invalid.CASES, *writes.CASES, *verbs.CASES)
}

__all__ = ["CASES"]

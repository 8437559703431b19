"""The corpus: small programs by name, one behavior each."""

from tests.conformance.programs import basics, failures, interruptions, secrets

SCENARIOS = {
    **basics.SCENARIOS,
    **secrets.SCENARIOS,
    **failures.SCENARIOS,
    **interruptions.SCENARIOS,
}

__all__ = ["SCENARIOS"]

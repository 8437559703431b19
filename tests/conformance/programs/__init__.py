"""The corpus: small programs by name, one behavior each."""

from tests.conformance.programs import basics, failures, interruptions, secrets

SCENARIOS = {
    **basics.SCENARIOS,
    **secrets.SCENARIOS,
    **failures.SCENARIOS,
    **interruptions.SCENARIOS,
}

# CI has time for every second program without interruptions; `make conformance` runs all.
IN_CI = {
    **{
        name: SCENARIOS[name]
        for module in (basics, secrets, failures)
        for name in list(module.SCENARIOS)[::2]
    },
    **interruptions.SCENARIOS,
}

__all__ = ["IN_CI", "SCENARIOS"]

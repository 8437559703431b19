"""Configures all tests: compiled code is cached, examples of Hypothesis are reproducible."""

from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

from sandbox.runtime import interpreter

interpreter.isolate()

# Every run uses the same examples. `--hypothesis-profile=search` draws new ones; each failure
# becomes an @example with its fix.
_PATIENT = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
settings.register_profile("repeatable", _PATIENT, derandomize=True, database=None, max_examples=200)
settings.register_profile("search", _PATIENT, print_blob=True, max_examples=3000)
settings.load_profile("repeatable")

# Hypothesis mixes constants of loaded modules into its examples, which differ between workers of
# xdist; it has no setting for that.
_of_loaded_modules = providers._get_local_constants
providers._get_local_constants = lambda: (
    providers._local_constants
    if settings.default and settings.default.derandomize
    else _of_loaded_modules()
)

"""For every test: compiled code is kept, so that the many processes that tests start are up quickly; examples repeat."""

from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

from sandbox.runtime import interpreter

interpreter.isolate()

# What a run comes to is the code's doing alone: the same examples each time, whatever the machine's speed.
# `--hypothesis-profile=search` looks for new ones; what it finds becomes an @example beside its mend.
_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
settings.register_profile("repeatable", _PATIENT, derandomize=True, database=None, max_examples=200)
settings.register_profile("search", _PATIENT, print_blob=True, max_examples=3000)
settings.load_profile("repeatable")

# Hypothesis mixes constants of whatever modules are loaded into its examples, and which ones a worker of xdist has
# loaded by then is a matter of luck. It has no setting for that.
_of_loaded_modules = providers._get_local_constants
providers._get_local_constants = lambda: (
    providers._local_constants if settings.default and settings.default.derandomize else _of_loaded_modules()
)

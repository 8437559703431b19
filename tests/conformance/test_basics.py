"""Both engines agree on creation, changes, replacement, components, configuration."""

from __future__ import annotations

import pytest

from tests.conformance.differences import check
from tests.conformance.engines import Laboratory
from tests.conformance.programs import IN_CI
from tests.conformance.programs.basics import SCENARIOS
from tests.pulumi import needs_cli


@needs_cli
@pytest.mark.parametrize("name", [name for name in SCENARIOS if name in IN_CI])
def test_engines_agree(shared: Laboratory, name: str) -> None:
    check(shared, name)

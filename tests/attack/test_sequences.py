"""For random sequences of answers, faults and disconnects: one outcome per item, attempts equal
deliveries."""

import functools

import anyio
import pytest
from hypothesis import HealthCheck, example, given, settings

from .sequences import KNOWN_DIFFICULT, Scenario, check, scenarios


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(
    max_examples=15,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example(scenario=KNOWN_DIFFICULT)
@given(scenario=scenarios)
def test_each_item_has_one_outcome_that_reports_what_happened(
    backend: str, transport: str, scenario: Scenario
) -> None:
    anyio.run(functools.partial(check, scenario, transport), backend=backend)

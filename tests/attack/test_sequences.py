"""For any sequence of answers, faults and hang-ups: one outcome each, attempts equal to deliveries."""

import functools

import anyio
import pytest
from hypothesis import HealthCheck, example, given, settings

from .sequences import TELLING, Story, check, stories


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(
    max_examples=15,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example(story=TELLING)
@given(story=stories)
def test_whatever_happens_each_item_has_one_outcome_that_tells_what_happened(
    backend: str, transport: str, story: Story
) -> None:
    anyio.run(functools.partial(check, story, transport), backend=backend)

"""The counters: each change counts for its function and in total."""

import json
import pickle
from dataclasses import asdict

from asyncinvoke._model.failure import ThrottleReason
from asyncinvoke.local.counters import Counters


def test_a_change_counts_for_its_function_and_in_total_and_for_unknown_ones_in_total() -> None:
    counters = Counters()
    counters.register("known")
    counters.add("known", invocations=2, faults=1)
    counters.add("stranger", invocations=1)
    counters.throttled("known", ThrottleReason.CALLER_RATE_LIMIT_EXCEEDED)
    total = counters.statistics()
    assert list(total.functions) == ["known"]
    known = total.functions["known"]
    assert (known.invocations, known.faults, dict(known.throttles)) == (
        2,
        1,
        {"CallerRateLimitExceeded": 1},
    )
    assert (total.invocations, total.faults, sum(total.throttles.values())) == (3, 1, 1)


def test_the_peak_is_that_of_each_and_that_of_all_together() -> None:
    counters = Counters()
    for name in ("one", "other"):
        counters.register(name)
    counters.add("one", in_flight=1)
    counters.add("one", in_flight=1)
    counters.add("one", in_flight=-2)
    counters.add("other", in_flight=1)
    total = counters.statistics()
    assert (total.in_flight, total.peak_in_flight) == (1, 2)
    assert [total.functions[name].peak_in_flight for name in ("one", "other")] == [2, 1]


def test_a_snapshot_stays_as_it_is_and_a_function_that_comes_back_goes_on() -> None:
    counters = Counters()
    counters.register("f")
    counters.add("f", executions=1)
    before = counters.statistics()
    counters.add("f", executions=1)
    counters.register("f")
    assert before.functions["f"].executions == 1
    assert counters.statistics().functions["f"].executions == 2


def test_a_snapshot_pickles_and_converts_to_json_as_an_invokers_does() -> None:
    counters = Counters()
    counters.register("known")
    counters.throttled("known", ThrottleReason.CALLER_RATE_LIMIT_EXCEEDED)
    snapshot = counters.statistics()
    assert pickle.loads(pickle.dumps(snapshot)) == snapshot
    assert json.loads(json.dumps(asdict(snapshot)))["functions"]["known"]["throttles"]
    counters.throttled("known", ThrottleReason.CALLER_RATE_LIMIT_EXCEEDED)
    assert sum(snapshot.throttles.values()) == 1  # the snapshot is unchanged

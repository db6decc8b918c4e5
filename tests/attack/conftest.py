"""What the attack starts from, and which of its tests are known to fail, each with its promise."""

import gc
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.certificates import Authority, Identity

from .faults import Stage

_FAULT = "test_faults_by_phase::test_what_is_said_of_a_fault_is_what_the_endpoint_saw"
_STATUS = "test_faults_by_phase::test_the_status_line_decides_whatever_the_body"
_IDLE = "test_idle_connections::test_"
_CYCLES = "test_cycles::test_"
_ENDS = "test_ends::test_"
_STREAMS = "test_stream_ends::test_"
_IDENTITY = "test_identity::test_"
_OPEN_FILES = "test_open_files::test_few_open_files_cost_a_map_no_item_and_no_attempt"
_LEAK = "10.9: locals of our frames, and the SDK's errors behind ours"

# A test is named as `file::test`, which means all its cases, or as `file::test[case]`; `*` stands for
# anything, `?` for one character. Whoever makes one pass takes it off: a test that passes though it
# is here fails the run. The number is that of the issue and its promise.
EXPECTED_RED: dict[str, str] = {
    # 10.1: how far an attempt came
    f"{_FAULT}[*-STS: *]": "10.1: STS's answer is taken for Lambda's",
    f"{_FAULT}[*-token file away]": "10.1: unknown, though nothing was sent",
    f"{_FAULT}[*-SYN dropped, deadline]": "10.1: unknown, though nothing was sent",
    f"{_FAULT}[*-TLS: stalls, deadline]": "10.1: unknown, though nothing was sent",
    f"{_FAULT}[*-proxy: FIN on CONNECT]": "10.1: unknown, though nothing was sent",
    f"{_FAULT}[*-proxy: RST on CONNECT]": "10.1: unknown, though nothing was sent",
    f"{_FAULT}[*-proxy: stalls, deadline]": "10.1: unknown, though nothing was sent",
    "test_faults_by_phase::test_what_is_wrong_for_good_with_the_setup_is_said_on_opening": (
        "10.1: said at each call, without the name, or as a bare FileNotFoundError"
    ),
    "test_outages::test_credentials_that_cannot_be_had_for_a_while_cost_a_map_no_item": (
        "10.1: items are lost, or Lambda's limits are lowered"
    ),
    # 10.2: idle connections
    f"{_IDLE}a_server_that_closes_after_every_fifth_answer_costs_no_item[*-asyncio]": (
        "10.2: 80 of 500 lost"
    ),
    f"{_IDLE}a_server_that_closes_after_every_fifth_answer_costs_no_item[*-uvloop]": (
        "10.2: 80 of 500 lost"
    ),
    f"{_IDLE}what_was_closed_while_the_loop_stood_still_is_not_used[*-asyncio]": (
        "10.2: a dead connection is used"
    ),
    f"{_IDLE}what_was_closed_while_the_loop_stood_still_is_not_used[*-TLS-uvloop]": (
        "10.2: a dead connection is used"
    ),
    f"{_IDLE}what_was_closed_while_nothing_was_under_way_is_not_used[*-unnoticed-asyncio]": (
        "10.2: a dead connection is used"
    ),
    f"{_IDLE}what_was_closed_while_nothing_was_under_way_is_not_used[*-unnoticed-uvloop]": (
        "10.2: a dead connection is used"
    ),
    f"{_IDLE}an_answer_that_nobody_asked_for_is_nobodys[*-asyncio]": (
        "10.2: it is given to the next call"
    ),
    f"{_IDLE}an_answer_that_nobody_asked_for_is_nobodys[*-uvloop]": (
        "10.2: it is given to the next call"
    ),
    f"{_IDLE}what_comes_behind_an_answer_is_not_the_next_ones[*-trio]": (
        "10.2: it is given to the next call"
    ),
    "test_sequences::test_whatever_happens_each_item_has_one_outcome_that_tells_what_happened": (
        "10.2: dead connections on asyncio, another call's answer on trio"
    ),
    # 10.4: the status line decides
    **{
        f"{_STATUS}[*-{body}]": "10.4: the parser's exception overrules the status"
        for body in ("a string", "a list", "null", "a number", "not UTF-8", "deep", "odd members")
    },
    f"{_FAULT}[*-20? for *]": "10.4: any 2xx is an acceptance",
    f"{_FAULT}[*-an answer beyond Lambda's limit]": "10.4: it is read without an end",
    "test_faults_by_phase::test_a_content_encoding_that_nobody_asked_for_is_not_undone[trio-direct]": (
        "10.4: httpx undoes it"
    ),
    # 10.5: limits on this side
    _OPEN_FILES: "10.5: attempts are spent on EMFILE, and items lost",
    # 10.7: failed calls leave no cycles behind
    **{
        f"{_CYCLES}the_payload_of_a_failed_call_is_free_once_its_error_is_dropped[*-{failure}]": (
            "10.7: error, traceback and frame keep each other alive"
        )
        for failure in (
            "function error",
            "throttled",
            "refused by Lambda",
            "hung up",
            "connection refused",
            "deadline",
            "stream refused",
        )
    },
    f"{_CYCLES}failures_do_not_pile_up": "10.7: 100 of 100 payloads are kept",
    # 10.8: the end is the end
    f"{_ENDS}calls_under_way_end_with_their_invoker_and_say_how_far_they_came": (
        "10.8: they go on, are sent afterwards, or are said to be lost or unknown"
    ),
    f"{_ENDS}a_stream_ends_with_its_invoker": "10.8: it goes on, or is said to be lost",
    f"{_ENDS}an_invoker_of_another_event_loop_is_a_mistake_that_is_named": (
        "10.8: RuntimeError, may have run; on trio it is sent"
    ),
    f"{_ENDS}of_two_tasks_that_enter_one_invoker_at_once_one_is_told[trio-*]": (
        "10.8: both enter, and one client is never closed"
    ),
    f"{_ENDS}a_callers_own_client_delivers_a_redirected_call_once[asyncio-client]": (
        "10.8: two deliveries for one attempt"
    ),
    f"{_ENDS}a_hook_that_raises_keeps_no_permit[*-Odd]": "10.8: it keeps one for ever",
    f"{_STREAMS}a_stream_that_has_told_its_end_does_not_wait_beyond_its_deadline": (
        "10.8: it waits a second for the body's end"
    ),
    f"{_STREAMS}a_function_error_that_has_arrived_is_told_whatever_the_deadline": (
        "10.8: it becomes DeadlineExceededError, or comes a second later"
    ),
    f"{_STREAMS}frames_with_odd_members_raise_nothing_but_our_own_errors": (
        "10.8: AttributeError, RecursionError"
    ),
    # 10.9: secrets
    "test_secrets::test_no_fault_shows_a_secret": _LEAK,
    "test_secrets::test_no_way_to_call_shows_a_secret[*-by_handle]": _LEAK,
    "test_secrets::test_no_way_to_call_shows_a_secret[*-by_event]": _LEAK,
    "test_secrets::test_no_way_to_call_shows_a_secret[*-client-by_map]": _LEAK,
    "test_secrets::test_neither_a_refusal_nor_a_deadline_shows_a_secret": _LEAK,
    # 10.10: identity
    f"{_IDENTITY}a_tenant_that_a_header_cannot_carry_is_refused": (
        "10.10: it is sent, and read as another tenant; on trio unknown"
    ),
    f"{_IDENTITY}an_item_that_names_the_maps_own_function_keeps_its_qualifier[*live-f-live]": (
        "10.10: $LATEST runs"
    ),
    f"{_IDENTITY}an_item_that_names_the_maps_own_function_keeps_its_qualifier[*None-f-live]": (
        "10.10: $LATEST runs"
    ),
    f"{_IDENTITY}an_option_that_a_method_cannot_honour_is_refused[*-send_event-DryRun]": (
        "10.10: it is silently another"
    ),
    f"{_IDENTITY}an_option_that_a_method_cannot_honour_is_refused[*-dry_run-Event]": (
        "10.10: it is silently another"
    ),
    f"{_IDENTITY}an_empty_payload_is_none_and_a_function_error_json_whatever_the_codec": (
        "10.10: the codec gets them"
    ),
    f"{_IDENTITY}an_async_def_where_a_plain_function_belongs_is_refused": (
        "10.10: it is accepted and never runs"
    ),
    # 10.12: outages
    "test_outages::test_an_endpoint_that_refuses_for_a_while_costs_a_map_no_item": (
        "10.12: five attempts in three seconds, and the item is lost"
    ),
    # 12.4: phases are facts
    f"{_FAULT}[*-direct-upload: reset in the middle]": (
        "12.4: unknown, though only a part was written"
    ),
    f"{_FAULT}[*-direct-upload: stalls, deadline]": (
        "12.4: unknown, though only a part was written"
    ),
}

_LEFT_BEHIND = "ignore::pytest.PytestUnraisableExceptionWarning"


def _in_one_line(excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> str:
    return excinfo.exconly()


def _as_pattern(name: str) -> str:
    return re.escape(name).replace(r"\*", ".*").replace(r"\?", ".")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Expect the tests of the table to fail."""
    here = Path(__file__).parent
    patterns = [
        (re.compile(_as_pattern(name) + r"(\[.*\])?"), promise)
        for name, promise in EXPECTED_RED.items()
    ]
    for item in items:
        if item.path.parent != here:
            continue
        name = f"{item.path.stem}::{item.name}"
        for pattern, promise in patterns:
            if pattern.fullmatch(name):
                item.add_marker(pytest.mark.xfail(reason=promise, strict=True))
                # What goes wrong may leave something behind, which is not what is tested here.
                item.add_marker(pytest.mark.filterwarnings(_LEFT_BEHIND))
                if not item.config.option.runxfail:
                    # Nobody is shown these tracebacks, and to write them takes longer than to fail.
                    vars(item)["repr_failure"] = _in_one_line


@pytest.fixture(autouse=True)
def _leave_nothing_to_the_next_test(request: pytest.FixtureRequest) -> Iterator[None]:
    if not request.node.get_closest_marker("xfail"):
        yield
        return
    # What was there before is not looked at, which would take a second.
    gc.freeze()
    yield
    for name in ("last_exc", "last_traceback", "last_type", "last_value"):
        # pytest keeps the last failure there, and with it all that its frames hold.
        sys.__dict__.pop(name, None)
    gc.collect()
    gc.unfreeze()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signs the certificates of the tests."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def identity(authority: Authority) -> Identity:
    """What a server on loopback presents."""
    return authority.issue("server")


@pytest.fixture
def stage(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, authority: Authority, identity: Identity
) -> Stage:
    return Stage(
        monkeypatch=monkeypatch, directory=tmp_path, authority=authority, identity=identity
    )


LOOPS = [
    pytest.param("asyncio", id="asyncio"),
    pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
    pytest.param("trio", id="trio"),
]


THREE_WAYS = [("asyncio", "direct"), ("asyncio", "client"), ("trio", "direct")]
"""Loops with transports, where the fourth way would show nothing new."""


@pytest.fixture(params=LOOPS[::2])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """Both event loops; a test that also wants uvloop is parametrized with `LOOPS`."""
    return request.param

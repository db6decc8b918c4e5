"""An invocation makes few Python calls within the package, in few files."""

from pathlib import Path

import pytest

from .trace import HTTP, Trace, report

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

BOUNDS = {
    # Calls within the package and their files, both without the HTTP room.
    "invoke": (23, 12),
    "one 429": (91, 20),
}

PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"


def counted(trace: Trace) -> tuple[int, int]:
    return len(trace.calls) - trace.of_http, len(trace.modules_beside_http)


async def test_an_invocation_makes_few_calls_of_ours_in_few_files() -> None:
    found = await report()
    for name, (calls, files) in BOUNDS.items():
        made, seen = counted(found[name])
        assert made <= calls and seen <= files, "\n".join([name, *found[name].calls])  # noqa: PT018


async def test_the_page_on_the_architecture_has_these_numbers() -> None:
    (calls, files), (_, throttled) = BOUNDS["invoke"], BOUNDS["one 429"]
    text = " ".join(PAGE.read_text("utf-8").split())
    assert f"makes {calls} calls in {files} files" in text
    assert f"throttled once passes {throttled} files" in text


async def test_without_hooks_no_events_are_created() -> None:
    found = await report()
    unheard = ("_telemetry/", "_engine/events.py", "_limits/events.py")
    for name, trace in found.items():
        assert not [call for call in trace.calls if call.startswith(unheard)], name


async def test_an_exchange_of_a_warm_invocation_is_at_most_17_calls_in_six_files() -> None:
    of_http = [call for call in (await report())["invoke"].calls if call.startswith(HTTP)]
    assert len(of_http) <= 17, "\n".join(of_http)
    assert len({call.split()[0] for call in of_http}) <= 6

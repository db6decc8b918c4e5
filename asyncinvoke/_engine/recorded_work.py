"""The work of a recorded map: items are prepared when read, marked when sent, and numbered by take."""

from dataclasses import replace
from typing import Any, cast

from asyncinvoke._engine.item import ItemWork, refused
from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._engine.prepared import Prepared
from asyncinvoke._engine.recording import Recorder, Written
from asyncinvoke._engine.tolerance import invoker_was_left
from asyncinvoke._engine.waits import Waits
from asyncinvoke._model.response import Attempt
from asyncinvoke._model.text import NO_CHARACTERS
from asyncinvoke._request.payload import max_payload
from asyncinvoke._request.request import Request
from asyncinvoke.errors import InvalidRequestError


class RecordedWork:
    """The work of a recorded map: items are prepared when they are read, and sent later.

    Args:
        work: Executes the items.
        recorder: Records that a first request is about to be sent.
    """

    def __init__(self, work: ItemWork, recorder: Recorder) -> None:
        self._work = work
        self._recorder = recorder
        self.waits: Waits = work.engine.waits
        """Tells whether the invoker was closed, so that nothing more can be sent."""
        self._is_keyed = recorder.keyed
        self._shared = work.call.parameters
        self._most = max_payload(self._shared.invocation_type)

    def check_open(self) -> None:
        """Check that items can still be sent.

        If not, the item has no outcome that may be recorded: it was not sent, and will be when the
        run is continued.

        Raises:
            ConfigurationError: The invoker was closed.
        """
        if self.waits.is_closed:
            raise invoker_was_left()

    def write(self, items: list[object]) -> Written:
        """Encode items as they are sent, up to the first that cannot be sent."""
        bodies = cast("list[bytes]", items) if set(map(type, items)) == {bytes} else None
        if bodies is not None and max(map(len, bodies)) <= self._most:
            # As below, in a third of the time: millions of items are encoded when a run continues.
            names = self._work.names(bodies) if self._is_keyed else []
            if names is not None:
                return Written(bodies, [self._shared] * len(bodies), names)
        written = Written([], [], [])
        for item in items:
            try:
                call, body = self._work.prepare(item)
                name = self._work.name(item) if self._is_keyed else None
            except Exception:  # noqa: BLE001  # any error of an item is reported later
                break
            written.bodies.append(body)
            written.parameters.append(call.parameters)
            if self._is_keyed:
                written.names.append(name or "")
        return written

    def prepare(self, index: int, item: object) -> Prepared:
        """Determine the key of an item and encode it, or record why it is invalid."""
        key = None
        try:
            if self._is_keyed or isinstance(item, Request):
                name = self._work.name(item)
                if name is not None and not name.isascii() and NO_CHARACTERS.search(name):
                    raise InvalidRequestError(  # noqa: TRY301  # as for any error of an item
                        "key must be Unicode text, or a journal cannot store it"
                    )
                key = name
            call, body = self._work.prepare(item)
        except Exception as error:  # noqa: BLE001  # an item may be wrong in any way
            return Prepared(self._recorder, index, key, None, b"", refused(error))
        return Prepared(self._recorder, index, key, call, body)

    async def __call__(self, index: int, item: object) -> Outcome[Any]:
        """Execute a prepared item."""
        assert isinstance(item, Prepared)  # noqa: S101  # the result of `prepare`
        self.check_open()
        work, call, body = self._work, item.call, item.body
        item.body = b""  # an item waiting to be recorded must not keep its payload alive
        clock = work.engine.clock
        started, began = clock.time(), clock.monotonic()
        if call is None:
            assert item.error is not None  # noqa: S101  # one of the two is set
            outcome = work.outcome(index, item.key, item.error, started=started, began=began)
            return with_take(item, outcome)
        executing = work.execute(index, call, body, item)
        body = b""  # keeps the payload out of tracebacks
        executed = await executing
        outcome = work.outcome(index, item.key, executed, started=started, began=began)
        return with_take(item, outcome)


def with_take(prepared: Prepared, outcome: Outcome[Any]) -> Outcome[Any]:
    """Return the outcome of an item with its take and the lost attempt of an earlier session."""
    if prepared.take == 1 and prepared.lost is None:
        return outcome
    return replace(outcome, take=prepared.take, attempts=_after(prepared.lost, outcome.attempts))


def _after(lost: Attempt | None, attempts: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
    if lost is None:
        return attempts
    return (lost, *(replace(each, number=each.number + 1) for each in attempts))

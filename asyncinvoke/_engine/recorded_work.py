"""The work of a recorded map: items are prepared when read, marked when sent, and numbered by take."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import anyio

from asyncinvoke._engine.item import ItemWork, refused
from asyncinvoke._engine.outcome import Outcome
from asyncinvoke._engine.recording import Prepared, Recorder, Written
from asyncinvoke._engine.tolerance import invoker_was_left
from asyncinvoke._engine.waits import Waits
from asyncinvoke._model.delivery import Delivery, Phase, Progress
from asyncinvoke._model.failure import Failure
from asyncinvoke._model.response import Attempt, Reply
from asyncinvoke._model.text import NO_CHARACTERS
from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke._request.payload import max_payload
from asyncinvoke._retries.classify import classify
from asyncinvoke._transport.base import Transport
from asyncinvoke.errors import InvalidRequestError, JournalError


class MarkingTransport:
    """Marks items before their first request, and unmarks those that certainly did not run.

    So if the process dies while a throttled item waits for its next attempt, the item does not
    count as one that may have run.

    Args:
        transport: Sends the attempts.
        recorder: Records the marks.
        prepared: The item that is sent, or the items of a batch.
    """

    __slots__ = ("_prepared", "_recorder", "_transport")

    def __init__(
        self, transport: Transport, recorder: Recorder, prepared: Sequence[Prepared]
    ) -> None:
        self._transport = transport
        self._recorder = recorder
        self._prepared = prepared

    async def send(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> Reply | Failure:
        """Send a request once, as `Transport.send` does."""
        marked: list[Prepared] = []
        try:
            for each in self._prepared:
                if not each.is_sent:
                    self._recorder.mark(each)
                    marked.append(each)
        except BaseException:  # as of a full disk: nothing is sent
            for each in marked:
                with contextlib.suppress(JournalError):
                    self._recorder.unmark(each)
            raise
        sending = self._transport.send(parameters, payload, progress)
        payload = b""  # keeps it out of tracebacks
        try:
            answer = await sending
        except anyio.get_cancelled_exc_class():
            # A cancellation is raised only at an `await`, where the recorded phase is correct. An
            # interrupt may be raised between writing a request and recording that, so it does not
            # justify removing a mark. A custom transport may not record any phase.
            noted = progress.phase is not Phase.NOT_BEGUN
            if noted and progress.phase.delivery is Delivery.NOT_SENT:
                self._unmark(marked)
            raise
        if marked and isinstance(answer, Failure) and _did_not_run(answer):
            self._unmark(marked)
        return answer

    def _unmark(self, marked: list[Prepared]) -> None:
        for each in marked:
            self._recorder.unmark(each)


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

    def transport(self, prepared: Sequence[Prepared]) -> MarkingTransport:
        """Return a transport that marks these items before sending them."""
        return MarkingTransport(self._work.transport, self._recorder, prepared)

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
            name = self._work.name(item)
            if name is not None and not name.isascii() and NO_CHARACTERS.search(name):
                raise InvalidRequestError(  # noqa: TRY301  # as for any error of an item
                    "key must be Unicode text, or a journal cannot store it"
                )
            key = name
            call, body = self._work.prepare(item)
        except Exception as error:  # noqa: BLE001  # an item may be wrong in any way
            return Prepared(index, key, None, b"", refused(error))
        return Prepared(index, key, call, body)

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
            return work.outcome(index, item.key, item.error, started=started, began=began)
        executing = work.execute(index, call, body, self.transport((item,)))
        body = b""  # keeps the payload out of tracebacks
        executed = await executing
        outcome = work.outcome(index, item.key, executed, started=started, began=began)
        return with_take(item, outcome)


def with_take(prepared: Prepared, outcome: Outcome[Any]) -> Outcome[Any]:
    """Return the outcome of an item with its take and the lost attempt of an earlier session."""
    if prepared.take == 1 and prepared.lost is None:
        return outcome
    return replace(outcome, take=prepared.take, attempts=_after(prepared.lost, outcome.attempts))


def _did_not_run(failure: Failure) -> bool:
    return not classify(failure, now=0.0).delivery.may_have_run


def _after(lost: Attempt | None, attempts: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
    if lost is None:
        return attempts
    return (lost, *(replace(each, number=each.number + 1) for each in attempts))


def identity_of(parameters: InvokeParameters) -> Mapping[str, object]:
    """Return the parameters that must be unchanged when a run is continued."""
    return {
        "function_name": parameters.target.function_name,
        "qualifier": parameters.target.qualifier,
        "invocation_type": parameters.invocation_type.value,
        "tenant_id": parameters.tenant_id,
        "client_context": parameters.client_context,
    }

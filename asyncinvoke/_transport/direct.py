"""The direct transport: the bytes that aiobotocore would send, prepared once and signed per call.

It falls back to the reference transport while third-party code wraps or listens to the client's
calls, and for a client that does not sign with Signature Version 4.

There is a fast and a slow path. If everything is cached (the credentials of this second, the
template, our own connections), a call is one coroutine with a single wait, `send`. Otherwise,
`_send` awaits what is missing, under the call's deadline.
"""

import logging
from dataclasses import fields
from typing import Any, TypeAlias

from asyncinvoke._model.delivery import Phase, Progress
from asyncinvoke._model.failure import Failure
from asyncinvoke._model.response import Reply
from asyncinvoke._recent import Recent
from asyncinvoke._request.parameters import InvokeParameters
from asyncinvoke._transport.answers import ACCEPTED, read_answer, read_failure, read_stream_head
from asyncinvoke._transport.client import ClientTransport
from asyncinvoke._transport.credentials import KeptCredentials, failure_before_sending
from asyncinvoke._transport.foreign_calls import ForeignCalls
from asyncinvoke._transport.http.errors import NotOursError, WireError
from asyncinvoke._transport.http.pool import Connections
from asyncinvoke._transport.interception import Interception
from asyncinvoke._transport.patterns import Patterns, family_of
from asyncinvoke._transport.sdk_request import HOLES, INVOKE, STREAM, make_template
from asyncinvoke._transport.sigv4 import Moment
from asyncinvoke._transport.stream import OpenStream
from asyncinvoke._transport.template import Filled, Template, UnsuitableError
from asyncinvoke._transport.wires import Wires

_logger = logging.getLogger("asyncinvoke")

_MOST_TEMPLATES = 4096
"""The number of recent templates that are kept; as many older ones may be kept too."""


class DirectTransport:
    """Sends what aiobotocore would send, without asking it each time."""

    keeps_deadline = True

    def __init__(self, client: Any) -> None:
        """Look up the internals of the client.

        Raises:
            AttributeError: A private attribute of aiobotocore is missing.
        """
        self._client = client
        self._wires = Wires(client._endpoint.http_session)  # noqa: SLF001
        self._foreign_calls = ForeignCalls()
        self._credentials = KeptCredentials(client._request_signer)  # noqa: SLF001
        self._reference = ClientTransport(client, wires=self._wires, credentials=self._credentials)
        self._interception = Interception(client, library=self._wires.library)
        self._told: set[str] = set()
        self._templates: Recent[_Kind, Template | UnsuitableError] = Recent(_MOST_TEMPLATES)
        self._patterns = Patterns(client)
        self._latest: _Latest = _NO_LATEST

    async def send(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> Reply | Failure:
        """Send once, and read the whole response; failures are returned, not raised."""
        moment = self._credentials.kept()
        interception = self._interception
        # Cached credentials imply that there are some, so a warm call needs only one of the checks.
        is_plain = moment is not None and interception.found() is None
        if not is_plain and self._steps_aside():
            return await self._reference.send(parameters, payload, progress)
        latest = self._latest
        # `found` is another function after anything has changed that it compares.
        if latest[0] is parameters and latest[1] is moment and latest[2] is interception.found:
            # The items of a map share one object, and hashing its values takes a microsecond.
            template, connections = latest[3], latest[4]
        else:
            template = None if moment is None else self._known(INVOKE, parameters, moment)
            connections = None if template is None else self._wires.ours(template.origin)
            if connections is not None:
                self._latest = parameters, moment, interception.found, template, connections
        if moment is None or template is None or connections is None:
            return await self._foreign_calls.wait_for(
                self._send(parameters, payload, progress), progress
            )
        try:
            answer = await connections.exchange(
                template.head(moment, payload, parameters), payload, progress
            )
        except WireError as error:
            return self._wires.failure(error.with_traceback(None), template.url, progress)
        except NotOursError as error:
            self._wires.not_ours(template.origin, error)
            self._latest = _NO_LATEST
            return await self.send(parameters, payload, progress)
        return read_answer(
            answer.status, answer.headers, answer.body, ACCEPTED[parameters.invocation_type]
        )

    async def open(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> OpenStream | Failure:
        """Send once, and read the head of the response; failures are returned, not raised."""
        if self._steps_aside():
            return await self._reference.open(parameters, payload, progress)
        return await self._foreign_calls.wait_for(
            self._open(parameters, payload, progress), progress
        )

    def connecting(self) -> dict[str, int]:
        """Return how many connections are being opened, by the origin that they lead to."""
        return self._wires.connecting()

    async def aclose(self) -> None:
        """Close: calls in progress fail as closed, each with its phase, and no more are sent."""
        self._foreign_calls.end()
        self._reference.end()
        await self._wires.aclose()
        await self._reference.aclose()
        await self._foreign_calls.aclose()

    def _steps_aside(self) -> bool:
        found = self._interception.found()
        if found is not None and found not in self._told:
            self._told.add(found)
            _logger.info(
                "calls go through aiobotocore's own invoke, at about four times the CPU, while %s",
                found,
            )
        return found is not None or not self._credentials.exist

    async def _send(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> Reply | Failure:
        filled = await self._fill(INVOKE, parameters, payload, progress)
        if isinstance(filled, Failure):
            return filled
        if filled is None:
            return await self._reference.send(parameters, payload, progress)
        answer = await self._wires.exchange(filled, progress)
        if isinstance(answer, Failure):
            return answer
        return read_answer(*answer, ACCEPTED[parameters.invocation_type])

    async def _open(
        self, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> OpenStream | Failure:
        filled = await self._fill(STREAM, parameters, payload, progress)
        if isinstance(filled, Failure):
            return filled
        if filled is None:
            return await self._reference.open(parameters, payload, progress)
        answer = await self._wires.open(filled, progress)
        if isinstance(answer, Failure):
            return answer
        status_code, headers, body = answer
        if status_code == 200:
            return OpenStream(
                read_stream_head(status_code, headers),
                self._foreign_calls.body(body, progress),
                progress.deadline,
            )
        content = await self._wires.whole(body, status_code, progress)
        if isinstance(content, Failure):
            return content
        return read_failure(status_code, headers, content)

    async def _fill(
        self, operation: str, parameters: InvokeParameters, payload: bytes, progress: Progress
    ) -> Filled | Failure | None:
        """Return the request; `None` if only aiobotocore can build it."""
        progress.phase = Phase.CREDENTIALS
        moment = self._credentials.kept()
        if moment is None:
            asked = await self._credentials.fetch()
            if isinstance(asked, Failure):
                return asked
            moment = asked
        template = self._known(operation, parameters, moment)
        if template is None:
            made = await self._make(operation, parameters, moment)
            if not isinstance(made, Template):
                return made
            template = made
        return Filled(template, moment, parameters, payload)

    def _known(
        self, operation: str, parameters: InvokeParameters, moment: Moment
    ) -> Template | None:
        """Return the template of a request, if it is known and usable."""
        has_token = moment.token is not None
        kind = _kind(operation, parameters, has_token)
        template = self._templates.get(kind)
        if template is None:
            family = _kind(operation, family_of(parameters), has_token)
            template = self._patterns.template(family, parameters.target)
            if template is not None:
                self._templates.put(kind, template)
        return template if isinstance(template, Template) else None

    async def _make(
        self, operation: str, parameters: InvokeParameters, moment: Moment
    ) -> Template | Failure | None:
        """Make the template of a request; `None` if only aiobotocore can build the request."""
        kind = _kind(operation, parameters, moment.token is not None)
        if self._templates.get(kind) is not None:
            return None  # it was unsuitable before
        family = _kind(operation, family_of(parameters), moment.token is not None)
        made: Template | UnsuitableError
        try:
            made = await make_template(self._client, operation, parameters, moment)
            await self._patterns.learn(family, operation, parameters, moment)
        except UnsuitableError as unsuitable:
            _logger.debug("calls go through aiobotocore's own invoke: %s", unsuitable)
            made = unsuitable.with_traceback(None)
        except Exception as error:  # noqa: BLE001  # converted to a Failure
            return failure_before_sending(error)
        if self._steps_aside():
            # The client was intercepted meanwhile, so both may contain values of one call.
            self._patterns.forget(family)
            return None
        self._templates.put(kind, made)
        return made if isinstance(made, Template) else None


_Kind: TypeAlias = tuple[object, ...]

_Latest: TypeAlias = tuple[
    InvokeParameters | None, Moment | None, object, Template | None, Connections | None
]
"""The parameters, the moment, the `found`, the template and the connections of the latest call."""

_NO_LATEST: _Latest = (None, None, None, None, None)

_HOLES = frozenset(HOLES.values())
_PARAMETERS = tuple(field.name for field in fields(InvokeParameters))


def _kind(operation: str, parameters: InvokeParameters, has_token: bool) -> _Kind:
    """Return the cache key of a template: for values that are holes, only whether they are set.

    It is built from all parameters, not from a list kept here: a parameter missing from such a list
    would be sent with the value of the first call.
    """
    values = [(name, getattr(parameters, name)) for name in _PARAMETERS]
    return (
        operation,
        has_token,
        *[value is None if name in _HOLES else value for name, value in values],
    )

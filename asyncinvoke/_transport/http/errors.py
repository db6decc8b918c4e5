"""How an exchange ends that has no answer."""

from asyncinvoke._model.delivery import Phase
from asyncinvoke._model.failure import TransportFault
from asyncinvoke._transport.http.answer import Answer

_LOST = (TransportFault.CONNECTION_LOST, TransportFault.TRUNCATED)


class WireError(Exception):
    """An exchange ended without a whole answer.

    Its text, its cause and the frames of its traceback show no header, payload or credential.
    """

    def __init__(self, fault: TransportFault, phase: Phase, message: str) -> None:
        super().__init__(fault, phase, message)
        self.fault = fault
        self.phase = phase
        self.message = message
        self.begun: Answer | None = None
        """The answer of which the head was read and not the whole body: without a body."""

    def __str__(self) -> str:
        return self.message

    def anew(self) -> "WireError":
        """Return the same once more, to be raised: the first keeps no frames that would keep it."""
        error = WireError(self.fault, self.phase, self.message)
        error.__cause__ = self.__cause__
        error.begun = self.begun
        return error


class AnswerError(Exception):
    """What arrived is no answer, too much of one, or not all of it."""

    def __init__(self, fault: TransportFault, message: str) -> None:
        super().__init__(fault, message)
        self.fault = fault
        self.message = message

    def __str__(self) -> str:
        return self.message


class NotOursError(Exception):
    """This route is not for a connection of ours; whoever served it before still can."""


def ended(
    fault: TransportFault, phase: Phase, message: str, cause: BaseException | None = None
) -> WireError:
    """Return the error of an exchange that ended so.

    Args:
        fault: Why. A connection that was lost before the kernel had the whole request is
            `CUT_SHORT`, whatever had been read.
        phase: How far it came.
        message: What happened, in words that quote nothing.
        cause: What the system said, if it did.
    """
    if phase is Phase.WRITTEN_IN_PART and fault in _LOST:
        fault = TransportFault.CUT_SHORT
        message = f"{message}, before the whole request was sent"
    error = WireError(fault, phase, message)
    error.__cause__ = bare(cause)
    return error


def bare(error: BaseException | None) -> OSError | None:
    """Return an error of the system without frames and context, which may hold what was sent."""
    if not isinstance(error, OSError):
        return None
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)

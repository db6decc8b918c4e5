"""Lines of the log about executions: those that failed on the way, and nothing for each call."""

import logging
from typing import Any

from asyncinvoke._model.response import Attempt, Response
from asyncinvoke._request.target import Target
from asyncinvoke._telemetry import attributes
from asyncinvoke.errors import InvocationError

_logger = logging.getLogger("asyncinvoke")


def log_retry(target: Target, attempt: Attempt) -> None:
    """Say that an attempt failed and there will be another; for DEBUG."""
    if _logger.isEnabledFor(logging.DEBUG):
        why = attempt.code or attempt.kind
        because = "" if attempt.reason is None else f" ({attempt.reason})"
        _logger.debug(
            "%s: attempt %d failed with %s%s, the next one in %.3g s",
            target,
            attempt.number,
            why,
            because,
            attempt.delay,
            extra={
                **attributes.of_function(target.name, target.qualifier),
                **attributes.of_attempt(attempt),
            },
        )


def log_given_up(target: Target, ended: Response[Any] | InvocationError) -> None:
    """Say that an execution was given up; for DEBUG."""
    if isinstance(ended, InvocationError) and _logger.isEnabledFor(logging.DEBUG):
        said = attributes.of_result(ended)
        _logger.debug(
            "%s: given up after %d attempts in %.3g s (%s): %s",
            target,
            said[attributes.ATTEMPTS],
            ended.elapsed,
            ended.gave_up,
            said[attributes.ERROR],
            extra={**attributes.of_function(target.name, target.qualifier), **said},
        )

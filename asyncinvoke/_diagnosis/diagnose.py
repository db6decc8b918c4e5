"""`diagnose`: examines everything between this process and a function, and reports what is wrong."""

import os
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from asyncinvoke._diagnosis import endpoint_checks, facts, setup_checks
from asyncinvoke._diagnosis.checks import Check, CheckStatus, Diagnosis, skipped
from asyncinvoke._engine.calls import check_timeout
from asyncinvoke._invoker import Invoker
from asyncinvoke._model.failure import Failure
from asyncinvoke._request.parameters import InvokeParameters, checked
from asyncinvoke._retries.policy import RetryPolicy
from asyncinvoke._transport.process import loop_name, most_files, open_files
from asyncinvoke.errors import AsyncInvokeError, ConfigurationError

if TYPE_CHECKING:
    from asyncinvoke._transport.resolved import Setting

_DRY_RUNS = 3


async def diagnose(
    function_name: str | None = None,
    *,
    session: object | None = None,
    region_name: str | None = None,
    endpoint_url: str | None = None,
    config: object | None = None,
    timeout: float = 10.0,
) -> Diagnosis:
    """Check everything between this process and a function, and report what is wrong.

    The checks cover versions, Python and the event loop; open files; region, credentials, endpoint,
    proxy and certificates, each with its source; whether the endpoint answers, the negotiated TLS
    version and the service's clock; the transport in use; and three dry runs of the function, which
    do not run it. The result contains no key, token or payload. Besides the dry runs, this sends
    one unsigned `GET /`, and whatever resolving credentials sends.

    Args:
        function_name: The function, as for `Invoker.invoke`; `None` to skip the dry runs.
        session: As for `Invoker`.
        region_name: As for `Invoker`.
        endpoint_url: As for `Invoker`.
        config: As for `Invoker`.
        timeout: The timeout for credentials, the connection, and each dry run, in seconds.

    Raises:
        InvalidRequestError: The function name or the timeout is not valid.
        ConfigurationError: `session` is not an aiobotocore session, or another argument is not of
            its type.
    """
    timeout = check_timeout(timeout)
    for name, given in (("region_name", region_name), ("endpoint_url", endpoint_url)):
        if not isinstance(given, str | None):
            raise ConfigurationError(f"{name} must be a string, not {type(given).__name__}")
    # The transport can be determined with any function name.
    parameters = checked(function_name or "asyncinvoke", invocation_type="DryRun")
    checks = _of_the_process()

    # aiobotocore takes a third of a second to import.
    from asyncinvoke._transport import resolved
    from asyncinvoke._transport.session import as_session, open_client, pool_size

    session = as_session(session)
    region = resolved.region(session, region_name)
    # With a custom endpoint, the region is only used in signatures.
    is_by_region = resolved.endpoint(session, endpoint_url, None).value is None
    known = await resolved.regions(session) if is_by_region else ()
    checks.append(setup_checks.region(region, aws_region=os.environ.get("AWS_REGION"), known=known))
    of_client = region_name or getattr(config, "region_name", None)
    found = await resolved.credentials(session, of_client, timeout=timeout)
    checks.append(setup_checks.credentials(found, now=datetime.now(UTC)))
    certificates = setup_checks.ca_bundle(resolved.ca_bundle(session, config))
    async with AsyncExitStack() as stack:
        client, refused = None, ""
        try:
            if found.have_come:  # opening a client would wait for them again
                client = await stack.enter_async_context(
                    open_client(
                        session=session,
                        region_name=region_name,
                        endpoint_url=endpoint_url,
                        config=config,
                        max_pool_connections=2,
                    )
                )
                pool_size(client)
        except ConfigurationError as error:
            client, refused = None, str(error)
        resolved_url = None if client is None else client.meta.endpoint_url
        where: Setting = resolved.endpoint(session, endpoint_url, resolved_url)
        checks.append(setup_checks.endpoint(where))
        if client is None:
            checks += [skipped("proxy", "there is no client"), certificates]
            checks += _without_client(checks, refused)
            return Diagnosis(checks=tuple(checks))
        proxy = resolved.proxy(client)
        checks += [setup_checks.proxy(proxy), certificates]
        checks += await _of_the_endpoint(
            client,
            function_name,
            parameters,
            has_proxy=proxy.value is not None,
            timeout=timeout,
        )
    return Diagnosis(checks=tuple(checks))


def _of_the_process() -> list[Check]:
    files = open_files()
    soft, taken = (None, 0) if files is None else files
    return [
        setup_checks.versions(facts.versions()),
        setup_checks.python(facts.python()),
        setup_checks.event_loop(loop_name()),
        setup_checks.open_files(facts.Files(soft=soft, hard=most_files(), open=taken)),
    ]


async def _of_the_endpoint(
    client: Any,
    function_name: str | None,
    parameters: InvokeParameters,
    *,
    has_proxy: bool,
    timeout: float,
) -> list[Check]:
    from asyncinvoke._transport import probe

    seen = await probe.probe(client, timeout=timeout)
    answered = None if isinstance(seen, Failure) else seen
    not_answered = "the endpoint did not answer"
    why = await probe.why_not_direct(client, parameters)
    if function_name is None:
        dry_run = skipped("dry run", "no function was named")
    elif answered is None:
        dry_run = skipped("dry run", not_answered)
    else:
        dry_run = await _dry_run(client, function_name, timeout)
    return [
        endpoint_checks.connection(seen, has_proxy=has_proxy),
        skipped("clock", not_answered)
        if answered is None
        else endpoint_checks.clock(answered.clock),
        endpoint_checks.transport(
            why, None if answered is None else answered.session, is_seen=answered is not None
        ),
        dry_run,
    ]


def _without_client(checks: list[Check], refused: str) -> list[Check]:
    """Return the checks that need a client, as failed or skipped."""
    has_failed = any(check.status is CheckStatus.WRONG for check in checks)
    first = (
        skipped("connection", "there is no client: see above")
        if has_failed
        else endpoint_checks.not_opened(refused)
    )
    rest = ("clock", "transport", "dry run")
    return [first, *(skipped(name, "there is no client") for name in rest)]


async def _dry_run(client: Any, function_name: str, timeout: float) -> Check:
    seconds: list[float] = []
    error: Exception | None = None
    async with Invoker(client, limit=1, timeout=timeout, retry=RetryPolicy()) as invoker:
        for _ in range(_DRY_RUNS):
            began = time.monotonic()
            try:
                await invoker.dry_run(function_name)
            except AsyncInvokeError as failed:
                error = failed
                break
            seconds.append(time.monotonic() - began)
    return endpoint_checks.dry_run(function_name, seconds, error)

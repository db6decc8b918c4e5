"""Which runtimes a function may ask for, and the words for those that it may not.

No I/O, no clock.
"""

import re

from asyncinvoke.local.protocol import refusals

SUPPORTED = ("python3.9", "python3.10", "python3.11", "python3.12", "python3.13", "python3.14")
"""Those that may be asked for; all run in this process's version."""

RETIRED = ("python2.7", "python3.6", "python3.7", "python3.8")
"""Those that the service takes no longer."""

# GUESS: not recorded from AWS (docs/endpoint.md)
RECOMMENDED = "python3.13"  # in place of a runtime that is no longer supported

_OTHER_LANGUAGES = re.compile(r"(nodejs|java|dotnet|ruby|provided|go1\.x).*")


def check_runtime(runtime: str) -> None:
    """Refuse a runtime that the service does not know, or that does not run here."""
    if runtime in RETIRED:
        raise refusals.invalid(
            f"The runtime parameter of {runtime} is no longer supported for creating or updating "
            f"AWS Lambda functions. We recommend you use a supported runtime ({RECOMMENDED}) while "
            "creating or updating functions."
        )
    if _OTHER_LANGUAGES.fullmatch(runtime):
        raise refusals.invalid(f"Runtime {runtime}: this endpoint runs Python.")
    if runtime not in SUPPORTED:
        known = ", ".join([*RETIRED, *SUPPORTED])
        raise refusals.invalid(
            f"Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum "
            f"value set: [{known}] or be a valid ARN"
        )

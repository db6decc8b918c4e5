"""An aiobotocore session with fixed credentials that ignores the machine's AWS settings."""

import os
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession


def sealed_session() -> Any:  # aiobotocore has no types that every checker can see
    """Return a session for an endpoint that verifies no signatures.

    Its clients ignore `AWS_*` variables and AWS configuration files.
    """
    defaults = {
        name: (None, None, default, convert)
        for name, (_, _, default, convert) in AioSession.SESSION_VARIABLES.items()
    }
    for name in ("config_file", "credentials_file"):
        defaults[name] = (None, None, os.devnull, None)
    session = AioSession(session_vars=defaults)
    session.set_credentials("testing", "testing")
    return session


def direct_config(config: Any = None) -> Any:
    """Return a configuration without proxies, which could not reach loopback."""
    direct = AioConfig(proxies={})
    return direct if config is None else direct.merge(config)

"""Shared fixtures of the tests of transports."""

import botocore.session
import pytest

LOADER = botocore.session.get_session().get_component("data_loader")


@pytest.fixture(autouse=True)
def _quick_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let new sessions share the service models, which take half a second to load."""
    monkeypatch.setattr("botocore.session.create_loader", lambda *_: LOADER)

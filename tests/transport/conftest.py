"""What the tests of the transport share."""

import botocore.session
import pytest
from aiobotocore.session import AioSession

LOADER = botocore.session.get_session().get_component("data_loader")


class QuickSession(AioSession):  # type: ignore[misc]
    """A session that does not read the service models again; that takes half a second."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.register_component("data_loader", LOADER)


@pytest.fixture(autouse=True)
def _quick_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asyncinvoke._transport.session.AioSession", QuickSession)

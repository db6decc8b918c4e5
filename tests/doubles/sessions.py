"""A session for all tests of a process: it keeps the service's model, which is slow to read."""

from aiobotocore.session import AioSession

SESSION = AioSession()

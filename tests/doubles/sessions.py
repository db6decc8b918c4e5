"""A session shared by all tests of a process, because the service model is slow to load."""

from aiobotocore.session import AioSession

SESSION = AioSession()

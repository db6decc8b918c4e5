"""What keeps an output from being written, said once."""

from asyncinvoke.errors import AsyncInvokeError


class OutputError(AsyncInvokeError):
    """An output cannot be written; what was there before is still there."""

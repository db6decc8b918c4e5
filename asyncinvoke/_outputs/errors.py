"""What keeps an output from being written, said once; the command line alone writes outputs."""


class OutputError(Exception):
    """An output cannot be written; what was there before is still there."""

"""What is wrong with an input as a whole, said once."""

from asyncinvoke.errors import AsyncInvokeError, ConfigurationError


class InputError(AsyncInvokeError):
    """An input cannot be opened or read, or is not what it says it is.

    It is raised before the first item where it can be known then; else where reading came to it,
    as of a file that breaks off. What is wrong with one row is the error of that item alone.
    """


def missing(what: str, package: str, extra: str) -> ConfigurationError:
    """Return the error of something that an extra would read, which is not installed.

    Args:
        what: What is asked for, such as "Parquet".
        package: What is not installed.
        extra: The extra that brings it.
    """
    return ConfigurationError(
        f"reading {what} needs {package}, which is not installed: "
        f"pip install 'asyncinvoke[{extra}]'"
    )

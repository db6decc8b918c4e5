"""How many attempts may be in flight at once."""

from dataclasses import dataclass

from asyncinvoke.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class FixedLimit:
    """At most `n` attempts in flight, whatever happens.

    Raises:
        ConfigurationError: `n` is not a whole number from 1.
    """

    n: int
    """The number of attempts."""

    def __post_init__(self) -> None:
        if not isinstance(self.n, int) or isinstance(self.n, bool) or self.n < 1:
            raise ConfigurationError(f"limit {self.n!r} must be a whole number from 1")

"""What a request may set of a function: the deviolations, what it has, and what is asked."""

import re
from dataclasses import dataclass, field

from asyncinvoke.local.functions.configuration import MAX_TIMEOUT, MEMORY_RANGE, FunctionConfig
from asyncinvoke.local.functions.deployment import RUNTIME
from asyncinvoke.local.management.members import Members
from asyncinvoke.local.protocol import names, refusals

_RUNTIME = re.compile(r"python3\.[0-9]+")
_VARIABLE = re.compile(r"[a-zA-Z][a-zA-Z0-9_]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a function is set. The deviolations are AWS's."""

    runtime: str = RUNTIME
    """The runtime that it asks for; any of Python's runs in this process's version."""
    role: str = ""
    """The ARN of its role."""
    description: str = ""
    """Its description."""
    timeout: float = 3
    """Seconds that one execution may take."""
    memory_size: int = 128
    """Memory in MB."""
    environment: dict[str, str] = field(default_factory=dict, repr=False)
    """Environment variables."""

    @classmethod
    def of(cls, config: FunctionConfig) -> "Settings":
        """Return what a function has."""
        return cls(
            runtime=config.deployment.runtime,
            role=config.deployment.role,
            description=config.deployment.description,
            timeout=config.timeout,
            memory_size=config.memory_size,
            environment=dict(config.environment),
        )

    def changed(self, asked: Members) -> "Settings":
        """Return what it is to have.

        Raises:
            Refusal: A value is out of range, or not supported.
        """
        runtime = asked.text("Runtime")
        if runtime is not None and _RUNTIME.fullmatch(runtime) is None:
            raise refusals.invalid(f"Runtime {runtime}: this endpoint runs Python.")
        timeout, memory_size = asked.integer("Timeout"), asked.integer("MemorySize")
        violations = []
        if timeout is not None:
            violations += names.out_of_range(timeout, "timeout", 1, MAX_TIMEOUT)
        if memory_size is not None:
            least, most = MEMORY_RANGE[0], MEMORY_RANGE[-1]
            violations += names.out_of_range(memory_size, "memorySize", least, most)
        if violations:
            raise refusals.violated(violations)
        return Settings(
            runtime=_or(runtime, self.runtime),
            role=_or(asked.text("Role"), self.role),
            description=_or(asked.text("Description"), self.description),
            timeout=self.timeout if timeout is None else timeout,
            memory_size=self.memory_size if memory_size is None else memory_size,
            environment=_environment(asked, self.environment),
        )


def _or(asked: str | None, has: str) -> str:
    return has if asked is None else asked


def _environment(asked: Members, has: dict[str, str]) -> dict[str, str]:
    variables = asked.members("Environment").texts("Variables")
    if variables is None:
        return has
    for name, value in variables.items():
        if _VARIABLE.fullmatch(name) is None:
            raise refusals.invalid(
                f"Environment variable {name}: a name is a letter, then letters, digits or _."
            )
        if "\0" in value:
            raise refusals.invalid(
                f"Environment variable {name}: it must not hold the character NUL."
            )
    return variables

"""The public names of `asyncinvoke.testing`."""

from asyncinvoke.testing.fake.fake_lambda import FakeLambda
from asyncinvoke.testing.strictness import Strictness
from asyncinvoke.testing.waits import InstantClock, NoWaits, no_waits

__all__ = ["FakeLambda", "InstantClock", "NoWaits", "Strictness", "no_waits"]

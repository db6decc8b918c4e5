"""`DaskRun`: a map on a cluster, as seen and controlled by the process that started it."""

import contextlib
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

from asyncinvoke._dask.merging import Merger
from asyncinvoke._dask.plan import Control, Plan, checked_concurrency, share, write_control
from asyncinvoke._dask.working import close_thread, run_shard
from asyncinvoke._report.standing import unrecorded_of
from asyncinvoke.errors import ConfigurationError, JournalError
from asyncinvoke.runs import Merged, open_run

_ENDED = ("finished", "error")
"""The statuses of a future whose shard has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DaskProgress:
    """The progress of a run on a cluster."""

    shards: int
    """The number of shards."""

    ended: int
    """The number of shards that have ended."""

    succeeded: int
    """The number of items that have succeeded."""

    failed: int
    """The number of items that have failed, and of which it is known whether they ran."""

    may_have_run: int
    """The number of items that may have run, such as those in progress when a worker died."""

    unrecorded: int = 0
    """The number of items that failed because their keys are missing or duplicate, and that the
    journals therefore do not contain."""


class DaskRun:
    """A map in progress on a cluster; a context manager that does not wait for the map on exit.

    The run is recorded in its directory, so `map` with the same arguments continues it after the
    death of a worker, the scheduler or this process.
    """

    # One thread is notified of each shard that ends, and merges their journals in batches while the
    # other shards run, so the work left at the end does not grow with the number of shards.

    def __init__(self, client: Any, plan: Plan, slots: int) -> None:
        self._client = client
        self._plan = plan
        self._slots = slots
        self._control = Control()
        write_control(plan.control, self._control)
        self._futures = [
            client.submit(
                run_shard,
                plan,
                number,
                key=f"asyncinvoke-{plan.id}-{number}",
                pure=False,
                # No retry by Dask: a shard fails for a reason; calling `map` again continues it.
                retries=0,
            )
            for number in range(1, plan.shards + 1)
        ]
        self._merger = Merger(plan)
        for number, future in enumerate(self._futures, 1):
            future.add_done_callback(partial(self._ended, number))

    @property
    def path(self) -> Path:
        """The path of the journal into which all shards are merged when they have ended."""
        return self._plan.merged

    def progress(self) -> DaskProgress:
        """Return the progress of the run, read from the journals."""
        succeeded = failed = may_have_run = unrecorded = 0
        for number in range(1, self._plan.shards + 1):
            with contextlib.suppress(JournalError), open_run(self._plan.journal(number)) as run:
                summary = run.summary()
                succeeded += summary.succeeded
                failed += summary.failed
                may_have_run += summary.may_have_run
                unrecorded += unrecorded_of(summary)
        return DaskProgress(
            shards=self._plan.shards,
            ended=sum(future.done() for future in self._futures),
            succeeded=succeeded,
            failed=failed,
            may_have_run=may_have_run,
            unrecorded=unrecorded,
        )

    def set_concurrency(self, concurrency: int) -> None:
        """Change the number of items in progress at once, over all workers together.

        Raises:
            InvalidRequestError: `concurrency` is not a positive integer.
            ConfigurationError: The directory cannot be written.
        """
        each = share(checked_concurrency(concurrency), shards=self._plan.shards, slots=self._slots)
        self._set_control(replace(self._control, concurrency=each))

    def pause(self) -> None:
        """Start no new items until `resume`; items in flight are finished.

        Raises:
            ConfigurationError: The directory cannot be written.
        """
        self._set_control(replace(self._control, paused=True))

    def resume(self) -> None:
        """Resume after a pause.

        Raises:
            ConfigurationError: The directory cannot be written.
        """
        self._set_control(replace(self._control, paused=False))

    def stop(self) -> None:
        """Start no more items; items in flight are finished, then `result` returns.

        Raises:
            ConfigurationError: The directory cannot be written.
        """
        self._set_control(replace(self._control, stopped=True))

    def result(self) -> Merged:
        """Wait for all shards, and merge their journals into `path`.

        Raises:
            JournalError: A journal cannot be used.
            AsyncInvokeError: A shard ended early. This is raised once the other shards have ended
                and everything recorded is merged.
            ConfigurationError: The cluster is gone, or a shard's workers died one after the other.
        """
        errors = [self._error_of(future) for future in self._futures]
        release(self._client, self._plan)
        merged, error = None, next(filter(None, errors), None)
        try:
            merged = self._merger.finish()
        except JournalError as unmerged:
            # Where no shard could begin there is no journal to merge; what is wrong is its error.
            error = error or unmerged
        if error is not None:
            raise error
        assert merged is not None  # noqa: S101  # otherwise there is an error
        return merged

    def close(self) -> None:
        """Stop the run, and release the resources it holds on the workers.

        Raises:
            ConfigurationError: The directory cannot be written, so shards that were running
                could not be told to stop, and ran to their end.
        """
        is_over = all(future.status in _ENDED for future in self._futures)
        try:
            if not is_over:
                self.stop()  # workers read this even where the scheduler is gone
        finally:
            if not is_over and self._client.status == "running":
                for future in self._futures:
                    future.cancel()
            self._merger.abandon()
            release(self._client, self._plan)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        ended = sum(future.done() for future in self._futures)
        return f"<DaskRun {ended} of {self._plan.shards} shards ended, {self._plan.directory}>"

    def _ended(self, number: int, future: Any) -> None:
        if future.status == "finished":
            self._merger.ended(number)

    def _error_of(self, future: Any) -> Exception | None:
        """Wait for a shard; return why it ended early, if it did, an error of Dask as one of ours."""
        error: Exception | None = future.exception()
        if future.status not in _ENDED:  # it has no error then either
            return ConfigurationError(
                f"{self._plan.directory}: its shards were cancelled, as the run was closed or the "
                "cluster is gone: with a cluster, the same call continues the run"
            )
        if type(error).__module__.partition(".")[0] == "distributed":
            return ConfigurationError(
                f"{self._plan.directory}: a shard ended early, and the same call continues the run: "
                f"{error}"
            )
        return error

    def _set_control(self, control: Control) -> None:
        write_control(self._plan.control, control)
        self._control = control


def release(client: Any, plan: Plan) -> None:
    """Release the resources that a run holds on the workers."""
    with contextlib.suppress(OSError):  # a few bytes stay behind
        plan.token.unlink()
    if client.status == "running":
        with contextlib.suppress(OSError):  # Dask's errors of a lost connection
            client.run(close_thread, plan.id, on_error="ignore")

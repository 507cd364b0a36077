"""The jobs of a simulated TrueNAS: queued, run under a lock, announced, and kept or forgotten.

A job is made by `Jobs.queue` and runs on its own, whatever becomes of the connection that asked for it. Jobs with the
same lock run one after the other. *Transient* jobs leave the list as soon as they are done, on every release; from 26
they are not announced either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from .failures import CallFailed
from .frames import date

__all__ = ["Job", "JobKind", "Jobs"]

MessageIds = list[int | str | None] | None
"""Ids of the calls that wait for a job; None on releases whose jobs do not tell them (25.04)."""


@dataclass(frozen=True, slots=True)
class JobKind:
    """How a job method is queued."""

    lock: Callable[[list[Any]], str] | None = None
    """From the arguments to the name of the lock; jobs without one run at once."""
    lock_queue_size: int | None = 5
    """Jobs that may wait for the lock: the next one is silently merged into the last of them. None: any number."""
    transient: bool = False


@dataclass(slots=True, eq=False)
class Job:
    """One job; `done` is set when it has ended, well or not."""

    id: int
    method: str
    arguments: list[Any]
    kind: JobKind
    username: str | None
    message_ids: MessageIds
    state: str = "WAITING"
    result: Any = None
    failure: CallFailed | None = None
    time_started: datetime | None = None
    time_finished: datetime | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def lock(self) -> str | None:
        """The name of the lock that the job needs."""
        return self.kind.lock(self.arguments) if self.kind.lock else None

    async def wait(self) -> Any:
        """Wait for the end and return the result, or raise the failure."""
        await self.done.wait()
        if self.failure:
            raise self.failure
        return self.result

    def describe(self) -> dict[str, Any]:
        """Return the job as `core.get_jobs` lists and announces it."""
        failed = self.failure.as_job_fields() if self.failure else {"error": None, "exception": None, "exc_info": None}
        return {
            "id": self.id,
            **({} if self.message_ids is None else {"message_ids": self.message_ids}),
            "method": self.method,
            "arguments": self.arguments,
            "transient": self.kind.transient,
            "description": None,
            "abortable": False,
            "logs_path": None,
            "logs_excerpt": None,
            "progress": {"percent": 100 if self.state == "SUCCESS" else 0, "description": "", "extra": None},
            "result": self.result,
            "result_encoding_error": None,
            **failed,
            "state": self.state,
            "time_started": self.time_started and date(self.time_started),
            "time_finished": self.time_finished and date(self.time_finished),
            "credentials": {"type": "API_KEY", "data": {"username": self.username}} if self.username else None,
        }


class Jobs:
    """The job list of one system since its boot.

    `announce` is told of every change; `hold` says for how many seconds a job's lock is busy with other work first.
    """

    def __init__(self, announce: Callable[[str, Job], None], hold: Callable[[Job], float]) -> None:
        self._announce = announce
        self._hold = hold
        self._jobs: dict[int, Job] = {}
        self._last_id = 0
        self._locks: dict[str, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __iter__(self) -> Iterator[Job]:
        return iter(self._jobs.values())

    def get(self, job_id: Any) -> Job | None:
        """Return the job with an id, if it is still listed."""
        return self._jobs.get(job_id)

    def queue(
        self,
        method: str,
        arguments: list[Any],
        kind: JobKind,
        work: Callable[[], Awaitable[Any]],
        *,
        username: str | None = None,
        message_ids: MessageIds = None,
    ) -> Job:
        """Queue a job and return it, or the waiting one that it was merged into."""
        job = Job(self._last_id + 1, method, arguments, kind, username, message_ids)
        waiting = [other for other in self if other.lock == job.lock and other.state == "WAITING"] if job.lock else []
        if kind.lock_queue_size is not None and len(waiting) >= kind.lock_queue_size:
            return waiting[-1]
        self._last_id = job.id
        self._jobs[job.id] = job
        self._announce("added", job)
        task = asyncio.create_task(self._run(job, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return job

    async def drop_all(self) -> None:
        """Forget every job, done or not, as a reboot does; the next id is 1 again."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._jobs.clear()
        self._locks.clear()
        self._last_id = 0

    async def _run(self, job: Job, work: Callable[[], Awaitable[Any]]) -> None:
        if job.lock is None:
            await self._work(job, work)
            return
        async with self._locks.setdefault(job.lock, asyncio.Lock()):
            await asyncio.sleep(self._hold(job))
            await self._work(job, work)

    async def _work(self, job: Job, work: Callable[[], Awaitable[Any]]) -> None:
        job.state, job.time_started = "RUNNING", datetime.now(UTC)
        self._announce("changed", job)
        try:
            job.result = await work()
            job.state = "SUCCESS"
        except CallFailed as failure:
            job.failure = failure
            job.state = "FAILED"
        job.time_finished = datetime.now(UTC)
        if job.kind.transient:
            del self._jobs[job.id]
        if job.state == "SUCCESS":
            self._announce("changed", job)  # the progress reaching 100 percent is a change of its own
        self._announce("changed", job)
        job.done.set()

"""Running a worker that has `async def` methods."""
from __future__ import annotations

import asyncio
import inspect
from typing import Any, Callable, Optional

from ._constants import KIND_ERROR, KIND_RESULT
from ._link import new_session
from ._pull import ITEMS_BYTES, Job
from ._serve import Runner, parent
from ._worker import Worker, current

class AsyncRunner(Runner):
    """The same in an event loop, which runs while this waits: `async def` methods run at one time, all others one after
    another within it."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(worker)
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self.beside: list[asyncio.Task[None]] = []
        self.turned = False                          # something came
        self.waiter: Optional[asyncio.Future[None]] = None
        self.rooms: list[asyncio.Future[None]] = []
        self.loop.add_reader(self.wake_in.fileno(), self.woken, lambda: self.wake_in.recv(4096))

    def until(self, value: Any) -> Any:
        return self.loop.run_until_complete(value) if inspect.isawaitable(value) else value

    def aio_client(self) -> Any:
        """self.aio, a connection of its own, made with the first use in the event loop."""
        if "aio" not in self.clients:
            from . import aio
            session = new_session(self.url, self.pull.replica, self.token)
            found = self.clients["aio"] = aio.Client(aio.Link(self.url, session, (None, None)))
            found._parent = parent
        return self.clients["aio"]

    def attached(self) -> None:
        for subscription in self.subscriptions:
            self.beside.append(self.loop.create_task(self.handle(*subscription)))
        super().attached()

    def watch_socket(self, is_open: bool) -> None:
        fd = self.sock.fileno()  # type: ignore[union-attr]
        self.loop.add_reader(fd, self.woken, self.receive) if is_open else self.loop.remove_reader(fd)

    def add_reader(self, fd: int, callback: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.loop.add_reader(fd, callback, *args)

    def remove_reader(self, fd: int) -> None:
        self.loop.remove_reader(fd)

    def woken(self, take: Callable[[], Any]) -> None:
        """Something came, or a call has ended: the wait is over."""
        take()
        self.turned = True
        waiting, self.rooms = [*self.rooms, self.waiter], []
        for waiter in waiting:
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

    def wait_once(self, poller: Any) -> None:
        left = self.before_wait()
        if not self.turned:
            self.waiter = self.loop.create_future()
            self.loop.run_until_complete(asyncio.wait([self.waiter], timeout=left))
        self.turned = False

    def run_jobs(self) -> None:
        for call, task in self.tasks.items():
            if call in self.pull.running and self.pull.running[call].cancelled:
                task.cancel()
        while self.pull.jobs:
            job = self.pull.jobs.popleft()
            self.tasks[job.call] = task = self.loop.create_task(self.run_job(job))
            task.add_done_callback(lambda _, call=job.call: self.woken(lambda: self.tasks.pop(call)))  # type: ignore[misc]

    async def run_job(self, job: Job) -> None:
        """One call."""
        current.set(job)
        method = self.methods.get(job.method)
        try:
            if method is None:
                self.unknown(job)
                return
            value = method.call(job.args)
            if inspect.isasyncgen(value) or inspect.isgenerator(value):
                value = await self.stream_async(job, value)
            elif inspect.isawaitable(value):
                value = await value
            self.pull.end(job, KIND_RESULT, value)
        except asyncio.CancelledError:
            self.pull.end(job, KIND_ERROR, [1, 2, "cancelled", None])
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self.failed(job, error)

    async def stream_async(self, job: Job, items: Any) -> Any:
        """What it yields leaves as it comes; the value that a generator returns."""
        try:
            if inspect.isasyncgen(items):
                async for item in items:
                    self.pull.give(job, item)
                    await self.room(job, ITEMS_BYTES)
                value = None
            else:
                done = object()
                ended: list[Any] = []

                def step() -> Any:
                    try:
                        return next(items)
                    except StopIteration as end:
                        ended.append(end.value)
                        return done
                for item in iter(step, done):
                    self.pull.give(job, item)
                    await self.room(job, ITEMS_BYTES)
                value = ended[0]
            await self.room(job, 0)
            return value
        except Exception:                            # which comes after what it has yielded
            await self.room(job, 0)
            raise
        finally:
            await items.aclose() if inspect.isasyncgen(items) else items.close()
            job.items.clear()

    async def room(self, job: Job, size: int) -> None:
        """Until no more than this waits; others have their turn."""
        self.pull.send_items(job)
        self.send()
        while job.size > size:
            self.rooms.append(self.loop.create_future())
            await self.rooms[-1]
        await asyncio.sleep(0)

    async def handle(self, at: Any, function: Any, topic: str) -> None:
        """Events of one handler, from where it was subscribed."""
        client, ready = self.aio_client(), at._position.ready
        start = ready[0].number if ready else at._position.next
        at.close()
        async with client.subscribe(*function._prong_on, from_=start) as events:
            async for event in events:
                try:
                    found = function(event)
                    if inspect.isawaitable(found):
                        await found
                except Exception:
                    self.worker.log.exception("in %s, with event %d %s", function.__name__, event.number, event.topic)
                await client.post(topic, [events.history, event.number + 1])

    def start_loop(self, function: Any) -> None:
        if not inspect.iscoroutinefunction(function):
            super().start_loop(function)
            return

        async def body() -> None:
            try:
                await function()
            except Exception:
                self.worker.log.exception("in %s: the process ends", function.__name__)
                self.stop(1)
        self.beside.append(self.loop.create_task(body()))

    def end_beside(self) -> None:
        super().end_beside()
        for task in [*self.beside, *self.tasks.values()]:
            task.cancel()
        self.until(asyncio.gather(*self.beside, *self.tasks.values(), return_exceptions=True))
        if "aio" in self.clients:
            self.until(self.clients["aio"].close())

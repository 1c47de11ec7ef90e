"""Functions one behind the other, each in a thread of its own, with few things in flight.

Things come out in the order in which they went in. Whatever ends a run, its end, an exception or
a consumer who has enough, ends all of its threads.
"""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import Any

ROOM = 2  # things that wait before each stage: enough to overlap, few enough to forget
PATIENCE_S = 5.0  # for a source that blocks, such as a camera that was unplugged

_END = object()


class _Failure:
    """An exception on its way to the consumer, behind what was finished before it."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class _Channel:
    """A bounded queue between two threads that either of them, or a third, can close."""

    def __init__(self, room: int) -> None:
        self._things: deque[Any] = deque()
        self._room = room
        self._closed = False
        self._changed = threading.Condition()

    def put(self, thing: Any) -> bool:
        """Wait for room and leave the thing; False if nobody wants it any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._things) < self._room)
            if not self._closed:
                self._things.append(thing)
                self._changed.notify_all()
            return not self._closed

    def get(self) -> Any:
        """Wait for a thing and take it; the end if the channel was closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._things)
            if self._closed:
                return _END
            thing = self._things.popleft()
            self._changed.notify_all()
            return thing

    def close(self) -> None:
        """Forget what waits, and wake who waits."""
        with self._changed:
            self._closed = True
            self._things.clear()
            self._changed.notify_all()


def overlapped(
    source: Iterable[Any], *stages: Callable[[Any], Any], room: int = ROOM
) -> Generator[Any, None, None]:
    """Yield what the stages, one after the other, make of each thing of the source, in order.

    The source is read in a thread, each stage runs in one, and between two of them at most `room`
    things wait: with n stages at most (n + 1) (room + 1) things are alive, besides what the
    consumer holds. An exception of the source or of a stage is raised here after the things
    before it. When the consumer stops (the generator is closed), all threads end; a source that is
    a generator is closed in its thread. A Ctrl-C that arrives while this waits ends the source,
    yields what is in flight, and is raised then.
    """
    channels = [_Channel(room) for _ in range(len(stages) + 1)]
    stopping = threading.Event()

    def read() -> None:
        things = iter(source)
        try:
            for thing in things:
                if not channels[0].put(thing) or stopping.is_set():
                    break
                del thing  # while the next one is made, this one may be forgotten
            channels[0].put(_END)
        except BaseException as error:
            channels[0].put(_Failure(error))
        finally:
            close = getattr(things, "close", None)
            if close is not None:
                close()

    def work(stage: Callable[[Any], Any], taken: _Channel, given: _Channel) -> None:
        while True:
            thing = taken.get()
            if thing is not _END and not isinstance(thing, _Failure):
                try:
                    thing = stage(thing)
                except BaseException as error:
                    thing = _Failure(error)
            last = thing is _END or isinstance(thing, _Failure)
            if not given.put(thing) or last:
                break
            del thing
        taken.close()  # who still fills it learns that nothing more is wanted

    pairs = zip(stages, channels[:-1], channels[1:], strict=True)
    workers = [threading.Thread(target=work, args=given, daemon=True) for given in pairs]
    reader = threading.Thread(target=read, daemon=True)
    interrupted: KeyboardInterrupt | None = None
    try:
        for thread in (reader, *workers):
            thread.start()
        while True:
            try:
                thing = channels[-1].get()
            except KeyboardInterrupt as stop:
                if interrupted is not None:
                    raise
                interrupted = stop
                stopping.set()
                continue
            if thing is _END:
                break
            if isinstance(thing, _Failure):
                raise thing.error
            yield thing
            del thing
        if interrupted is not None:
            raise interrupted
    finally:
        stopping.set()
        for channel in channels:
            channel.close()
        for thread in workers:
            if thread.ident is not None:
                thread.join()
        if reader.ident is not None:
            reader.join(PATIENCE_S)

"""What loaders share: batches made by threads, decoded photographs, the numbers of samples."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import cv2
import numpy as np
from jaxtyping import UInt8

from rmpe_jax.data import images
from rmpe_jax.data.dataset import PhotographSource
from rmpe_jax.records import Persons

DECODED_BYTES = 2**30  # decoded photographs that are kept in memory
AHEAD = 2  # batches prepared in advance, for each thread
LAST = 2**62  # end of an endless run's samples; Grain overflows beyond
Row = TypeVar("Row", bound=tuple)  # a record of arrays, with a leading dimension in a batch


class Batches(Iterator[Row], Generic[Row]):
    """Batches in order; `state` is how many were given since the run began."""

    def __init__(self, dataset: Any, threads: int, start: int) -> None:
        """Read `dataset`, whose first batch is number `start` of the run."""
        import grain  # here because it takes 0.6 s

        self.state = start
        options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=AHEAD * threads)
        self._iterator = iter(dataset.to_iter_dataset(options))

    def close(self) -> None:
        """Let go of the threads and of the photographs in memory."""
        self._iterator = iter(())

    def __next__(self) -> Row:
        """Return the next batch."""
        batch = next(self._iterator)
        self.state += 1
        return batch


class Decoded:
    """Decoded photographs and their persons, the latest used of them kept in memory."""

    def __init__(self, source: PhotographSource, room: int) -> None:
        """Keep at most `room` bytes of decoded pictures."""
        self.source, self.room = source, room
        self._kept: OrderedDict[int, tuple[UInt8[np.ndarray, "h w 3"], int, Persons]] = (
            OrderedDict()
        )
        self._bytes = 0
        self._lock = threading.Lock()

    def __getitem__(self, row: int) -> tuple[UInt8[np.ndarray, "h w 3"], int, Persons]:
        """Return (picture, image id, people) of photograph `row`."""
        with self._lock:
            if row in self._kept:
                self._kept.move_to_end(row)
                return self._kept[row]
        photograph = self.source[row]
        size = (photograph.height, photograph.width)
        image = images.decode(photograph.jpeg, photograph.file_name, size=size)
        entry = (image, photograph.image_id, photograph.persons)
        with self._lock:
            if row not in self._kept:
                self._kept[row] = entry
                self._bytes += image.nbytes
            while self._bytes > self.room:
                _, (oldest, _, _) = self._kept.popitem(last=False)
                self._bytes -= oldest.nbytes
        return entry


def batches(sample: Callable[[int], Row], local: int, *, threads: int, start: int) -> Batches[Row]:
    """Return endless batches of `local` samples each; `sample` is told its position."""
    import grain

    cv2.setNumThreads(0)  # the threads are ours: OpenCV's own would fight them for the cores
    positions = grain.MapDataset.range(start * local, LAST // local * local)
    return Batches(positions.map(sample).batch(local, batch_fn=_stack), threads, start)


def local_size(batch_size: int, process_index: int, process_count: int) -> int:
    """Return how many samples of a batch this process makes."""
    if batch_size < 1 or batch_size % process_count or not 0 <= process_index < process_count:
        raise ValueError(
            f"batch_size {batch_size} in process {process_index} of {process_count}: it must be a "
            "multiple of the number of processes, which count from 0"
        )
    return batch_size // process_count


def number(position: int, local: int, batch_size: int, process_index: int) -> int:
    """Return the number in the whole run of the sample at `position` of this process."""
    batch, place = divmod(position, local)
    return batch * batch_size + process_index * local + place


def _stack(rows: Sequence[Row]) -> Row:
    return type(rows[0])(*(np.stack(values) for values in zip(*rows, strict=True)))

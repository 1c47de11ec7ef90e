"""Batches of crops, from prepared photographs, by threads; the state is one integer.

What sample number n of a run is depends on (seed, n) alone. Of several data sets, `data.mixture`
deals the samples out. An epoch of a set holds every person `samples_per_person` times: the set's
own n over its length names the epoch, the place in that epoch's order the person and which of the
person's samples it is, and all its random numbers come from (seed, epoch, person, sample, set).
Batch b holds samples b * batch_size onwards, and of these each process takes its slice. Crop points
are in [-1, 1].
"""

import functools
import threading
from dataclasses import replace

import numpy as np
from jaxtyping import Int, UInt8

from rmpe_jax.config import AugmentConfig, DataConfig
from rmpe_jax.data import augment, batches, proposals
from rmpe_jax.data.batches import Batches, Decoded, local_size, number
from rmpe_jax.data.crop import Cropper
from rmpe_jax.data.dataset import PhotographSource
from rmpe_jax.data.mixture import Mixture, deal, place
from rmpe_jax.records import Batch


class _Set:
    """One data set of a run: its people in the order of an epoch, their pictures and proposals."""

    def __init__(
        self,
        source: PhotographSource,
        config: AugmentConfig,
        seeds: tuple[int, ...],
        room: int,
    ) -> None:
        _check_source(source)
        self.source, self.seeds = source, seeds
        self.photographs = Decoded(source, room)
        self.people = len(source.person_index)
        self.count = self.people * config.samples_per_person
        annotations = source.annotations() if config.proposals != "none" else []
        self.propose = proposals.of_people(
            config, annotations, source.person_index, source.skeleton
        )
        # Two threads may be at either side of an epoch's end.
        self.order = functools.lru_cache(maxsize=2)(self._order)

    def _order(self, epoch: int) -> Int[np.ndarray, " n"]:
        seed, *own = self.seeds
        return np.random.default_rng([seed, epoch, *own]).permutation(self.count)

    def draw(self, number: int) -> tuple[int, np.random.Generator]:
        """Return the person of the set's own sample `number`, and its random numbers."""
        epoch, place = divmod(number, self.count)
        repeat, index = divmod(int(self.order(epoch)[place]), self.people)
        seed, *own = self.seeds
        return index, np.random.default_rng([seed, epoch, index, repeat, *own])


def training_batches(
    data_sets: PhotographSource | Mixture,
    data: DataConfig,
    config: AugmentConfig,
    *,
    height: int,
    width: int,
    batch_size: int,
    seed: int,
    start: int = 0,
    process_index: int = 0,
    process_count: int = 1,
) -> Batches[Batch]:
    """Return endless batches of varied crops, from batch number `start` of the run on.

    `batch_size` counts all processes together; this one gets its slice of each batch.
    """
    mixture = data_sets if isinstance(data_sets, Mixture) else Mixture((data_sets,), (1.0,))
    local = local_size(batch_size, process_index, process_count)
    skeleton = mixture.sources[0].skeleton
    room = batches.DECODED_BYTES // len(mixture.sources)
    # The first set draws as it would alone, and detections are of its photographs.
    others = replace(config, detections=None)
    sets = [
        _Set(source, others if number else config, (seed, number) if number else (seed,), room)
        for number, source in enumerate(mixture.sources)
    ]
    block = deal(mixture.weights, seed)
    of_thread = threading.local()

    def sample(position: int) -> Batch:
        chosen, own = place(block, number(position, local, batch_size, process_index))
        people = sets[chosen]
        index, generator = people.draw(own)
        row, person = people.source.person_index[index]
        image, image_id, persons = people.photographs[int(row)]
        image_height, image_width, _ = image.shape
        joints_px = persons.joints_px[person]
        cut = augment.draw_cut(
            generator,
            persons.boxes_px[person],
            joints_px,
            image_height,
            image_width,
            skeleton,
            config,
            height=height,
            width=width,
            propose=people.propose(index),
        )
        if not hasattr(of_thread, "cropper"):
            of_thread.cropper = Cropper(height, width)
        crop = of_thread.cropper(image, cut.theta_crop)
        joints, weight = augment.joints_in_crop(
            joints_px, cut.theta_crop, image_height, image_width, skeleton, flip=cut.flip
        )
        return _row(
            augment.vary_colour(generator, crop, config),
            joints,
            weight,
            cut,
            image_id,
            int(persons.person_id[person]),
        )

    return batches.batches(sample, local, threads=data.threads, start=start)


def _check_source(source: PhotographSource) -> None:
    if len(source.person_index) == 0:
        raise ValueError(
            f"the {len(source)} photographs in {source.folder} show nobody to train on: a person "
            "needs a labelled joint and a box, and must not be a crowd"
        )


def _row(
    crop: UInt8[np.ndarray, "height width 3"],
    joints: np.ndarray,
    weight: np.ndarray,
    cut: augment.Cut,
    image_id: int,
    person_id: int,
) -> Batch:
    """Return one row of a batch; numbers leave double precision here."""
    return Batch(
        crop,
        joints.astype(np.float32),
        weight.astype(np.float32),
        cut.theta_crop.astype(np.float32),
        cut.theta_star.astype(np.float32),
        np.int64(image_id),
        np.int64(person_id),
    )

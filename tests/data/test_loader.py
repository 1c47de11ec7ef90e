import itertools
import json
from dataclasses import replace

import numpy as np
import pytest

from rmpe_jax.config import AugmentConfig, DataConfig
from rmpe_jax.data import batches, dataset, images, loader, mixture, pgpg
from rmpe_jax.data import index as index_arrays
from rmpe_jax.data.crop import Cropper
from tests.data.test_pgpg import fitted

HEIGHT, WIDTH, BATCH = 32, 24, 4
AUGMENT = AugmentConfig(half_body_probability=0.3, contrast=0.2, shift=0.05)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return DataConfig(
        prepared=str(tmp_path_factory.mktemp("prepared")),
        synthetic_train=7,
        synthetic_validation=2,
        synthetic_height=64,
        synthetic_width=80,
    )


@pytest.fixture(scope="module")
def source(config):
    return dataset.prepare(config, "train")


def make(source, config, augment=AUGMENT, **change):
    settings = {"height": HEIGHT, "width": WIDTH, "batch_size": BATCH, "seed": 0} | change
    return loader.training_batches(source, config, augment, **settings)


def take(batches, count):
    return list(itertools.islice(batches, count))


def assert_equal(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        for field, x, y in zip(a._fields, a, b, strict=True):
            np.testing.assert_array_equal(x, y, err_msg=field)


def people(batches):
    return np.concatenate([batch.person_id for batch in batches])


def test_a_batch_has_the_shapes_and_types_of_the_record(source, config):
    batch = next(make(source, config))
    assert batch.crop.shape == (BATCH, HEIGHT, WIDTH, 3) and batch.crop.dtype == np.uint8
    assert batch.joints_crop.shape == (BATCH, 17, 2) and batch.joints_crop.dtype == np.float32
    assert batch.weight.shape == (BATCH, 17) and batch.weight.dtype == np.float32
    assert batch.theta_crop.shape == (BATCH, 2, 3) and batch.theta_crop.dtype == np.float32
    assert batch.image_id.shape == batch.person_id.shape == (BATCH,)
    assert set(np.unique(batch.weight)) <= {0.0, 1.0}


def test_a_row_is_what_its_ids_and_theta_say(source, config):
    """Without colour, each crop is its photograph pulled by its theta."""
    still = replace(AUGMENT, gain=0.0, contrast=0.0)
    batch = next(
        loader.training_batches(
            source, config, still, height=HEIGHT, width=WIDTH, batch_size=BATCH, seed=1
        )
    )
    photographs = {photograph.image_id: photograph for photograph in source}
    cropper = Cropper(HEIGHT, WIDTH)
    for row in range(BATCH):
        photograph = photographs[int(batch.image_id[row])]
        image = images.decode(photograph.jpeg, "x", size=(photograph.height, photograph.width))
        theta = batch.theta_crop[row].astype(np.float64)
        crop = cropper(image, theta)
        assert np.abs(crop.astype(int) - batch.crop[row]).max() <= 1
        person = photograph.persons.person_id.tolist().index(batch.person_id[row])
        labelled = photograph.persons.joints_px[person][:, 2] > 0
        assert batch.weight[row].sum() <= labelled.sum()


def test_order_and_pixels_do_not_depend_on_the_number_of_threads(source, config):
    wanted = take(make(source, replace(config, threads=1)), 12)
    for threads in (0, 2, 5):
        assert_equal(take(make(source, replace(config, threads=threads)), 12), wanted)


def test_a_restart_from_the_state_gives_the_same_batches(source, config):
    batches = make(source, config)
    take(batches, 5)
    assert batches.state == 5
    wanted = take(batches, 6)
    assert batches.state == 11
    resumed = make(source, replace(config, threads=3), start=5)
    assert resumed.state == 5
    assert_equal(take(resumed, 6), wanted)


def test_an_epoch_is_a_permutation_and_the_next_another(source, config):
    count = len(source.person_index)
    ids = people(take(make(source, config), -(-3 * count // BATCH)))
    epochs = ids[: 3 * count].reshape(3, count)
    for epoch in epochs:
        assert len(set(epoch)) == count
    assert set(epochs[0]) == set(epochs[1]) == set(epochs[2])
    assert (epochs[0] != epochs[1]).any() and (epochs[1] != epochs[2]).any()


def test_a_person_looks_different_in_the_next_epoch(source, config):
    count = len(source.person_index)
    batches = take(make(source, config, batch_size=count), 2)
    first, second = (np.argsort(batch.person_id) for batch in batches)
    thetas = batches[0].theta_crop[first], batches[1].theta_crop[second]
    assert (np.abs(thetas[0] - thetas[1]).max(axis=(1, 2)) > 1e-3).all()


def test_another_seed_gives_another_order_and_other_crops(source, config):
    one, other = (take(make(source, config, seed=seed), 4) for seed in (0, 1))
    assert (people(one) != people(other)).any()


@pytest.mark.parametrize("count", [2, 4])
def test_the_processes_slices_make_the_whole_batch(source, config, count):
    whole = take(make(source, config), 6)
    parts = [
        take(make(source, config, process_index=index, process_count=count), 6)
        for index in range(count)
    ]
    joined = [
        loader.Batch(*(np.concatenate(fields) for fields in zip(*batches, strict=True)))
        for batches in zip(*parts, strict=True)
    ]
    assert_equal(joined, whole)


def test_a_share_of_a_batch_that_is_not_whole_is_refused(source, config):
    with pytest.raises(ValueError, match="batch_size 4 in process 0 of 3: it must be a multiple"):
        make(source, config, process_count=3)
    with pytest.raises(ValueError, match="process 2 of 2"):
        make(source, config, process_index=2, process_count=2)
    with pytest.raises(ValueError, match="batch_size 0"):
        make(source, config, batch_size=0)


def test_crowds_and_people_without_joints_are_no_samples(source, config, monkeypatch):
    """Everyone but one becomes a crowd or loses the joints: the one is all there is."""
    index = {name: values.copy() for name, values in source._index.items()}
    index["is_crowd"][: len(index["is_crowd"]) // 2] = True
    index["joints_px"][len(index["is_crowd"]) // 2 : -1, :, 2] = 0
    monkeypatch.setattr(source, "person_index", index_arrays.trainable(index))
    assert set(people(take(make(source, config), 3))) == {index["person_id"][-1]}


def test_a_source_without_anyone_is_refused(source, config, monkeypatch):
    monkeypatch.setattr(source, "person_index", source.person_index[:0])
    with pytest.raises(ValueError, match="the 7 photographs in .* show nobody to train on"):
        make(source, config)


def test_memory_for_decoded_photographs_is_bounded(source, config, monkeypatch):
    wanted = take(make(source, config), 8)
    monkeypatch.setattr(batches, "DECODED_BYTES", 2 * 64 * 80 * 3)
    photographs = batches.Decoded(source, batches.DECODED_BYTES)
    for row in (0, 1, 0, 2):
        photographs[row]
    assert list(photographs._kept) == [0, 2] and photographs._bytes == 2 * 64 * 80 * 3
    assert_equal(take(make(source, config), 8), wanted)


@pytest.fixture(scope="module")
def proposals(tmp_path_factory):
    """Settings of each kind of proposals."""
    path = tmp_path_factory.mktemp("pgpg") / "fitted.json"
    pgpg.write(fitted(), path)
    return {
        "published": replace(AUGMENT, jitter=1.0),
        "pgpg": replace(AUGMENT, proposals="pgpg", pgpg=str(path), patch=True),
        "jitter": replace(AUGMENT, proposals="jitter", samples_per_person=2),
    }


@pytest.mark.parametrize("kind", ["pgpg", "jitter"])
def test_the_same_sample_has_the_same_box_on_any_number_of_threads(source, config, proposals, kind):
    wanted = take(make(source, replace(config, threads=1), proposals[kind]), 10)
    for threads in (0, 2, 5):
        given = take(make(source, replace(config, threads=threads), proposals[kind]), 10)
        assert_equal(given, wanted)
    assert_equal(take(make(source, config, proposals[kind], start=4), 6), wanted[4:])


def test_each_kind_of_proposals_gives_its_own_boxes(source, config, proposals):
    ways = [AUGMENT, *proposals.values()]
    thetas = [next(make(source, config, way)).theta_crop for way in ways]
    for one, other in itertools.combinations(thetas, 2):
        assert np.abs(one - other).max() > 1e-3


def test_published_proposals_are_the_jitter_of_runs_before(source, config, proposals):
    named = replace(AUGMENT, proposals="pgpg")
    assert_equal(
        take(make(source, config, named), 4), take(make(source, config, proposals["published"]), 4)
    )


def test_a_person_is_drawn_by_the_density_of_the_own_atom(source, config, monkeypatch, proposals):
    """The row of `person_index` and the atom belong together."""
    one = fitted()
    joints = [source.annotations()[row].persons.joints_px[p] for row, p in source.person_index]
    rows = one.assign(np.array(joints))
    assert len(set(rows.tolist())) > 1
    used = []
    whole = loader.proposals.drawn

    def noted(generator, box_px, image_height, image_width, ready):
        used.append((box_px.tolist(), ready.means[0]))
        return whole(generator, box_px, image_height, image_width, ready)

    monkeypatch.setattr(loader.proposals, "drawn", noted)
    take(make(source, replace(config, threads=0), proposals["pgpg"]), 8)
    boxes_px = [source.annotations()[row].persons.boxes_px[p] for row, p in source.person_index]
    of_box = {tuple(box): row for box, row in zip(map(tuple, boxes_px), rows, strict=True)}
    known = [(mean, of_box[tuple(box)]) for box, mean in used if tuple(box) in of_box]
    assert len(known) > 10
    for mean, row in known:
        expected = one.density(int(row), "mixture").means[0]
        np.testing.assert_allclose(mean, expected, rtol=1e-6)


def test_an_epoch_holds_each_person_as_often_as_asked_each_time_otherwise(source, config):
    count = len(source.person_index)
    dense = replace(AUGMENT, samples_per_person=3, jitter=1.0)
    batches = take(make(source, config, dense, batch_size=3 * count), 2)
    for batch in batches:
        assert (np.unique(batch.person_id, return_counts=True)[1] == 3).all()
    for person in set(people(batches)):
        thetas = np.concatenate([b.theta_crop[b.person_id == person] for b in batches])
        assert len(np.unique(thetas.round(6), axis=0)) == 6
    assert (np.diff(batches[0].person_id.reshape(3, -1), axis=0) != 0).any(), "not in rounds"


def test_the_first_of_a_persons_samples_does_not_depend_on_how_many_there_are(source, config):
    count = len(source.person_index)
    alone = take(make(source, config, batch_size=count), 1)[0]
    dense = take(
        make(source, config, replace(AUGMENT, samples_per_person=2), batch_size=2 * count), 1
    )[0]
    for person, theta in zip(alone.person_id, alone.theta_crop, strict=True):
        again = dense.theta_crop[dense.person_id == person]
        assert (np.abs(again - theta).max(axis=(1, 2)) == 0).sum() == 1


def test_a_file_that_is_not_there_is_named_before_anything_is_read(source, config):
    absent = replace(AUGMENT, proposals="pgpg", pgpg="absent.json")
    with pytest.raises(ValueError, match="absent.json: no such file of proposals; fit one with"):
        make(source, config, absent)


@pytest.fixture(scope="module")
def other(config, tmp_path_factory):
    return dataset.prepare(replace(config, seed=5, synthetic_train=4), "train")


def mixed(source, other, config, weights=(1.0, 1.0), **change):
    return make(mixture.Mixture((source, other), weights), config, **change)


def test_two_sets_are_mixed_by_their_weights_and_resume_anywhere(source, other, config):
    still = replace(AUGMENT, gain=0.0, contrast=0.0)
    batches = take(make(mixture.Mixture((source, other), (3.0, 1.0)), config, still), 40)
    again = make(mixture.Mixture((source, other), (3.0, 1.0)), config, still, start=20)
    assert_equal(take(again, 5), batches[20:25])
    block = mixture.deal((3.0, 1.0), 0)
    chosen = [mixture.place(block, number)[0] for number in range(40 * BATCH)]
    assert 0.15 < np.mean(chosen) < 0.35
    alone = people(take(make(source, config, still), 40)).tolist()
    of_first = people(batches)[np.array(chosen) == 0].tolist()
    assert of_first == alone[: len(of_first)], "the first set is drawn as it would be alone"


def test_a_set_of_weight_zero_is_never_drawn(source, other, config):
    alone = take(make(source, config), 10)
    assert_equal(take(mixed(source, other, config, (1.0, 0.0)), 10), alone)


def test_the_second_set_has_random_numbers_of_its_own(source, config):
    batches = take(mixed(source, source, config), 30)
    block = mixture.deal((1.0, 1.0), 0)
    chosen = np.array([mixture.place(block, number)[0] for number in range(30 * BATCH)])
    ids = people(batches)
    count = len(source.person_index)
    first, second = ids[chosen == 0][:count], ids[chosen == 1][:count]
    assert sorted(first) == sorted(second) and first.tolist() != second.tolist()


def test_detections_are_of_the_first_set_alone(source, other, config, tmp_path):
    rows = [
        {
            "image": entry.file_name,
            "category_id": 1,
            "bbox": [float(v) for v in (*box[:2], *(box[2:] - box[:2]))],
            "score": 0.9,
        }
        for entry in source.annotations()
        for box in entry.persons.boxes_px
    ]
    path = tmp_path / "detections.json"
    path.write_text(json.dumps(rows))
    augment = replace(AUGMENT, proposals="jitter", detections=str(path))
    assert len(take(make(mixture.Mixture((source, other), (1.0, 1.0)), config, augment), 3)) == 3

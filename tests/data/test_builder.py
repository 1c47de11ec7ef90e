"""The sets as TFDS has them: by name, with files that a person puts into a folder."""

import importlib.util
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from rmpe_jax.config import DataConfig
from rmpe_jax.data import builder, dataset, releases
from tests.data.test_dataset import small_coco


def prepared_by_tfds(name, root, out):
    made = builder.Photographs(config=name, data_dir=str(out), file_format=builder.FORMAT)
    config = tfds.download.DownloadConfig(manual_dir=str(root), try_download_gcs=False)
    made.download_and_prepare(download_config=config, file_format=builder.FORMAT)
    return made


def test_a_set_can_be_written_by_tfds_alone(tmp_path):
    config = small_coco(tmp_path / "coco", tmp_path / "prepared")
    made = prepared_by_tfds("coco", tmp_path / "coco", tmp_path / "out")
    assert made.info.splits["train"].num_examples == 3
    records = builder.open_split(tmp_path / "out", "train")
    for record, photograph in zip(records, dataset.prepare(config, "train"), strict=True):
        again = builder.photograph(record, 17)
        assert again.jpeg == photograph.jpeg and again.annotation[:4] == photograph.annotation[:4]
        np.testing.assert_array_equal(again.persons.joints_px, photograph.persons.joints_px)


@pytest.mark.parametrize("name", releases.RELEASES)
def test_without_the_files_tfds_says_what_to_download(name, tmp_path):
    with pytest.raises(AssertionError) as told:
        prepared_by_tfds(name, tmp_path / "nothing", tmp_path / "out")
    assert releases.RELEASES[name].obtain in str(told.value)
    assert str(tmp_path / "nothing") in str(told.value)


@pytest.mark.skipif(importlib.util.find_spec("apache_beam") is None, reason="no apache-beam here")
def test_beam_writes_the_same_records(tmp_path):
    """In a process of its own: Beam changes how Python pickles."""
    code = (
        "import sys\nfrom rmpe_jax.config import DataConfig\n"
        "from rmpe_jax.data import dataset, shards\n"
        "shards.PHOTOGRAPHS = 2\n"
        "for out, runner in zip(sys.argv[1:], (None, 'DirectRunner')):\n"
        "    config = DataConfig(prepared=out, synthetic_train=5)\n"
        "    print(dataset.prepare(config, 'train', beam_runner=runner).fingerprint)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a"), str(tmp_path / "b")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    one, other = done.stdout.split()
    assert one == other


@pytest.mark.skipif(importlib.util.find_spec("apache_beam") is not None, reason="it is installed")
def test_a_beam_runner_without_beam_says_what_to_install(tmp_path):
    with pytest.raises(ValueError, match="'DirectRunner': type pip install apache-beam first"):
        dataset.prepare(DataConfig(prepared=str(tmp_path)), "train", beam_runner="DirectRunner")

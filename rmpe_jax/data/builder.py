"""The TFDS data set of photographs and their people; import it only where it is used (0.6 s).

One record is one photograph: its bytes unchanged and the persons as arrays, pixels as annotated.
TensorFlow is not needed, neither to write nor to read.
"""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from rmpe_jax.records import Persons, Photograph

FORMAT = "array_record"  # random access without TensorFlow


class Photographs(tfds.core.GeneratorBasedBuilder):
    """Photographs with their people, in the order in which the reader yields them."""

    VERSION = tfds.core.Version("1.0.0")
    code_path = None  # nothing is downloaded; looking beside the code for checksums fails in 4.9.10

    def __init__(
        self, *, split: str, joints: int, photographs: Iterator[Photograph], **settings: Any
    ) -> None:
        """Make a builder that writes `photographs`, of people with that many joints, as `split`."""
        self.split, self.joints, self.photographs = split, joints, photographs
        super().__init__(**settings)

    def _info(self) -> tfds.core.DatasetInfo:
        tensor = tfds.features.Tensor
        exact = tfds.features.Encoding.BYTES  # else numbers are cut to float32
        features = {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "image_id": np.int64,
            "file_name": tfds.features.Text(),
            "height": np.int64,
            "width": np.int64,
            "joints_px": tensor(shape=(None, self.joints, 3), dtype=np.float64, encoding=exact),
            "boxes_px": tensor(shape=(None, 4), dtype=np.float64, encoding=exact),
            "area": tensor(shape=(None,), dtype=np.float64, encoding=exact),
            "is_crowd": tensor(shape=(None,), dtype=np.bool_),
            "person_id": tensor(shape=(None,), dtype=np.int64),
            "head_size_px": tensor(shape=(None,), dtype=np.float64, encoding=exact),
            "facts": tfds.features.Text(),  # JSON
        }
        # Without shuffling, record i is photograph i of the reader: no scan is needed to know.
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features), disable_shuffling=True
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        return {self.split: self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[int, dict[str, Any]]]:
        for row, photograph in enumerate(self.photographs):
            example = photograph._asdict() | photograph.persons._asdict()
            del example["persons"]
            image = {"image": io.BytesIO(example.pop("jpeg"))}
            yield row, example | image | {"facts": json.dumps(photograph.facts)}


def write(folder: str, split: str, joints: int, photographs: Iterator[Photograph]) -> None:
    """Write one split below `folder`."""
    builder = Photographs(
        split=split, joints=joints, photographs=photographs, data_dir=folder, file_format=FORMAT
    )
    tfds.disable_progress_bar()  # the caller shows one
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(try_download_gcs=False), file_format=FORMAT
    )


def open_split(folder: str, split: str) -> Any:
    """Return the records of a written split: a sequence of dictionaries, images still encoded."""
    path = Path(folder) / Photographs.name / str(Photographs.VERSION)
    builder: Any = tfds.builder_from_directory(path)
    encoded = {"image": tfds.decode.SkipDecoding()}
    return builder.as_data_source(split, decoders=encoded)


def photograph(record: dict[str, Any]) -> Photograph:
    """Return a record as the reader yielded it."""
    return Photograph(
        image_id=int(record["image_id"]),
        file_name=record["file_name"].decode(),
        jpeg=record["image"],
        height=int(record["height"]),
        width=int(record["width"]),
        persons=Persons(**{name: record[name] for name in Persons._fields}),
        facts=json.loads(record["facts"]),
    )

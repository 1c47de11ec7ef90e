"""The TFDS data sets of photographs and their people; import it only where it is used (0.6 s).

One record is one photograph: its bytes unchanged and the persons as arrays, pixels as annotated.
TensorFlow is not needed, neither to write nor to read. Apart from `rmpe prepare` a set can be
written as any other of TFDS:

    import tensorflow_datasets as tfds
    from rmpe_jax.data.builder import Photographs
    Photographs(config="crowdpose", data_dir=OUT).download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=ROOT), file_format="array_record")
"""

import importlib.util
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from rmpe_jax.config import DataConfig
from rmpe_jax.data import listing, releases, shards
from rmpe_jax.data.listing import Listing, Split
from rmpe_jax.records import Persons, Photograph

FORMAT = "array_record"  # random access without TensorFlow
VERSION = "1.0.0"


class Writer(tfds.core.ExampleWriter):
    """Writes shards into a folder of their own first, where an interrupted run finds them."""

    def __init__(self, folder: Path) -> None:
        """Keep the shards in `folder`."""
        super().__init__(tfds.core.FileFormat.ARRAY_RECORD)
        self.folder = folder

    def write(self, path: Any, examples: Any) -> None:
        """Put the shard at `path`: the one that is kept, or one of the examples."""
        number = int(Path(path).name.split("array_record-")[1].split("-")[0])
        if not shards.is_kept(self.folder, number):
            partial = shards.partial(self.folder, number)
            super().write(partial, examples)
            shards.keep(self.folder, number)
        shards.place(self.folder, number, Path(path))


class Photographs(tfds.core.ShardBasedBuilder):
    """Photographs with their people, in the order in which the reader yields them."""

    VERSION = tfds.core.Version(VERSION)
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name=name, description=release.obtain)
        for name, release in releases.RELEASES.items()
    ] + [tfds.core.BuilderConfig(name="synthetic", description="Drawn people.")]
    code_path = None  # nothing is downloaded; looking beside the code for checksums fails in 4.9.10

    def __init__(
        self,
        *,
        data: DataConfig | None = None,
        split: Split | None = None,
        listed: Listing | None = None,
        kept: Path | None = None,
        on_photograph: Callable[[], None] | None = None,
        **settings: Any,
    ) -> None:
        """Make a builder of the set named by `config`, or of `data` and one split, as listed.

        `kept` is a folder of finished shards; `on_photograph` is called for each photograph.
        """
        self.split, self.listed = split, listed
        self.kept, self.on_photograph = kept, on_photograph
        if data is not None:
            settings["config"] = data.source
        super().__init__(**settings)
        self.named: Any = self.builder_config
        if data is None and self.named.name in releases.RELEASES:
            self.MANUAL_DOWNLOAD_INSTRUCTIONS = self.named.description

    def _info(self) -> tfds.core.DatasetInfo:
        tensor = tfds.features.Tensor
        exact = tfds.features.Encoding.BYTES  # else numbers are cut to float32
        features = {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "image_id": np.int64,
            "file_name": tfds.features.Text(),
            "height": np.int64,
            "width": np.int64,
            "joints_px": tensor(shape=(None, 3), dtype=np.float64, encoding=exact),  # all people's
            "boxes_px": tensor(shape=(None, 4), dtype=np.float64, encoding=exact),
            "area": tensor(shape=(None,), dtype=np.float64, encoding=exact),
            "is_crowd": tensor(shape=(None,), dtype=np.bool_),
            "person_id": tensor(shape=(None,), dtype=np.int64),
            "head_size_px": tensor(shape=(None,), dtype=np.float64, encoding=exact),
            "is_ignored": tensor(shape=(None,), dtype=np.bool_),
            "facts": tfds.features.Text(),  # JSON
        }
        # Without shuffling, record i is photograph i of the reader: no scan is needed to know.
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features), disable_shuffling=True
        )

    def _shard_iterators_per_split(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, list[Callable[[], Iterator[tuple[int, Any]]]]]:
        if self.split is not None and self.listed is not None:
            every = {self.split: self.listed}
        else:
            drawn = self.named.name == "synthetic"
            root = "" if drawn else str(dl_manager.manual_dir)
            data = DataConfig(source=self.named.name, root=root)
            every = {split: listing.of_split(data, split) for split in listing.published(data)}
        return {
            split: [
                _Examples(shard)
                for shard in shards.of_listing(listed, self.kept, self.on_photograph)
            ]
            for split, listed in every.items()
        }

    def _example_writer(self) -> tfds.core.ExampleWriter:
        return super()._example_writer() if self.kept is None else Writer(self.kept)


class _Examples:
    """The examples of one shard; a class, because Beam sends it to other processes."""

    def __init__(self, shard: shards.Shard) -> None:
        self.shard = shard

    def __call__(self) -> Iterator[tuple[int, Any]]:
        """Yield (key, example); of a shard that is kept, nothing in place of each example."""
        if self.shard.is_kept:
            yield from ((key, None) for key in range(self.shard.count_kept()))
            return
        for key, photograph in enumerate(self.shard.photographs()):
            example = photograph._asdict() | photograph.persons._asdict()
            del example["persons"]
            yield (
                key,
                example
                | {
                    "image": io.BytesIO(example.pop("jpeg")),
                    "joints_px": example["joints_px"].reshape(-1, 3),
                    "facts": json.dumps(photograph.facts),
                },
            )


def write(
    folder: Path,
    data: DataConfig,
    split: Split,
    listed: Listing,
    kept: Path,
    *,
    on_photograph: Callable[[], None] | None = None,
    beam_runner: str | None = None,
) -> None:
    """Write one split below `folder`; finished shards wait in `kept` until all are.

    `beam_runner` is the name of an Apache Beam runner that writes the shards in parallel.
    """
    if beam_runner and importlib.util.find_spec("apache_beam") is None:
        raise ValueError(f"Beam runner {beam_runner!r}: type pip install apache-beam first")
    builder = Photographs(
        data=data,
        split=split,
        listed=listed,
        kept=kept,
        on_photograph=None if beam_runner else on_photograph,
        data_dir=str(folder),
        file_format=FORMAT,
    )
    tfds.disable_progress_bar()  # the caller shows one
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(
            try_download_gcs=False, beam_runner=beam_runner
        ),
        file_format=FORMAT,
    )


def open_split(folder: Path, split: Split) -> Any:
    """Return the records of a written split: a sequence of dictionaries, images still encoded."""
    (path,) = folder.glob(f"{Photographs.name}/*/{VERSION}")
    builder: Any = tfds.builder_from_directory(path)
    encoded = {"image": tfds.decode.SkipDecoding()}
    return builder.as_data_source(split, decoders=encoded)


def photograph(record: dict[str, Any], joints: int) -> Photograph:
    """Return a record as the reader yielded it, people with that many joints."""
    persons = Persons(**{name: record[name] for name in Persons._fields})
    joints_px = persons.joints_px.reshape(-1, joints, 3)
    return Photograph(
        image_id=int(record["image_id"]),
        file_name=record["file_name"].decode(),
        jpeg=record["image"],
        height=int(record["height"]),
        width=int(record["width"]),
        persons=persons._replace(joints_px=joints_px),
        facts=json.loads(record["facts"]),
    )

"""What this machine has, what is missing, and what to do about it."""

import importlib.metadata
import os
import platform
import shutil
from pathlib import Path

import jax

from rmpe_jax.config import DataConfig, example_data

PACKAGES = (
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "grain",
    "tensorflow-datasets",
    "numpy",
    "opencv-python-headless",
    "pycocotools",
)
ENOUGH_DISK = 5e9  # bytes; the records and checkpoints of the small configurations


def report() -> tuple[list[str], list[str]]:
    """Return (facts, advice): lines to print, and what should be done."""
    facts = [f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"]
    advice: list[str] = []
    for package in PACKAGES:
        try:
            facts.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            facts.append(f"{package}: missing")
            advice.append(f"pip install {package}")
    _devices(facts, advice)
    _data(facts, advice)
    return facts, advice


def _devices(facts: list[str], advice: list[str]) -> None:
    devices = jax.devices()
    facts.append(f"devices: {', '.join(str(device) for device in devices)}")
    facts.append(f"processor cores: {os.cpu_count()}")
    if devices[0].platform == "cpu" and shutil.which("nvidia-smi"):
        advice.append(
            'an NVIDIA driver is here but JAX uses the CPU: pip install -U "jax[cuda13]" '
            "(or jax[cuda12] for an older driver)"
        )


def _data(facts: list[str], advice: list[str]) -> None:
    prepared = Path(DataConfig().prepared).expanduser()
    sets = sorted(path.name for path in prepared.glob("*/*")) if prepared.is_dir() else []
    facts.append(f"prepared data in {prepared}: {', '.join(sets) or 'none yet'}")
    coco = example_data() / "coco_pose"
    if coco.is_dir():
        facts.append(f"COCO keypoints: {coco}")
    else:
        facts.append(f"COCO keypoints: not at {coco}")
        advice.append(
            "real photographs are optional: download COCO 2017 (train2017.zip, val2017.zip, "
            "annotations_trainval2017.zip from cocodataset.org), unpack them in one folder DIR, "
            "and give it as `rmpe train configs/coco.py --data.root DIR`"
        )
    place = prepared if prepared.exists() else Path.home()
    free = shutil.disk_usage(place).free
    facts.append(f"free disk at {place}: {free / 1e9:.0f} GB")
    if free < ENOUGH_DISK:
        advice.append(f"free some disk at {place}, or give --data.prepared another place")

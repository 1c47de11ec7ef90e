"""What this machine has, what is missing, and what to do about it."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from pathlib import Path

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
    "scipy",
    "opencv-python-headless",
    "pycocotools",
    "safetensors",
)
# What only some commands need: the extra that brings it, and what it is for.
OPTIONAL = {
    "onnxruntime": ("onnx", "detectors in .onnx files"),
    "gradio": ("demo", "rmpe demo"),
    "libtpu": ("tpu", "rmpe plan --topology, and TPUs"),
    "tensorboardX": ("tensorboard", "figures of a run as TensorBoard shows them"),
}
# Two of these in one environment overwrite each other's files.
OPENCVS = ("opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless")
ENOUGH_DISK = 5e9  # bytes; the records and checkpoints of the small configurations


def report() -> tuple[list[str], list[str]]:
    """Return (facts, advice): lines to print, and what should be done."""
    facts = [f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"]
    advice: list[str] = []
    for check in (_packages, _devices, _data, _disk):
        check(facts, advice)
    return facts, advice


def _packages(facts: list[str], advice: list[str]) -> None:
    for package in PACKAGES:
        version = _version(package)
        facts.append(f"{package} {version}" if version else f"{package}: missing")
        if version is None:
            advice.append(f"pip install {package}")
    for package, (extra, use) in OPTIONAL.items():
        install = f"not installed; for {use}: pip install 'rmpe_jax[{extra}]'"
        facts.append(f"{package} {_version(package) or install}")
    for other in OPENCVS:
        if _version(other):
            advice.append(
                f"{other} is installed beside opencv-python-headless: pip uninstall {other}, then "
                "pip install --force-reinstall opencv-python-headless"
            )


def _devices(facts: list[str], advice: list[str]) -> None:
    facts.append(f"processor cores: {os.cpu_count()}")
    if importlib.util.find_spec("jax") is None:
        return
    import jax

    devices = jax.devices()
    facts.append(f"devices: {', '.join(map(str, devices))}")
    if devices[0].platform == "cpu" and shutil.which("nvidia-smi"):
        advice.append(
            'an NVIDIA driver is here but JAX uses the CPU: pip install -U "jax[cuda13]" '
            '(or "jax[cuda12]" for an older driver)'
        )


def _data(facts: list[str], advice: list[str]) -> None:
    prepared = Path(DataConfig().prepared).expanduser()
    sets = sorted(path.name for path in prepared.glob("[!.]*")) if prepared.is_dir() else []
    facts.append(f"prepared data in {prepared}: {', '.join(sets) or 'none yet'}")
    for what, path in (("photographs", "coco_pose"), ("weights to start from", "weights")):
        place = example_data() / path
        facts.append(f"{what}: {place if place.is_dir() else f'not at {place}'}")
    if not (example_data() / "coco_pose").is_dir():
        advice.append(
            "real photographs are optional: download COCO 2017 (train2017.zip, val2017.zip, "
            "annotations_trainval2017.zip from cocodataset.org), unpack them in one folder DIR, "
            "and give it as `rmpe train configs/coco.py --data.root DIR`"
        )


def _disk(facts: list[str], advice: list[str]) -> None:
    prepared = Path(DataConfig().prepared).expanduser()
    place = prepared if prepared.exists() else Path.home()
    free = shutil.disk_usage(place).free
    facts.append(f"free disk at {place}: {free / 1e9:.0f} GB")
    if free < ENOUGH_DISK:
        advice.append(f"free some disk at {place}, or give --data.prepared another place")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None

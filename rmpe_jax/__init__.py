"""RMPE, regional multi-person pose estimation (Fang et al., ICCV 2017), in JAX and Flax.

    import rmpe_jax
    model = rmpe_jax.load("runs/synthetic")
    poses = model(rmpe_jax.read_image("photo.jpg"), boxes)

The names below are loaded when first used, so that importing the package costs nothing.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_PLACES = {
    "COCO17": "rmpe_jax.skeletons",
    "MPII16": "rmpe_jax.skeletons",
    "Skeleton": "rmpe_jax.skeletons",
    "Config": "rmpe_jax.config",
    "Batch": "rmpe_jax.records",
    "Detections": "rmpe_jax.records",
    "Persons": "rmpe_jax.records",
    "Photograph": "rmpe_jax.records",
    "Poses": "rmpe_jax.records",
    "PoseModel": "rmpe_jax.predict",
    "load": "rmpe_jax.predict",
    "poses_on_canvas": "rmpe_jax.predict",
    "pull": "rmpe_jax.geometry.sampler",
    "sample": "rmpe_jax.geometry.sampler",
    "read_image": "rmpe_jax.data.images",
    "train": "rmpe_jax.training.loop",
    "evaluate": "rmpe_jax.evaluation.run",
}
__all__ = ["__version__", *_PLACES]


def __getattr__(name: str) -> Any:
    """Return a public name, importing the module it lives in."""
    if name not in _PLACES:
        raise AttributeError(f"module 'rmpe_jax' has no attribute {name!r}; it has {__all__}")
    # Sub-modules of the same name (train, evaluate are none; load is none) never shadow these.
    attribute = {"read_image": "read"}.get(name, name)
    return getattr(importlib.import_module(_PLACES[name]), attribute)


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)

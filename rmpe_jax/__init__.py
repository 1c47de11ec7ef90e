"""RMPE, regional multi-person pose estimation (Fang et al., ICCV 2017), in JAX and Flax.

    import rmpe_jax
    model = rmpe_jax.load("runs/synthetic")
    poses = model(rmpe_jax.read_image("photo.jpg"), boxes=[[52, 30, 190, 410]])

The names below are loaded when first used, so that importing the package costs nothing.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

# Public name: the module that defines it, and what it is called there.
_PLACES = {
    "COCO17": ("skeletons", "COCO17"),
    "MPII16": ("skeletons", "MPII16"),
    "Skeleton": ("skeletons", "Skeleton"),
    "Config": ("config", "Config"),
    "Batch": ("records", "Batch"),
    "Detections": ("records", "Detections"),
    "Persons": ("records", "Persons"),
    "Photograph": ("records", "Photograph"),
    "Poses": ("records", "Poses"),
    "Taps": ("models.rmpe", "Taps"),
    "symmetric": ("models.rmpe", "symmetric"),
    "gamma": ("geometry.affine", "gamma"),
    "pull": ("geometry.sampler", "pull"),
    "sample": ("geometry.sampler", "sample"),
    "read_image": ("data.images", "read"),
    "PoseModel": ("predict", "PoseModel"),
    "load": ("predict", "load"),
    "poses_on_canvas": ("chain", "poses_on_canvas"),
    "evaluate": ("evaluation.run", "evaluate"),
    "train": ("training.loop", "train"),
}
__all__ = ["__version__", *_PLACES]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """Return a public name, importing the module it lives in."""
    if name not in _PLACES:
        raise AttributeError(f"module 'rmpe_jax' has no attribute {name!r}; it has {__all__}")
    module, attribute = _PLACES[name]
    return getattr(importlib.import_module(f"rmpe_jax.{module}"), attribute)


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)

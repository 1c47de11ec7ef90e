"""Pose NMS as people choose it: by a name, or by the file that `rmpe fit-nms` wrote."""

import json
import math
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from rmpe_jax.pose_nms import (
    ALPHAPOSE_COCO,
    RMPE_MPII,
    NmsOptions,
    NmsParameters,
    NmsSet,
    check,
)

NAMED = {"rmpe_mpii": RMPE_MPII, "alphapose_coco": ALPHAPOSE_COCO}
CHOICES = f"none, {', '.join(NAMED)}, or the fit_nms.json of `rmpe fit-nms`"


def chosen(name: str) -> NmsSet | None:
    """Return the parameters and options that are meant; None for "none".

    Raises ValueError if `name` is neither a name nor a file of learned parameters.
    """
    if name == "none":
        return None
    return NAMED[name] if name in NAMED else read(Path(name))


def read(path: Path) -> NmsSet:
    """Return what `rmpe fit-nms` has learned, or raise ValueError saying what the file lacks."""
    if not path.is_file():
        raise ValueError(f"pose NMS: {str(path)!r} is no file; choose {CHOICES}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        values, options = content["parameters"], content["options"]
        parameters = NmsParameters(**{name: float(value) for name, value in values.items()})
        _check_options(options)
        named = NmsSet(parameters, NmsOptions(**options))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} does not hold parameters of pose NMS ({type(error).__name__}: {error}); "
            f"choose {CHOICES}"
        ) from error
    check(parameters)
    return named


def _check_options(options: dict[str, Any]) -> None:
    """Raise ValueError naming an option whose value means nothing."""
    hints: dict[str, Any] = get_type_hints(NmsOptions)
    for name in options.keys() & hints.keys():
        value, hint = options[name], hints[name]
        if get_origin(hint) is Literal:
            right, told = value in get_args(hint), ", ".join(map(repr, get_args(hint)))
        elif hint is bool:
            right, told = isinstance(value, bool), "true, false"
        else:
            whole = hint is int
            right = type(value) in ((int,) if whole else (int, float)) and 0 <= value < math.inf
            right = right or (value is None and type(None) in get_args(hint))
            told = f"{'whole ' if whole else ''}numbers from 0"
        if not right:
            raise ValueError(f"{name} is {value!r}; allowed are {told}")

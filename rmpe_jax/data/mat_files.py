"""MATLAB files and their structures, in which nothing says whether a value is one, many or none."""

from pathlib import Path

import numpy as np
import scipy.io
from jaxtyping import Shaped


def load(path: Path, variable: str) -> Shaped[np.ndarray, "..."]:
    """Return one variable of a MATLAB file (before version 7.3), as it is stored."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file; expected a MATLAB file")
    try:
        document = scipy.io.loadmat(path, appendmat=False)
    except Exception as error:  # scipy raises what its parser ran into
        raise ValueError(
            f"{path}: not a MATLAB file that SciPy can read ({type(error).__name__}: {error}); "
            "version 7.3 files must be saved again with -v7"
        ) from error
    if variable not in document:
        came = sorted(name for name in document if not name.startswith("__"))
        raise ValueError(f"{path}: no variable {variable}; it has {came}")
    return document[variable]


def structs(value: Shaped[np.ndarray, "..."]) -> list[np.void]:
    """Return the elements of a structure array; an empty matrix stands for none."""
    return [] if value.dtype.names is None else list(value.ravel())


def field(struct: np.void, name: str) -> Shaped[np.ndarray, "..."]:
    """Return a field of a structure; an empty array where it has none of that name."""
    names = struct.dtype.names or ()
    return np.asarray(struct[name]) if name in names else np.zeros(0)


def number(struct: np.void, name: str) -> float | None:
    """Return a field that holds one number or its digits; None where it is empty or missing."""
    values = field(struct, name).ravel()
    if values.size == 0 or str(values[0]) == "":
        return None
    value = float(values[0])
    return value if np.isfinite(value) else None


def numbers(struct: np.void, names: tuple[str, ...]) -> list[float] | None:
    """Return several such fields, or None where one of them is empty or missing."""
    found = [number(struct, name) for name in names]
    kept = [value for value in found if value is not None]
    return kept if len(kept) == len(names) else None


def text(struct: np.void, name: str) -> str:
    """Return a field that holds characters."""
    return "".join(str(part) for part in field(struct, name).ravel())

"""JSON files and the fields of their records, with errors that name file, record and field."""

import json
from pathlib import Path
from typing import Any

import numpy as np


def load(path: Path) -> Any:
    """Return what the JSON file holds; one that is missing, cut off or no JSON is a ValueError."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise ValueError(f"{path}: {reason}; expected a JSON file") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: byte {error.start} is no UTF-8 text; expected JSON") from error
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        cut = "; the file ends here: is it cut off?" if error.pos >= len(text.rstrip()) else ""
        raise ValueError(
            f"{path}: not valid JSON at line {error.lineno}, column {error.colno} (character "
            f"{error.pos} of {len(text)}): {error.msg}{cut}"
        ) from error


def require(record: Any, keys: tuple[str, ...], where: str) -> None:
    """Refuse a record that is no object or lacks a key; keys that end in id are whole numbers."""
    if not isinstance(record, dict):
        raise ValueError(f"{where}: a {type(record).__name__} came, an object is expected")
    missing = [key for key in keys if key not in record]
    if missing:
        name = f" (id {record['id']})" if "id" in record else ""
        raise ValueError(f"{where}{name}: no {', '.join(missing)}; it has {sorted(record)}")
    for key in keys:
        if key.endswith("id") and type(record[key]) is not int:
            raise ValueError(f"{where}: {key} is {record[key]!r}, a whole number is expected")


def numbers(values: Any, count: int | None, where: str) -> list[float]:
    """Return `values` if they are `count` finite numbers; None stands for any count."""
    if not isinstance(values, list) or count not in (None, len(values)):
        came = f"{len(values)} values" if isinstance(values, list) else f"{values!r}"
        wanted = "numbers" if count is None else f"{count} numbers"
        raise ValueError(f"{where}: {came} came, a list of {wanted} is expected")
    for position, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
            raise ValueError(f"{where}: value {position} is {value!r}, finite numbers are allowed")
    return [float(value) for value in values]


def number(value: Any, where: str) -> float:
    """Return `value` if it is a finite number."""
    return numbers([value], 1, where)[0]

"""The grids that a search of pose NMS parameters has computed, in a file that outlives a kill."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console


class Trace:
    """The grids computed so far, in a JSON file that is written whole after each of them."""

    def __init__(self, path: Path | None, about: str, console: Console | None = None) -> None:
        """Read the trace of an earlier search back; `about` says of which poses and truth."""
        self.path, self.about, self.console = path, about, console
        self.grids: list[dict[str, Any]] = []
        if path is not None and path.exists():
            try:
                content = json.loads(path.read_text())
                self.grids, known = content["grids"], content["about"]
            except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
                raise ValueError(
                    f"{path} is not the trace of a search ({type(error).__name__}: {error}); "
                    "delete it or choose another folder"
                ) from error
            if known != about:
                raise ValueError(
                    f"{path} is the trace of a search over other poses or annotations; delete it "
                    "or choose another folder"
                )

    def figures(self, request: dict[str, Any]) -> np.ndarray | None:
        """Return what a grid gave, None if it was not computed yet."""
        done = [grid for grid in self.grids if grid["request"] == request]
        return np.array(done[0]["figures"]) if done else None

    def add(self, request: dict[str, Any], figures: np.ndarray) -> None:
        """Keep a grid, in the file too."""
        self.grids.append({"request": request, "figures": figures.tolist()})
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            partial_file = self.path.with_suffix(".partial")
            partial_file.write_text(json.dumps({"about": self.about, "grids": self.grids}))
            os.replace(partial_file, self.path)

    def say(self, text: str) -> None:
        """Show progress."""
        if self.console is not None:
            self.console.print(text)

"""Find people with a detector in an ONNX file: a photograph to boxes, best first.

What the file wants and puts out is in `onnx_layouts`. onnxruntime runs it on all cores; threads
that wait for work sleep, so that they take nothing from the pose network at its side.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from rmpe_jax import onnx_layouts, suppression
from rmpe_jax.config import OnnxLayout
from rmpe_jax.onnx_layouts import Layout, Port
from rmpe_jax.records import Detections

SIDE = 640  # of the window of a network that takes any
GREY = 114  # around a photograph in its letterbox
TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
QUIET = 3  # onnxruntime's level of errors: its warnings speak to those who export


@runtime_checkable  # for checks of types in tests
class Session(Protocol):
    """What is needed of `onnxruntime.InferenceSession`."""

    def get_inputs(self) -> Sequence[Port]:
        """Return what it wants."""
        ...

    def get_outputs(self) -> Sequence[Port]:
        """Return what it puts out."""
        ...

    def run(self, output_names: Sequence[str], input_feed: dict[str, np.ndarray], /) -> Any:
        """Return the outputs of those names."""
        ...


@dataclass(frozen=True)
class OnnxDetector:
    """A detector in a session, ready to be called, from several threads too.

    `height` and `width` are the window's, `path` the file's.
    """

    session: Session
    layout: Layout
    height: int
    width: int
    path: str

    def __call__(self, image: UInt8[np.ndarray, "height width 3"]) -> Detections:
        """Return the people on an RGB image, by falling score; see `suppression.best`.

        Raises ValueError if the network cannot be run, or its outputs are not what they should be.
        """
        window, scale = windowed(image, self.layout, self.height, self.width)
        names = [port.name for port in self.session.get_outputs()]
        try:
            arrays = self.session.run(names, self._feed(window))
        except Exception as error:  # onnxruntime's have no common ancestor of their own
            raise ValueError(f"{self.path}: onnxruntime cannot run it: {error}") from error
        outputs = {
            name: array.astype(np.float32) if array.dtype.kind == "f" else array
            for name, array in zip(names, arrays, strict=True)
        }
        try:
            found = self.layout.decode(outputs, self.height, self.width)
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}") from error
        boxes_px = found.boxes_window / np.tile(scale, 2)
        return suppression.best(boxes_px, found.score, *image.shape[:2])

    def _feed(self, window: Float[np.ndarray, "3 h w"]) -> dict[str, np.ndarray]:
        image, *others = self.session.get_inputs()
        size = np.array([[self.width, self.height]], np.int64)  # in this order, as DETRs want it
        return {image.name: window[None].astype(TYPES[image.type])} | {
            port.name: size for port in others
        }


def load(path: str | Path, layout: OnnxLayout = "auto") -> OnnxDetector:
    """Return the detector of an ONNX file; "auto" tells its layout by its inputs and outputs.

    Raises ValueError if onnxruntime is missing, the file is or is no ONNX file, or no layout fits.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path}: no such file; expected a detector as an ONNX file")
    try:
        import onnxruntime
    except ImportError as error:
        raise ValueError(
            f'{path}: ONNX files need onnxruntime: type pip install "rmpe_jax[onnx]"'
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = QUIET
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's have no common ancestor of their own
        raise ValueError(
            f"{path}: {Path(path).stat().st_size} bytes that are no ONNX file onnxruntime can run: "
            f"{error}"
        ) from error
    return of_session(session, str(path), layout)


def of_session(session: Session, path: str, layout: OnnxLayout = "auto") -> OnnxDetector:
    """Return the detector in a session; ValueError if it is none that is known."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    try:
        height, width = _window_size(inputs, outputs)
        return OnnxDetector(
            session,
            onnx_layouts.chosen(layout, inputs, outputs, height, width),
            height,
            width,
            path,
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def windowed(
    image: UInt8[np.ndarray, "image_height image_width 3"], layout: Layout, height: int, width: int
) -> tuple[Float[np.ndarray, "3 height width"], Float[np.ndarray, " 2"]]:
    """Return the window of an RGB image, as its network wants it, and its scale (x, y)."""
    image_height, image_width, _ = image.shape
    scale = np.array([width / image_width, height / image_height])
    if not layout.stretched:
        scale = np.repeat(scale.min(), 2)
    sides = np.maximum(np.round(scale * [image_width, image_height]).astype(int), 1)
    across, down = map(int, sides)
    method = cv2.INTER_AREA if layout.smooth else cv2.INTER_LINEAR
    window = np.full((height, width, 3), GREY, np.uint8)
    window[:down, :across] = cv2.resize(image, (across, down), interpolation=method)
    if layout.colours == "bgr":
        window = window[..., ::-1]
    levels = (window - np.array(layout.mean, np.float32)) / np.array(layout.deviation, np.float32)
    # The sides are whole pixels, so the photograph's scale is what they have made of it.
    return np.ascontiguousarray(levels.transpose(2, 0, 1)), sides / [image_width, image_height]


def _window_size(inputs: Sequence[Port], outputs: Sequence[Port]) -> tuple[int, int]:
    """Return (height, width) of the picture that is wanted, SIDE where any is allowed."""
    image, *others = inputs
    is_picture = len(image.shape) == 4 and image.shape[1] == 3 and image.type in TYPES
    is_one = image.shape[:1] == [1] or not isinstance(image.shape[0], int)
    is_size = len(others) <= 1 and all("int64" in port.type for port in others)
    if not (is_picture and is_one and is_size):
        raise ValueError(
            "its inputs are not a picture [1, 3, height, width] of float, and perhaps a size "
            f"[1, 2] of int64\n{onnx_layouts.described(inputs, outputs)}"
        )
    height, width = (side if isinstance(side, int) else SIDE for side in image.shape[2:])
    return height, width

"""Encoded image files to pixels: uint8 [height width 3] in RGB, or an error that names the file.

A picture that cannot be read whole is an error and never a black or half grey one.
"""

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from rmpe_jax.records import Photograph

JPEG_START, JPEG_SCAN, JPEG_END = b"\xff\xd8", 0xDA, b"\xff\xd9"  # ITU T.81, table B.1
PNG_START, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"  # PNG specification, 5.2 and 11.2.5
FORMATS = "JPEG, PNG, WebP, BMP or TIFF"


class ImageError(ValueError):
    """An image file that is missing, empty, cut off, or no image."""


def decode(
    encoded: bytes, name: str, *, size: tuple[int, int] | None
) -> UInt8[np.ndarray, "height width 3"]:
    """Return the picture in RGB; grey, CMYK, palette and 16-bit files are converted, alpha dropped.

    `size` is the annotated (height, width), and it decides about the EXIF orientation, because
    joints were marked on the picture as one tool showed it: the pixels as stored where their
    size is the annotated one, else the picture turned upright by EXIF, else an error. (A square
    picture, or one turned by 180 degrees, has the annotated size both ways: pixels as stored,
    as COCO's own tools have them.) `size=None` means that nothing was annotated, a user's own
    photograph: it is turned upright.
    """
    _check_whole(encoded, name)
    buffer = np.frombuffer(encoded, np.uint8)
    if size is None:
        return _decode(buffer, name, cv2.IMREAD_COLOR)
    stored = _decode(buffer, name, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if stored.shape[:2] == size:
        return stored
    if stored.shape[1::-1] == size:
        upright = _decode(buffer, name, cv2.IMREAD_COLOR)
        if upright.shape[:2] == size:
            return upright
    raise ImageError(
        f"{name}: the picture is {stored.shape[1]} x {stored.shape[0]} (width x height), its "
        f"annotation says {size[1]} x {size[0]}: the annotations belong to another copy of it"
    )


def stored_size(encoded: bytes, name: str) -> tuple[int, int]:
    """Return (height, width) of the pixels as stored, whatever the EXIF orientation says."""
    _check_whole(encoded, name)
    buffer = np.frombuffer(encoded, np.uint8)
    stored = _decode(buffer, name, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    height, width, _ = stored.shape
    return height, width


def read(path: str | Path) -> UInt8[np.ndarray, "height width 3"]:
    """Return a user's photograph, turned upright by its EXIF orientation."""
    return decode(read_bytes(Path(path)), str(path), size=None)


def read_bytes(path: Path) -> bytes:
    """Return the bytes of the file at `path`, untouched."""
    try:
        return path.read_bytes()
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise ImageError(f"{path}: {reason}; expected a {FORMATS} file") from error


def _decode(
    buffer: UInt8[np.ndarray, " n"], name: str, flags: int
) -> UInt8[np.ndarray, "height width 3"]:
    try:
        picture = cv2.imdecode(buffer, flags)
    except cv2.error as error:  # for example more pixels than OpenCV allows
        raise ImageError(f"{name}: OpenCV cannot read it ({error.err})") from error
    if picture is None:
        start = buffer[:8].tobytes()
        raise ImageError(
            f"{name}: {buffer.size} bytes that start with {start!r} are no picture that OpenCV "
            f"can read; expected a {FORMATS} file"
        )
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def _check_whole(encoded: bytes, name: str) -> None:
    """Refuse empty and cut-off files: OpenCV fills the rest of a cut JPEG with grey."""
    if not encoded:
        raise ImageError(f"{name}: the file is empty (0 bytes); expected a {FORMATS} file")
    is_jpeg, is_png = encoded.startswith(JPEG_START), encoded.startswith(PNG_START)
    cut_jpeg = is_jpeg and encoded.rfind(JPEG_END) < _first_scan(encoded)
    if cut_jpeg or (is_png and PNG_END not in encoded):
        raise ImageError(
            f"{name}: the {'JPEG' if is_jpeg else 'PNG'} file is cut off after {len(encoded)} "
            "bytes, its end mark is missing; copy or download it again"
        )


def _first_scan(encoded: bytes) -> int:
    """Return where a JPEG's first scan starts; an end mark before it is a thumbnail's."""
    position = len(JPEG_START)
    while position + 4 <= len(encoded) and encoded[position] == 0xFF:
        marker = encoded[position + 1]
        if marker == JPEG_SCAN:
            return position
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        position += 2 + int.from_bytes(encoded[position + 2 : position + 4], "big")
    return len(encoded)  # no scan at all


def pixels(photograph: Photograph) -> UInt8[np.ndarray, "height width 3"]:
    """Return the decoded picture of a photograph, oriented as it was annotated."""
    size = (photograph.height, photograph.width)
    return decode(photograph.jpeg, photograph.file_name, size=size)

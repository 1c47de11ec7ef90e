import struct

import cv2
import numpy as np
import pytest

from rmpe_jax.data import image_headers, images


def encoded(suffix: str, *flags: int) -> bytes:
    done, buffer = cv2.imencode(suffix, np.zeros((37, 53, 3), np.uint8), flags)
    assert done
    return buffer.tobytes()


@pytest.mark.parametrize("flags", [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)])
def test_a_jpeg_tells_its_size(flags):
    assert image_headers.size(encoded(".jpg", *flags)) == (37, 53)


def test_fill_bytes_and_markers_without_length_are_passed():
    jpeg = encoded(".jpg")
    assert image_headers.size(jpeg[:2] + b"\xff\xff\xff\x01" + jpeg[2:]) == (37, 53)


def test_a_png_tells_its_size():
    assert image_headers.size(encoded(".png")) == (37, 53)


def test_a_size_of_many_pixels_is_read():
    head = image_headers.PNG_HEAD + struct.pack(">II", 70_000, 30_000)
    assert image_headers.size(head) == (30_000, 70_000)


@pytest.mark.parametrize("content", [b"", b"\xff\xd8", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n"])
def test_a_cut_head_tells_nothing(content):
    assert image_headers.size(content) is None
    assert image_headers.size(content + b"\x00" * 3) is None


def test_other_formats_tell_nothing():
    assert image_headers.size(encoded(".bmp")) is None


def test_the_heads_of_real_photographs_are_right(data_root):
    paths = sorted((data_root / "demo").glob("*.jpg"))
    assert paths
    for path in paths:
        content = path.read_bytes()
        assert image_headers.size(content) == images.stored_size(content, path.name)

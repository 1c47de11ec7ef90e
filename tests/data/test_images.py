import io

import numpy as np
import PIL.Image
import pytest

from rmpe_jax.data import images
from rmpe_jax.data.images import ImageError

RED, BLUE = (200, 30, 40), (20, 40, 210)


def picture(height: int = 24, width: int = 40) -> PIL.Image.Image:
    """Red on the left, blue on the right."""
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[:, : width // 2], pixels[:, width // 2 :] = RED, BLUE
    return PIL.Image.fromarray(pixels)


def encode(image: PIL.Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def jpeg(image: PIL.Image.Image, **options) -> bytes:
    return encode(image, "JPEG", quality=95, subsampling=0, **options)


def corners(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return pixels[4, 4].astype(int), pixels[-5, -5].astype(int)


def close(came, wanted, tolerance=8):
    return np.abs(np.array(came) - wanted).max() <= tolerance


@pytest.mark.parametrize(
    "encoded",
    [
        jpeg(picture()),
        jpeg(picture().convert("CMYK")),
        encode(picture(), "PNG"),
        encode(picture().convert("RGBA"), "PNG"),
        encode(picture().convert("P", palette=PIL.Image.Palette.ADAPTIVE), "PNG"),
        encode(picture(), "WEBP", lossless=True),
        encode(picture(), "BMP"),
        encode(picture(), "TIFF"),
    ],
    ids=["jpeg", "cmyk", "png", "alpha", "palette", "webp", "bmp", "tiff"],
)
def test_colours_are_rgb_in_every_format(encoded):
    pixels = images.decode(encoded, "a.jpg", size=(24, 40))
    assert pixels.shape == (24, 40, 3) and pixels.dtype == np.uint8
    left, right = corners(pixels)
    assert close(left, RED) and close(right, BLUE)


def test_grey_becomes_three_equal_channels():
    pixels = images.decode(jpeg(picture().convert("L")), "grey.jpg", size=(24, 40))
    assert (pixels == pixels[..., :1]).all()
    assert close(pixels[4, 4], np.array(picture().convert("L"))[4, 4])


def test_sixteen_bits_are_scaled_not_cut():
    deep = PIL.Image.fromarray(np.full((8, 9), 40000, np.uint16))
    pixels = images.decode(encode(deep, "PNG"), "deep.png", size=(8, 9))
    assert close(pixels, 40000 / 257, 1)


def with_exif(orientation: int) -> bytes:
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    return jpeg(picture(), exif=exif)


def test_the_annotated_size_decides_about_exif():
    encoded = with_exif(6)  # shown turned by 90 degrees clockwise: red on top
    stored = images.decode(encoded, "turned.jpg", size=(24, 40))
    left, right = corners(stored)
    assert close(left, RED) and close(right, BLUE)
    upright = images.decode(encoded, "turned.jpg", size=(40, 24))
    assert upright.shape == (40, 24, 3)
    assert close(upright[3, 20], RED) and close(upright[-4, 3], BLUE)


def test_a_half_turn_keeps_the_stored_pixels_of_annotated_images_only():
    encoded = with_exif(3)
    assert close(corners(images.decode(encoded, "turned.jpg", size=(24, 40)))[0], RED)
    assert close(corners(images.decode(encoded, "turned.jpg", size=None))[0], BLUE)


def test_a_users_photograph_is_turned_upright(tmp_path):
    path = tmp_path / "phone.jpg"
    path.write_bytes(with_exif(6))
    assert images.read(path).shape == (40, 24, 3)


def test_another_size_than_annotated_is_refused():
    with pytest.raises(ImageError, match=r"a\.jpg: the picture is 40 x 24 .* says 50 x 24"):
        images.decode(jpeg(picture()), "a.jpg", size=(24, 50))


def test_an_empty_file_is_refused(tmp_path):
    path = tmp_path / "empty.jpg"
    path.write_bytes(b"")
    with pytest.raises(ImageError, match=r"empty\.jpg: the file is empty \(0 bytes\)"):
        images.read(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(ImageError, match=r"none\.jpg: no such file; expected a JPEG"):
        images.read(tmp_path / "none.jpg")
    with pytest.raises(ImageError, match="(?i)directory"):
        images.read(tmp_path)


def test_what_is_no_picture_is_refused():
    with pytest.raises(ImageError, match=r"notes\.jpg: 12 bytes that start with b'hello pe'"):
        images.decode(b"hello people", "notes.jpg", size=None)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_file_cut_off_anywhere_is_refused(kind):
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    thumbnail = jpeg(picture(8, 8))  # its end mark must not pass for the picture's
    exif = PIL.Image.Exif()
    exif[0x010E] = "A" * 40
    options = {"exif": exif.tobytes() + thumbnail} if kind == "JPEG" else {}
    whole = encode(PIL.Image.fromarray(noise), kind, **options)
    assert images.decode(whole, "whole", size=(40, 50)).shape == (40, 50, 3)
    for length in (len(whole) // 3, len(whole) // 2, len(whole) - 60, len(whole) - 2):
        with pytest.raises(ImageError, match=f"cut: the {kind} file is cut off after {length}"):
            images.decode(whole[:length], "cut", size=(40, 50))


@pytest.mark.parametrize("kind", ["WEBP", "BMP", "TIFF"])
def test_other_formats_cut_off_are_refused(kind):
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    whole = encode(PIL.Image.fromarray(noise), kind)
    with pytest.raises(ImageError, match="cut"):
        images.decode(whole[: len(whole) // 2], "cut", size=None)

"""The size of a picture from the head of its file, so that a huge one is refused undecoded.

JPEG (ITU T.81, B.2.2) and PNG (PNG specification, 11.2.2) tell it; of others nothing is known.
"""

PNG_HEAD = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
JPEG_START = b"\xff\xd8"
# Start of frame, all but the markers between them that mean something else (T.81, table B.1).
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
ALONE = frozenset((0x01, *range(0xD0, 0xD9)))  # markers without a length
FILL = 0xFF


def size(encoded: bytes) -> tuple[int, int] | None:
    """Return (height, width) of the stored pixels, or None where the head does not tell."""
    if encoded.startswith(PNG_HEAD) and len(encoded) >= len(PNG_HEAD) + 8:
        width, height = (_number(encoded, len(PNG_HEAD) + 4 * i, 4) for i in range(2))
        return height, width
    return _jpeg_size(encoded) if encoded.startswith(JPEG_START) else None


def _jpeg_size(encoded: bytes) -> tuple[int, int] | None:
    position = len(JPEG_START)
    while position + 9 <= len(encoded) and encoded[position] == FILL:
        marker = encoded[position + 1]
        if marker in FRAMES:
            return _number(encoded, position + 5, 2), _number(encoded, position + 7, 2)
        if marker == FILL:
            position += 1
        elif marker in ALONE:
            position += 2
        else:
            position += 2 + _number(encoded, position + 2, 2)
    return None


def _number(encoded: bytes, position: int, length: int) -> int:
    return int.from_bytes(encoded[position : position + length], "big")

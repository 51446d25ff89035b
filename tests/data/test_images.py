"""Pictures of every mode come out as they look, the right way up and at the right size; broken ones are named."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageOps

from gradus.data.columns import Column, Image
from gradus.data.images import EncodedImages, decode_picture, resize, stack_pictures
from gradus.errors import UserError

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (5, 7), dtype=np.uint8)
COLOUR = RANDOM.integers(0, 256, (5, 7, 3), dtype=np.uint8)
ALPHA = RANDOM.integers(0, 256, (5, 7), dtype=np.uint8)
ALPHA[0, :3] = (0, 128, 255)


def encoded(picture: PillowImage.Image, kind: str = "TIFF", **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def luma(colour: np.ndarray) -> np.ndarray:
    """ITU-R 601: what Pillow calls grey."""
    return colour.astype(float) @ (0.299, 0.587, 0.114)


def on_white(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[:, :, None] / 255
    return colour * share + 255 * (1 - share)


def palette_picture() -> tuple[PillowImage.Image, np.ndarray, np.ndarray]:
    """A picture of four colours by number, its numbers, and the colours."""
    numbers = np.arange(35, dtype=np.uint8).reshape(5, 7) % 4
    colours = np.array([[10, 20, 30], [200, 0, 0], [0, 200, 0], [0, 0, 200]], dtype=np.uint8)
    picture = PillowImage.fromarray(numbers, "L").convert("P")
    picture = PillowImage.frombytes("P", (7, 5), numbers.tobytes())
    picture.putpalette(colours.tobytes())
    return picture, numbers, colours


def mode_cases() -> dict[str, tuple[bytes, np.ndarray]]:
    """name -> (an encoded picture, what it looks like as RGB)."""
    grey3 = np.repeat(GREY[:, :, None], 3, axis=2)
    palette, numbers, colours = palette_picture()
    seen = colours[numbers].astype(float)
    cyan_magenta_yellow_black = np.concatenate([COLOUR // 2, np.full((5, 7, 1), 40, np.uint8)], axis=2)
    deep = GREY.astype(np.uint16) * 257
    deep[0, 0] = 65535
    wide = np.where(deep == 65535, 255.0, GREY)[:, :, None].repeat(3, axis=2)
    return {
        "1": (encoded(PillowImage.fromarray(GREY > 99)), np.where(grey3 > 99, 255, 0)),
        "L": (encoded(PillowImage.fromarray(GREY)), grey3),
        "LA": (
            encoded(PillowImage.merge("LA", [PillowImage.fromarray(GREY), PillowImage.fromarray(ALPHA)]), "PNG"),
            on_white(grey3, ALPHA),
        ),
        "P": (encoded(palette, "PNG"), seen),
        "P transparent": (
            encoded(palette, "PNG", transparency=2),
            np.where((numbers == 2)[:, :, None], 255, seen),
        ),
        "P half transparent": (
            encoded(palette, "PNG", transparency=bytes([255, 128, 0, 255])),
            on_white(seen, np.array([255, 128, 0, 255])[numbers]),
        ),
        "P transparent GIF": (encoded(palette, "GIF", transparency=1), np.where((numbers == 1)[:, :, None], 255, seen)),
        "RGB": (encoded(PillowImage.fromarray(COLOUR)), COLOUR),
        "RGB with one transparent colour": (
            encoded(PillowImage.fromarray(COLOUR), "PNG", transparency=tuple(COLOUR[2, 3].tolist())),
            np.where((COLOUR[2, 3] == COLOUR).all(axis=2, keepdims=True), 255, COLOUR),
        ),
        "RGBA": (encoded(PillowImage.fromarray(np.dstack([COLOUR, ALPHA]))), on_white(COLOUR, ALPHA)),
        "CMYK": (
            encoded(PillowImage.fromarray(cyan_magenta_yellow_black, "CMYK")),
            (1 - cyan_magenta_yellow_black[:, :, :3] / 255) * (1 - 40 / 255) * 255,
        ),
        "I;16": (encoded(PillowImage.fromarray(deep), "PNG"), wide),
        "I": (encoded(PillowImage.fromarray(deep.astype(np.int32))), wide),
        "F": (encoded(PillowImage.fromarray(GREY.astype(np.float32))), grey3),
    }


MODES = mode_cases()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", MODES)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode_looks_as_it_should(name, channels):
    source, wanted = MODES[name]
    found = decode_picture(source, channels, "x.png")
    assert found.shape == (5, 7, channels) and found.dtype == np.uint8
    if channels == 1:
        wanted = luma(wanted)[:, :, None]
    assert np.abs(found.astype(float) - wanted).max() <= 1.5


@pytest.mark.parametrize("name", ["1", "L", "RGB", "P"])
def test_what_needs_no_rounding_is_exact(name):
    source, wanted = MODES[name]
    np.testing.assert_array_equal(decode_picture(source, 3, "x"), wanted)


def test_every_mode_is_stored_as_it_says():
    for name, (source, _) in MODES.items():
        with PillowImage.open(io.BytesIO(source)) as picture:
            assert picture.mode == name.split(" ")[0], name


def test_a_dark_picture_of_16_bits_stays_dark():
    dark = np.array([[0, 200, 255]], dtype=np.uint16)  # of 65535: black to the eye
    assert decode_picture(encoded(PillowImage.fromarray(dark), "PNG"), 1, "x").max() <= 1


def test_a_path_is_read_as_its_bytes_are(tmp_path):
    path = tmp_path / "猫.png"
    path.write_bytes(MODES["RGB"][0])
    np.testing.assert_array_equal(decode_picture(path, 3, "x"), COLOUR)


# EXIF tag 274: what must be done to the stored rows to see the picture upright
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}


def turned(orientation: int, kind: str, **options) -> bytes:
    exif = PillowImage.Exif()
    exif[274] = orientation
    return encoded(PillowImage.fromarray(COLOUR), kind, exif=exif, **options)


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize(("kind", "options"), [("TIFF", {}), ("WEBP", {"lossless": True})], ids=["TIFF", "WEBP"])
def test_pictures_stand_upright(orientation, kind, options):
    found = decode_picture(turned(orientation, kind, **options), 3, "x")
    np.testing.assert_array_equal(found, UPRIGHT[orientation](COLOUR))


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_photographs_stand_upright(orientation):
    stored = np.zeros((16, 32, 3), dtype=np.uint8)
    stored[:8, :16] = 255  # one white corner, in blocks that JPEG keeps
    exif = PillowImage.Exif()
    exif[274] = orientation
    found = decode_picture(encoded(PillowImage.fromarray(stored), "JPEG", exif=exif, quality=95), 3, "x")
    wanted = UPRIGHT[orientation](stored)
    assert found.shape == wanted.shape and np.abs(found.astype(int) - wanted).max() < 20


def test_sizes_come_from_the_headers():
    sources = [MODES["RGB"][0], encoded(PillowImage.new("L", (9, 4)), "PNG")]
    assert list(EncodedImages(sources, ["a", "b"], 3).sizes()) == [(5, 7), (4, 9)]


def test_sizes_are_those_of_the_upright_picture():
    pictures = EncodedImages([turned(6, "WEBP", lossless=True)], ["a"], 3)
    assert list(pictures.sizes()) == [pictures[0].shape[:2]]


def test_encoded_pictures_are_decoded_when_asked_for():
    pictures = EncodedImages([MODES["L"][0], b"no picture", MODES["RGB"][0]], ["a", "b", "c"], 1)
    assert len(pictures) == 3 and pictures[0].shape == (5, 7, 1)
    with pytest.raises(UserError, match=r"^b: "):
        pictures[1]
    taken = pictures.take(np.array([2, 0]))
    assert len(taken) == 2 and list(taken.names) == ["c", "a"]
    np.testing.assert_array_equal(taken[1], pictures[0])


# Sizes

RED, GREEN, BLUE = [200, 0, 0], [0, 200, 0], [0, 0, 200]


def thirds(height: int, width: int) -> np.ndarray:
    """Red, green and blue, side by side."""
    picture = np.empty((height, width, 3), dtype=np.uint8)
    picture[:, : width // 3], picture[:, width // 3 : 2 * width // 3], picture[:, 2 * width // 3 :] = RED, GREEN, BLUE
    return picture


def test_a_picture_of_the_right_size_is_left_alone():
    assert resize(COLOUR, (5, 7)) is COLOUR


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(4, 4), (3, 9), (20, 20), (1, 1)])
def test_every_fit_gives_the_size(fit, channels, size):
    found = resize(np.full((6, 10, channels), 77, np.uint8), size, fit)
    assert found.shape == (*size, channels) and found.dtype == np.uint8
    if fit == "pad":
        assert set(np.unique(found)) <= {0, 77} and 77 in found
    else:
        assert (found == 77).all()


def test_stretch_keeps_the_whole_picture():
    found = resize(thirds(30, 90), (30, 30), "stretch")
    np.testing.assert_array_equal(found[:, :8], np.broadcast_to(RED, (30, 8, 3)))
    np.testing.assert_array_equal(found[:, 12:18], np.broadcast_to(GREEN, (30, 6, 3)))
    np.testing.assert_array_equal(found[:, 22:], np.broadcast_to(BLUE, (30, 8, 3)))


def test_crop_keeps_the_middle():
    np.testing.assert_array_equal(resize(thirds(30, 90), (30, 30), "crop"), np.broadcast_to(GREEN, (30, 30, 3)))
    tall = thirds(30, 90).swapaxes(0, 1)
    np.testing.assert_array_equal(resize(tall, (30, 30), "crop"), np.broadcast_to(GREEN, (30, 30, 3)))
    assert (resize(thirds(60, 180), (30, 30), "crop")[:, 1:-1] == GREEN).all()  # scaled, then cut


@pytest.mark.parametrize("shape", [(30, 90, 3), (50, 20, 1), (7, 7, 3), (64, 96, 3), (33, 47, 1)])
def test_pad_is_pillows(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    picture = PillowImage.fromarray(pixels[:, :, 0] if shape[2] == 1 else pixels)
    expected = np.asarray(ImageOps.pad(picture, (48, 32), PillowImage.Resampling.BILINEAR))
    np.testing.assert_array_equal(resize(pixels, (32, 48), "pad"), expected.reshape(32, 48, -1))


def test_a_very_thin_picture_keeps_a_row():
    assert (resize(np.full((2, 900, 1), 9, dtype=np.uint8), (32, 32), "pad") == 9).sum() == 32


def test_pad_keeps_the_whole_picture_between_black():
    found = resize(thirds(30, 90), (90, 90), "pad")
    assert (found[:30] == 0).all() and (found[60:] == 0).all()
    np.testing.assert_array_equal(found[30:60], thirds(30, 90))
    small = resize(thirds(30, 90), (30, 30), "pad")
    assert (small[:9] == 0).all() and (small[21:] == 0).all() and (small[11:19, 12:18] == GREEN).all()


def test_shrinking_averages_and_does_not_pick():
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)[:, :, None]
    found = resize(board, (8, 8)).astype(int)
    assert np.abs(found - 127).max() < 10  # every pixel of a chessboard is black or white: its average is grey


def test_stacking_brings_all_to_one_size():
    values = [thirds(30, 90), np.full((10, 10, 3), 5, np.uint8)]
    found = stack_pictures(Column(Image(channels=3), values), (30, 30), "crop")
    assert found.shape == (2, 30, 30, 3) and found.dtype == np.uint8
    assert (found[0] == GREEN).all() and (found[1] == 5).all()


def test_stacking_pictures_of_that_size_copies_nothing():
    values = RANDOM.integers(0, 256, (3, 4, 6, 1), dtype=np.uint8)
    assert stack_pictures(Column(Image(channels=1), values), (4, 6)) is values
    assert stack_pictures(Column(Image(channels=1), values), (6, 4)).shape == (3, 6, 4, 1)


def test_stacking_decodes():
    column = Column(Image(channels=3), EncodedImages([MODES["RGB"][0]] * 2, ["a", "b"], 3))
    np.testing.assert_array_equal(stack_pictures(column, (5, 7)), np.stack([COLOUR, COLOUR]))


# Broken pictures


def refused(source: bytes | Path) -> str:
    with pytest.raises(UserError) as told:
        decode_picture(source, 3, "dogs/猫.png")
    message = str(told.value)
    assert message.startswith("dogs/猫.png: ") and "\n" not in message
    return message


def test_an_empty_picture_is_told(tmp_path):
    assert refused(b"").endswith("the picture is empty (zero bytes)")
    path = tmp_path / "x.png"
    path.touch()
    assert refused(path).endswith("the picture is empty (zero bytes)")


def test_a_missing_file_is_told(tmp_path):
    assert refused(tmp_path / "none.png").endswith("there is no such file")


@pytest.mark.parametrize("source", [b"hello", b"\x00" * 100, "文本".encode("gb18030"), b"<svg></svg>"])
def test_what_is_no_picture_is_told(source):
    assert refused(source).endswith("this is not a picture that can be read")


KINDS = ["PNG", "JPEG", "GIF", "BMP", "WEBP", "PPM"]
PHOTOGRAPH = PillowImage.fromarray(RANDOM.integers(0, 256, (20, 30, 3), dtype=np.uint8))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP", "TIFF", "PPM"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_cut_picture_is_told(kind, share, capfd):
    source = encoded(PHOTOGRAPH, kind)
    message = refused(source[: int(len(source) * share)])
    header_alone = "not a picture that can be read" in message and (kind in ("WEBP", "TIFF") or share == 0.5)
    assert "the picture is broken" in message or header_alone


@pytest.mark.parametrize("kind", KINDS)
def test_any_damage_gives_a_picture_or_a_sentence(kind):
    source, random = encoded(PHOTOGRAPH, kind), np.random.default_rng(1)
    told = 0
    for attempt in range(120):
        damaged = bytearray(source)
        if attempt % 3:
            reach = len(damaged) if attempt % 2 else min(len(damaged), 200)
            for place in random.integers(0, reach, 3):
                damaged[place] ^= 1 << int(random.integers(8))
        else:
            damaged = damaged[: int(random.integers(1, len(damaged)))]
        try:
            found = decode_picture(bytes(damaged), 3, "x")
            assert found.ndim == 3 and found.shape[2] == 3 and found.dtype == np.uint8
        except UserError:
            told += 1
    assert told > 20


def test_a_picture_too_large_to_be_honest_is_told(monkeypatch):
    monkeypatch.setattr(PillowImage, "MAX_IMAGE_PIXELS", 100)  # Pillow refuses above twice this
    assert "not a picture that can be read" in refused(encoded(PHOTOGRAPH, "PNG"))

"""PNG and JPEG pictures have the pixels that Pillow reads; what Pillow would change silently is refused or right."""

from __future__ import annotations

import importlib.util
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin
from tests.catalog.readers.recorder import Recorder

from shotdap.catalog import Unreadable
from shotdap.catalog.readers import png_jpeg, read

SHAPES = {"L": (30, 40), "LA": (30, 40, 2), "RGB": (30, 40, 3), "RGBA": (30, 40, 4)}


def make_noise(*shape: int, dtype: str = "u1") -> NDArray[Any]:
    return np.random.default_rng(6).integers(0, np.iinfo(dtype).max, shape).astype(dtype)


def make_png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    """Return a PNG of any kind, by section 5 of the PNG specification."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "quicklook.tif"  # so that the name does not show the format


class TestPixels:
    @pytest.mark.parametrize("mode", SHAPES)
    def test_png(self, path: Path, mode: str) -> None:
        """Gray and colours are read unchanged, with the bands last."""
        Image.fromarray(make_noise(*SHAPES[mode]), mode).save(path, "PNG")
        found = read(path)["image"]

        assert found.dims == ("y", "x", "band")[: found.ndim]
        assert np.array_equal(found.values, make_noise(*SHAPES[mode]))
        assert np.array_equal(found[3:20:5, 7].values, make_noise(*SHAPES[mode])[3:20:5, 7])

    def test_png_of_16_bits(self, path: Path) -> None:
        """Gray of 16 bits keeps its bits."""
        Image.fromarray(make_noise(30, 40, dtype="u2")).save(path, "PNG")

        assert read(path)["image"].dtype == np.uint16
        assert np.array_equal(read(path)["image"].values, make_noise(30, 40, dtype="u2"))

    @pytest.mark.skipif(not importlib.util.find_spec("imagecodecs"), reason="imagecodecs is not installed")
    def test_colours_of_16_bits(self, path: Path) -> None:
        """Colours of 16 bits keep their bits, half of which Pillow alone would drop."""
        colours = make_noise(5, 6, 3, dtype="u2")
        rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in colours)
        path.write_bytes(make_png(6, 5, 16, 2, rows))

        assert np.array_equal(read(path)["image"].values, colours)

    def test_colours_of_16_bits_need_codecs(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without imagecodecs, colours of 16 bits are an error, never colours of 8."""
        path.write_bytes(make_png(6, 5, 16, 2, bytes(5 * 37)))
        monkeypatch.setattr(png_jpeg, "find_spec", lambda _name: None)

        with pytest.raises(Unreadable, match="16 bits for each colour, which needs imagecodecs"):
            read(path)

    def test_palette(self, path: Path) -> None:
        """A palette is applied, and recorded."""
        colours = Image.fromarray(make_noise(30, 40, 3)).quantize(16)
        colours.save(path, "PNG")
        found = read(path)["image"]

        assert np.array_equal(found.values, np.asarray(colours.convert("RGB")))
        assert found.attrs["original_mode"] == "P"

    @pytest.mark.parametrize("mode", ["L", "RGB"])
    def test_jpeg(self, path: Path, mode: str) -> None:
        """A JPEG is decoded as by Pillow."""
        Image.fromarray(make_noise(*SHAPES[mode]), mode).save(path, "JPEG")

        assert np.array_equal(read(path)["image"].values, np.asarray(Image.open(path)))


class TestMeaning:
    def test_attributes(self, tmp_path: Path) -> None:
        """Texts and Exif are attributes."""
        notes = PngImagePlugin.PngInfo()
        notes.add_text("shot", "103741")
        Image.fromarray(make_noise(3, 4)).save(tmp_path / "a", "PNG", pnginfo=notes)
        exif = Image.Exif()
        exif[0x0110] = "Camera 3"
        Image.fromarray(make_noise(3, 4)).save(tmp_path / "b", "JPEG", exif=exif, dpi=(300, 300))

        assert read(tmp_path / "a").attrs["shot"] == "103741"
        assert read(tmp_path / "b").attrs["Exif/Model"] == "Camera 3"
        assert read(tmp_path / "b").attrs["dpi"].tolist() == [300, 300]

    def test_nothing_is_decoded_twice(self, path: Path, recorder: Recorder) -> None:
        """Opening decodes nothing, and the picture is decoded once."""
        Image.fromarray(make_noise(30, 40)).save(path, "PNG")
        image = read(path, recorder)["image"]
        opened = list(recorder.decoded)
        _ = image[3].values, image[5].values

        assert opened == []
        assert recorder.decoded == [("image", 0)]


class TestFaults:
    @pytest.mark.parametrize("side", [9_000, 60_000])
    def test_bomb(self, path: Path, side: int) -> None:
        """A picture with huge dimensions is not decoded."""
        path.write_bytes(make_png(side, side, 8, 0, b""))

        with pytest.raises(Unreadable, match="more than 80,000,000 pixels"):
            read(path)

    def test_checksums(self, path: Path) -> None:
        """A changed pixel is detected, also if the compressed bytes are still valid."""
        content = bytearray(make_png(4, 3, 8, 0, bytes(15)))
        stored = zlib.compress(bytes(15), 0)
        at = content.index(zlib.compress(bytes(15)))
        content[at - 8 : at + len(zlib.compress(bytes(15)))] = struct.pack(">I", len(stored)) + b"IDAT" + stored
        path.write_bytes(content)  # the old checksum with new bytes

        with pytest.raises(Unreadable, match="damaged"):
            _ = read(path)["image"].values

    @pytest.mark.parametrize("format_", ["PNG", "JPEG"])
    def test_damage(self, path: Path, survives: Callable[[Path], None], format_: str) -> None:
        """Damage is an error, or has no effect."""
        Image.fromarray(make_noise(30, 40, 3)).save(path, format_)

        survives(path)

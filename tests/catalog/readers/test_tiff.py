"""TIFF files have the content that tifffile reads, lazily, with axes and attributes; damaged ones are errors."""

from __future__ import annotations

import importlib.util
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from tests.catalog.readers.recorder import Recorder

from shotdap.catalog import Unreadable
from shotdap.catalog.readers import detect_format, read, tiff

KINDS = ("u1", "u2", "u4", "i1", "i2", "i4", "f4", "f8")
HAMAMATSU = (
    '[Application],Date="16/07/2024",Software="HPD-TA",Application=2\r\n'
    '[Camera],AMD=E,Binning="1 x 1",SerialNumber="300442"\r\n'
    '[Acquisition],ExposureTime=10 ms,areSource="0,0,1344,1024",Gain=-1.5e3\r\n'
    '[Streak camera],Time Range="20 ns",Trig. Mode="Single"'
)
needs_codecs = pytest.mark.skipif(not importlib.util.find_spec("imagecodecs"), reason="imagecodecs is not installed")


def make_ramp(*shape: int, dtype: str = "u2") -> NDArray[Any]:
    return np.random.default_rng(5).integers(0, 120, shape).astype(dtype)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "image.hdf"  # so that the name does not show the format


class TestPixels:
    @pytest.mark.parametrize("order", ["<", ">"])
    @pytest.mark.parametrize("kind", KINDS)
    def test_types(self, path: Path, kind: str, order: Literal["<", ">"]) -> None:
        """Every type is read unchanged, in this machine's byte order."""
        image = make_ramp(7, 9, dtype=kind)
        tifffile.imwrite(path, image, byteorder=order)
        found = read(path)

        assert found["image"].dims == ("y", "x")
        assert found["image"].dtype == np.dtype(kind)
        assert np.array_equal(found["image"].values, image)

    @pytest.mark.parametrize(
        "options",
        [
            {"tile": (16, 16)},
            {"rowsperstrip": 3},
            {"bigtiff": True},
            {"compression": "deflate"},
            {"compression": "deflate", "predictor": True},
            {"compression": "packbits"},
            {"compression": "deflate", "tile": (16, 32), "byteorder": ">"},
        ],
        ids=str,
    )
    def test_layouts(self, path: Path, options: Mapping[str, Any]) -> None:
        """Strips, tiles and compressions give the written pixels, whole and in slices."""
        image = make_ramp(40, 50)
        tifffile.imwrite(path, image, **options)
        found = read(path)["image"]

        assert np.array_equal(found[5:31:4, 7].values, image[5:31:4, 7])
        assert np.array_equal(found.values, image)
        assert np.array_equal(found.values, tifffile.imread(path))

    @needs_codecs
    @pytest.mark.parametrize("compression", ["lzw", "zstd"])
    def test_codecs(self, path: Path, compression: str) -> None:
        """With imagecodecs, other compressions are read."""
        image = make_ramp(40, 50)
        tifffile.imwrite(path, image, compression=compression, predictor=True)

        assert np.array_equal(read(path)["image"].values, image)

    @needs_codecs
    def test_jpeg(self, path: Path) -> None:
        """With imagecodecs, JPEG is read as by tifffile."""
        tifffile.imwrite(path, make_ramp(48, 64, 3, dtype="u1"), compression="jpeg", photometric="rgb")

        assert np.array_equal(read(path)["image"].values, tifffile.imread(path))

    @pytest.mark.parametrize("planar", ["contig", "separate"])
    @pytest.mark.parametrize("compression", [None, "deflate"])
    def test_colours(self, path: Path, planar: str, compression: str | None) -> None:
        """Colours are the last dimension, however the file stores them."""
        image = make_ramp(20, 30, 3, dtype="u1")
        stored = image if planar == "contig" else np.ascontiguousarray(np.moveaxis(image, -1, 0))
        tifffile.imwrite(path, stored, photometric="rgb", planarconfig=planar, compression=compression)
        found = read(path)["image"]

        assert found.dims == ("y", "x", "band")
        assert np.array_equal(found.values, image)
        assert np.array_equal(found[3:9, ::7, 1].values, image[3:9, ::7, 1])

    def test_bits_and_half_precision(self, tmp_path: Path) -> None:
        """Single bits are read as bytes, half precision as single precision."""
        bits, halves = make_ramp(9, 16) > 60, make_ramp(9, 16, dtype="f2") / 8
        tifffile.imwrite(tmp_path / "bits", bits)
        tifffile.imwrite(tmp_path / "halves", halves)

        assert np.array_equal(read(tmp_path / "bits")["image"].values, bits.astype("u1"))
        assert read(tmp_path / "halves")["image"].dtype == np.float32
        assert np.array_equal(read(tmp_path / "halves")["image"].values, halves)

    def test_palette(self, path: Path) -> None:
        """The indices into a palette are the picture; the palette is an array beside it."""
        colours = np.arange(768, dtype="u2").reshape(3, 256)
        tifffile.imwrite(path, make_ramp(5, 6, dtype="u1"), photometric="palette", colormap=colours)
        found = read(path)

        assert np.array_equal(found["image"].values, make_ramp(5, 6, dtype="u1"))
        assert np.array_equal(found["palette"].values, colours.T)
        assert found["image"].attrs["palette"] == "palette"


class TestPages:
    @pytest.mark.parametrize("compression", [None, "deflate"])
    def test_frames(self, path: Path, compression: str | None) -> None:
        """Equal pages are frames."""
        stack = make_ramp(5, 20, 30)
        tifffile.imwrite(path, stack, compression=compression, metadata=None)
        found = read(path)

        assert found["frames"].dims == ("frame", "y", "x")
        assert np.array_equal(found["frames"].values, stack)
        assert np.array_equal(found["frames"][1:4:2, 3, ::5].values, stack[1:4:2, 3, ::5])

    def test_unequal_pages(self, path: Path) -> None:
        """Pages that differ are separate arrays."""
        with tifffile.TiffWriter(path) as file:
            file.write(make_ramp(20, 30), metadata=None, software="one")
            file.write(make_ramp(10, 5, dtype="f4"), metadata=None, software="two")
        found = read(path)

        assert found["image_1"].dims == ("image_1_y", "image_1_x")
        assert found["image_1"].attrs["Software"] == "one"
        assert np.array_equal(found["image_2"].values, make_ramp(10, 5, dtype="f4"))
        assert found["image_2"].attrs["Software"] == "two"

    def test_preview(self, path: Path) -> None:
        """A picture with a reduced page is still named image."""
        with tifffile.TiffWriter(path) as file:
            file.write(make_ramp(20, 30), metadata=None)
            file.write(make_ramp(10, 15), metadata=None, subfiletype=1)

        assert set(read(path).data_vars) == {"image", "reduced_1"}

    def test_only_touched_frames_are_decoded(self, path: Path, recorder: Recorder) -> None:
        """Opening decodes nothing, a slice of one frame decodes that frame, and no frame is decoded twice."""
        tifffile.imwrite(path, make_ramp(5, 20, 30), compression="deflate", metadata=None)
        frames = read(path, recorder)["frames"]
        opened = list(recorder.decoded)
        _ = frames[2, :3].values, frames[2, 5:].values

        assert opened == []
        assert recorder.decoded == [("page 2", 0)]

    def test_tags_of_frames(self, path: Path) -> None:
        """A tag that differs between frames has a value for each."""
        with tifffile.TiffWriter(path) as file:
            for second in range(3):
                file.write(make_ramp(8, 9), metadata=None, datetime=f"2026:01:02 03:04:0{second}", software="camera")
        found = read(path)

        assert found.attrs["DateTime"] == [f"2026:01:02 03:04:0{second}" for second in range(3)]
        assert found.attrs["Software"] == "camera"

    def test_imagej_without_pages(self, path: Path) -> None:
        """A stack that ImageJ wrote after a single page is read whole."""
        stack = make_ramp(5, 20, 30)
        tifffile.imwrite(path, stack, imagej=True, metadata={"axes": "TYX"}, byteorder=">")
        with tifffile.TiffFile(path) as file:
            end = file.pages[0].offset + 2 + 12 * len(file.pages[0].tags)  # type: ignore[union-attr]
        content = bytearray(path.read_bytes())
        content[end : end + 4] = bytes(4)  # no next page
        path.write_bytes(content)

        assert np.array_equal(read(path)["frames"].values, stack)


class TestMeaning:
    @pytest.mark.parametrize(
        ("resolution", "unit", "step"),
        [((1200, 600), "inch", (25400 / 600, 25400 / 1200)), ((1000, 1000), "centimeter", (10, 10))],
    )
    def test_resolution(self, path: Path, resolution: tuple[int, int], unit: str, step: tuple[float, float]) -> None:
        """A resolution gives coordinates in um."""
        tifffile.imwrite(path, make_ramp(5, 6), resolution=resolution, resolutionunit=unit)
        found = read(path)

        assert found["y"].values == pytest.approx(np.arange(5) * step[0])
        assert found["x"].values == pytest.approx(np.arange(6) * step[1])
        assert found["x"].attrs["units"] == "um"

    @pytest.mark.parametrize("dpi", [72, 96])
    def test_default_resolution(self, path: Path, dpi: int) -> None:
        """The resolution that programs write by default is ignored."""
        tifffile.imwrite(path, make_ramp(5, 6), resolution=(dpi, dpi), resolutionunit="inch")
        found = read(path)

        assert found["x"].values.tolist() == list(range(6))
        assert found["x"].attrs["units"] == "pixel"
        assert found.attrs["XResolution"] == dpi

    def test_imagej(self, path: Path) -> None:
        """ImageJ's unit gives coordinates, and its notes are attributes."""
        metadata = {"unit": "micron", "Info": "shot 7", "spacing": 2.5}
        tifffile.imwrite(path, make_ramp(2, 5, 6), imagej=True, resolution=(0.5, 0.25), metadata=metadata)
        found = read(path)

        assert found["y"].values.tolist() == [0, 4, 8, 12, 16]
        assert found["x"].values.tolist() == [0, 2, 4, 6, 8, 10]
        assert (found.attrs["ImageJ/unit"], found.attrs["ImageJ/Info"]) == ("micron", "shot 7")
        assert found.attrs["ImageJ/spacing"] == 2.5

    def test_hamamatsu(self, path: Path) -> None:
        """Hamamatsu's sections are attributes; its quoted values are text."""
        tifffile.imwrite(path, make_ramp(5, 6), description=HAMAMATSU, metadata=None, software="HPD-TA 9.4")
        attributes = read(path).attrs

        assert attributes["ImageDescription"] == HAMAMATSU
        assert attributes["Software"] == "HPD-TA 9.4"
        assert attributes["Application/Application"] == 2
        assert attributes["Camera/SerialNumber"] == "300442"
        assert attributes["Acquisition/ExposureTime"] == "10 ms"
        assert attributes["Acquisition/areSource"] == "0,0,1344,1024"
        assert attributes["Acquisition/Gain"] == -1500
        assert attributes["Streak camera/Trig. Mode"] == "Single"

    def test_tags_keep_their_types(self, path: Path) -> None:
        """A tag's number has the tag's type."""
        tifffile.imwrite(path, make_ramp(5, 6), metadata=None, extratags=[(65000, 12, 1, 0.1, True)])
        attributes = read(path).attrs

        assert attributes["BitsPerSample"].dtype == np.uint16
        assert (attributes["tag_65000"], attributes["tag_65000"].dtype) == (0.1, np.float64)

    def test_visar(self, data_file: Callable[[str], Path]) -> None:
        """A real VISAR image has the content that tifffile reads."""
        path = data_file("real/visar1.tif")
        found = read(path)

        assert found["image"].shape == (1024, 1344)
        assert found["image"].values.sum(dtype="u8") == tifffile.imread(path).sum(dtype="u8")
        assert found.attrs["Streak camera/Time Range"] == "20 ns"
        assert found["x"].attrs["units"] == "pixel"


class TestFaults:
    def test_needs_codecs(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without imagecodecs, a file that needs it gives an error that says so."""
        if importlib.util.find_spec("imagecodecs"):
            tifffile.imwrite(path, make_ramp(5, 6), compression="lzw")
        else:
            pytest.skip("a file compressed by LZW cannot be made without imagecodecs")
        monkeypatch.setattr(tiff, "find_spec", lambda _name: None)

        with pytest.raises(Unreadable, match=r"This TIFF is compressed by LZW, which needs imagecodecs: install"):
            read(path)

    def test_missing_pages(self, path: Path) -> None:
        """A file whose chain of pages leads beyond its end is refused, not read with fewer frames."""
        tifffile.imwrite(path, make_ramp(5, 20, 30), metadata=None)
        with tifffile.TiffFile(path) as file:
            end = file.pages[1].offset + 2 + 12 * len(file.pages[1].tags)  # type: ignore[union-attr]
        content = bytearray(path.read_bytes())
        content[end : end + 4] = (10**6).to_bytes(4, "little")
        path.write_bytes(content)

        with pytest.raises(Unreadable, match="chain of pages is broken"):
            read(path)

    def test_bomb(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A strip that inflates to far more than the page is not inflated."""
        tifffile.imwrite(path, np.zeros((64, 64), "u1"), compression="deflate", rowsperstrip=64)
        bomb = zlib.compress(bytes(8 << 20))
        content = bytearray(path.read_bytes())
        with tifffile.TiffFile(path) as file:
            page = file.pages[0]
            tags = page.tags  # type: ignore[union-attr]
            for name, value in (("StripOffsets", len(content)), ("StripByteCounts", len(bomb))):
                tag = tags[name]
                content[tag.offset + 2 : tag.offset + 12] = (
                    (4).to_bytes(2, "little") + (1).to_bytes(4, "little") + value.to_bytes(4, "little")
                )
        path.write_bytes(bytes(content) + bomb)
        monkeypatch.setattr(tiff, "_MAX_PAGE_SIZE", 1 << 20)

        with pytest.raises(Unreadable, match="inflates to more than its pixels"):
            _ = read(path)["image"].values

    @pytest.mark.parametrize("options", [{}, {"compression": "deflate", "tile": (16, 16)}, {"imagej": True}], ids=str)
    def test_damage(self, path: Path, survives: Callable[[Path], None], options: Mapping[str, Any]) -> None:
        """Damage is an error, or has no effect."""
        tifffile.imwrite(path, make_ramp(2, 30, 40), **options)

        survives(path)

    @pytest.mark.parametrize("options", [{"bigtiff": True}, {"byteorder": ">"}, {}], ids=str)
    def test_sniff(self, path: Path, options: Mapping[str, Any]) -> None:
        """Every kind of TIFF is recognised by its first bytes."""
        tifffile.imwrite(path, make_ramp(5, 6), **options)

        assert detect_format(path) == "TIFF"

"""HDF4 files: every number type, layout and kind of image, lazily; damage; many threads."""

from __future__ import annotations

import struct
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from numpy.typing import NDArray
from pyhdf import VS  # noqa: F401 — HDF.vstart needs it
from pyhdf.HDF import HC, HDF
from pyhdf.SD import SD, SDC
from tests.catalog.readers.hdf4_writer import (
    DEFLATE,
    IMCOMP,
    JPEG,
    LITTLE,
    NATIVE,
    NBIT,
    RLE,
    SKPHUFF,
    TYPES,
    Layout,
    annotate,
    rasters,
    sds_file,
    write_old_raster,
)  # fmt: skip
from tests.catalog.readers.recorder import Recorder
from tests.strategies import index_each, indexers, make_numbered

from shotdap.catalog import Missing, Unreadable
from shotdap.catalog.readers import read
from shotdap.catalog.readers.hdf4 import library, scientific
from shotdap.catalog.readers.lazy import FrameCache

Array = NDArray[Any]

LAYOUTS: Final = {
    "plain": Layout(),
    "unlimited": Layout(unlimited=True),
    "chunked": Layout(chunk=(1, 3, 4)),
    "deflated": Layout(DEFLATE, 6),
    "deflated chunks": Layout(DEFLATE, 6, chunk=(2, 2, 3)),
    "frames": Layout(DEFLATE, 6, chunk=(1, 5, 6)),
    "RLE": Layout(RLE),
    "RLE chunks": Layout(RLE, chunk=(1, 5, 4)),
    "Huffman": Layout(SKPHUFF, 2),
    "Huffman chunks": Layout(SKPHUFF, 2, chunk=(1, 5, 6)),
}
SHAPE: Final = (4, 5, 6)


def make_noise(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, 2**16, shape).astype("u2")


class TestStorage:
    @pytest.mark.parametrize("order", [0, LITTLE, NATIVE], ids=["big", "little", "native"])
    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_types(self, tmp_path: Path, layout: str, order: int) -> None:
        """Numbers of every type and byte order are read as they were written, in every layout."""
        written = {kind: np.resize(make_extremes(kind), SHAPE) for kind in TYPES}
        with sds_file(tmp_path / "image") as file:
            for kind, values in written.items():
                file.put(kind, values, LAYOUTS[layout], number_type=TYPES[kind] | order)
        dataset = read(tmp_path / "image")

        for kind, values in written.items():
            assert dataset[kind].dtype == np.dtype(kind)
            assert np.array_equal(dataset[kind].values, values)

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_any_indexing(self, tmp_path: Path, layout: str) -> None:
        """Every kind of indexing returns the same as NumPy."""
        whole = make_numbered(*SHAPE)
        with sds_file(tmp_path / "image") as file:
            file.put("image", whole, LAYOUTS[layout])
        found = read(tmp_path / "image", FrameCache(1 << 20).get_memo("file")).variables["image"]

        @settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
        @given(indexers(whole.shape))
        def check(indices: tuple[Any, ...]) -> None:
            assert np.array_equal(found[indices].values, index_each(whole, indices))

        check()

    def test_some_bits_of_each_number(self, tmp_path: Path) -> None:
        """Numbers of which only the lowest 12 bits are stored are read without the others."""
        with sds_file(tmp_path / "image") as file:
            file.put("image", make_noise(3, 4), Layout(NBIT, 12))

        assert np.array_equal(read(tmp_path / "image").image.values, make_noise(3, 4) & 0xFFF)

    @pytest.mark.parametrize("layout", ["plain", "deflated", "frames", "chunked", "RLE"])
    def test_fill_values(self, tmp_path: Path, layout: str) -> None:
        """Values that were never written are the fill value."""
        whole = make_numbered(*SHAPE, dtype="i2")
        with sds_file(tmp_path / "image") as file:
            file.put("image", whole, LAYOUTS[layout], written=2)
            file.put("nothing", whole, LAYOUTS[layout], written=0)
        sd = SD(str(tmp_path / "image"))
        filled = sd.select(0).get()
        sd.end()
        dataset = read(tmp_path / "image").load()

        assert np.array_equal(dataset.image.values[:2], whole[:2])
        assert np.array_equal(dataset.image.values, filled)
        assert set(dataset.nothing.values.flat) <= {0, -32767}  # NC_FILL_SHORT, netcdf.h

    @pytest.mark.parametrize("layout", ["chunked", "deflated chunks", "frames", "RLE chunks", "Huffman chunks"])
    def test_chunks_touched(self, tmp_path: Path, recorder: Recorder, layout: str) -> None:
        """A slice decodes only the chunks that it touches, each once."""
        chunk = LAYOUTS[layout].chunk
        with sds_file(tmp_path / "image") as file:
            file.put("image", make_numbered(*SHAPE), LAYOUTS[layout])
        image = read(tmp_path / "image", recorder).image
        for _ in range(2):
            _ = image[1, 1:4, 5].values

        assert len(recorder.decoded) == len({row // chunk[1] for row in range(1, 4)})

    @pytest.mark.parametrize("layout", ["frames", "Huffman chunks"])
    def test_one_frame_of_two(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str) -> None:
        """Reading one frame of two takes one call of the library, or none if the frame is deflated."""
        readings: list[str] = []
        for name in ("read_hyperslab", "get_byte_ranges"):
            monkeypatch.setattr(library, name, record_calls(getattr(library, name), name, readings))
        with sds_file(tmp_path / "image") as file:
            file.put("image", make_numbered(2, 5, 6), LAYOUTS[layout])
        image = read(tmp_path / "image").image
        readings.clear()

        assert np.array_equal(image[1].values, make_numbered(2, 5, 6)[1])
        assert readings == {"frames": [], "Huffman chunks": ["read_hyperslab"]}[layout]

    @pytest.mark.parametrize("coder", [0, DEFLATE, RLE, SKPHUFF])
    def test_many_small_chunks(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, coder: int) -> None:
        """An array of a thousand small chunks takes a few calls of the library, not one for each chunk."""
        openings: list[str] = []
        monkeypatch.setattr(
            library, "open_scientific_data", record_calls(library.open_scientific_data, "scientific", openings)
        )
        with sds_file(tmp_path / "image") as file:
            file.put("image", make_noise(50, 20, 30), Layout(coder, 2, chunk=(1, 1, 30)))
        image = read(tmp_path / "image").image

        assert np.array_equal(image.values, make_noise(50, 20, 30))
        assert np.array_equal(image[7, 3:5].values, make_noise(50, 20, 30)[7, 3:5])
        assert len(openings) < 5

    @pytest.mark.parametrize("layout", ["plain", "unlimited"])
    def test_uncompressed_arrays_are_not_cached(self, tmp_path: Path, recorder: Recorder, layout: str) -> None:
        """Of an uncompressed array only the slice is read."""
        with sds_file(tmp_path / "image") as file:
            file.put("image", make_numbered(*SHAPE), LAYOUTS[layout])
        image = read(tmp_path / "image", recorder).image

        assert np.array_equal(image[1, ::2, 1:3].values, make_numbered(*SHAPE)[1, ::2, 1:3])
        assert recorder.decoded == []

    def test_characters(self, tmp_path: Path) -> None:
        """Rows of characters are texts."""
        names = np.array([b"one", b"three", "größe".encode(), b""], "S7")
        with sds_file(tmp_path / "image") as file:
            file.put("names", names.view("u1").reshape(4, 7), number_type=4)
            file.put("packed", names.view("u1").reshape(4, 7), Layout(DEFLATE, 6, (2, 7)), number_type=4)
            file.put("title", np.frombuffer(b"a title", "u1"), number_type=4)
        dataset = read(tmp_path / "image")

        assert dataset.names.values.tolist() == ["one", "three", "größe", ""]
        assert dataset.names[1:3].values.tolist() == ["three", "größe"]
        assert dataset.packed.values.tolist() == dataset.names.values.tolist()
        assert dataset.title.values.item() == "a title"

    def test_never_written(self, tmp_path: Path) -> None:
        """An array that was never written is marked as such, because its numbers have no meaning."""
        with sds_file(tmp_path / "image") as file:
            file.put("image", make_numbered(4))
            file.put("nothing", make_numbered(4), written=0)
        dataset = read(tmp_path / "image")

        assert dataset.nothing.attrs == {"never_written": 1}
        assert dataset.image.attrs == {}


class TestNames:
    def test_arrays_of_one_name_are_cached_separately(self, tmp_path: Path, recorder: Recorder) -> None:
        """Two compressed arrays of one name stay two."""
        with sds_file(tmp_path / "image") as file:
            for number in range(2):
                file.put("twin", make_noise(2, 3, seed=number), LAYOUTS["deflated"])
        dataset = read(tmp_path / "image", recorder)

        assert np.array_equal(dataset.twin.values, make_noise(2, 3, seed=0))
        assert np.array_equal(dataset.twin_2.values, make_noise(2, 3, seed=1))
        assert dataset.twin_2.attrs == {"original_name": "twin"}

    def test_unlimited_dimensions_of_one_name(self, tmp_path: Path) -> None:
        """Arrays that grow along one dimension may have different lengths."""
        file = SD(str(tmp_path / "image"), SDC.WRITE | SDC.CREATE)
        for name, records in (("short", 2), ("long", 3)):
            sds = file.create(name, SDC.INT16, (SDC.UNLIMITED, 2))
            sds.dim(0).setname("shot")
            sds[:records] = make_numbered(records, 2, dtype="i2")
            sds.endaccess()
        file.end()
        dataset = read(tmp_path / "image")

        assert (dataset.short.shape, dataset.long.shape) == ((2, 2), (3, 2))
        assert (dataset.short.dims[0], dataset.long.dims[0]) == ("shot", "long_0")

    def test_units_without_a_scale(self, tmp_path: Path) -> None:
        """The attributes of a dimension without a scale become those of its arrays."""
        file = SD(str(tmp_path / "image"), SDC.WRITE | SDC.CREATE)
        sds = file.create("image", SDC.UINT16, (2, 3))
        sds[:] = make_numbered(2, 3)
        sds.dim(1).setname("position")
        sds.dim(1).setstrs("along the slit", "um", "")
        sds.endaccess()
        file.end()
        dataset = read(tmp_path / "image")

        assert list(dataset.variables) == ["image"]
        assert dataset.image.attrs["position_units"] == "um"


class TestRasters:
    def test_images(self, tmp_path: Path) -> None:
        """Images of any type are arrays (y, x) or (y, x, band), with attributes, beside a file's other arrays."""
        colours, gray, small = (
            make_noise(4, 3, 3),
            make_numbered(4, 3, 1, dtype="f4"),
            make_numbered(2, 2, 1, dtype="i4"),
        )
        with sds_file(tmp_path / "image") as file:
            file.put("gray scale", make_numbered(5))
        with rasters(tmp_path / "image") as file:
            file.put("gray scale", gray)
            file.put("colours", colours, label="a picture", coder=DEFLATE)
            file.put("small", small)
        dataset = read(tmp_path / "image")

        assert {str(name): values.dims for name, values in dataset.items()} == {
            "gray_scale": ("gray_scale_0",), "gray_scale_2": ("y", "x"), "colours": ("y", "x", "band"),
            "small": ("small_y", "small_x"),
        }  # fmt: skip
        assert np.array_equal(dataset.gray_scale_2.values, gray[..., 0])
        assert np.array_equal(dataset.colours[1:, ::2, 1].values, colours[1:, ::2, 1])
        assert np.array_equal(dataset.small.values, small[..., 0])
        assert dataset.colours.attrs == {"label": "a picture"}

    @pytest.mark.parametrize(("height", "width"), [(8, 12), (11, 12), (8, 13), (11, 15), (3, 5), (4, 3)])
    def test_imcomp(self, tmp_path: Path, height: int, width: int) -> None:
        """An image compressed by IMCOMP has its colours; omitted rows and columns are 0, and recorded."""
        blocks = np.repeat(np.repeat(make_noise(4, 4) % 200, 4, 0), 4, 1)[:height, :width]
        values = (blocks + 16 * (make_noise(16, 16, seed=1) % 2)[:height, :width]).astype("u1")
        grays = np.repeat(np.arange(256, dtype="u1")[:, np.newaxis], 3, 1)
        write_old_raster(tmp_path / "image", values, IMCOMP, grays)
        dataset = read(tmp_path / "image")
        found, colours = dataset.Raster_Image__0, dataset.Raster_Image__0_palette.values
        inner = (slice(height // 4 * 4), slice(width // 4 * 4))

        assert np.array_equal(colours[found.values[inner]][..., 0], values[inner] & 0xF8)  # IMCOMP keeps five bits
        assert found.sum() == found[inner].sum()
        assert ("never_written" in found.attrs) == (height % 4 + width % 4 > 0)

    def test_dimensions_are_not_those_of_a_scale(self, tmp_path: Path) -> None:
        """An image does not get the axis of another array that happens to have the name y."""
        file = SD(str(tmp_path / "image"), SDC.WRITE | SDC.CREATE)
        sds = file.create("film", SDC.UINT16, (4,))
        sds.dim(0).setname("y")
        sds.dim(0).setscale(SDC.FLOAT32, [0.0, 0.5, 1.0, 1.5])
        sds.endaccess()
        file.end()
        with rasters(tmp_path / "image") as images:
            images.put("image", make_noise(4, 4, 1))
        dataset = read(tmp_path / "image")

        assert dataset.film.dims == ("y",)
        assert dataset.image.dims == ("image_y", "image_x")

    def test_palette(self, tmp_path: Path) -> None:
        """An image's palette is an array beside it."""
        palette = np.random.default_rng(1).integers(0, 256, (256, 3)).astype("u1")
        with rasters(tmp_path / "image") as file:
            file.put("the image", make_numbered(2, 3, 1, dtype="u1"), palette=palette)
        dataset = read(tmp_path / "image")

        assert dataset.the_image.attrs["palette"] == "the_image_palette"
        assert np.array_equal(dataset.the_image_palette.values, palette)

    @pytest.mark.parametrize("number", [0, 1, 2], ids=["by pixel", "by line", "by component"])
    def test_interlaced(self, data_file: Callable[[str], Path], number: int) -> None:
        """24-bit images that are interlaced by line or component, as by the older interface, are read in order."""
        image = read(data_file("odd/tdf24.hdf"))[f"Raster_Image__{number}"]
        y, x = np.mgrid[:15, :13]
        expected = (x + y, x | y, x ^ y)[number]

        assert image.shape == (15, 13, 3)
        assert all(np.array_equal(image[..., band].values, image[..., 0].values) for band in range(3))
        assert np.array_equal(image[..., 0].values, expected)

    def test_jpeg_is_left_out(self, tmp_path: Path) -> None:
        """A JPEG in HDF4 is omitted and listed, because the library would end the process for a damaged one."""
        with rasters(tmp_path / "image") as file:
            file.put("photo", np.zeros((16, 16, 3), "u1"), coder=JPEG)
            file.put("image", make_numbered(2, 3, 1, dtype="u1"))
        dataset = read(tmp_path / "image")

        assert list(dataset.variables) == ["image"]
        assert dataset.omitted.startswith("photo: it is a JPEG inside HDF4")


class TestTexts:
    def test_annotations(self, tmp_path: Path) -> None:
        """Annotations of the file and of an array are attributes."""
        path = tmp_path / "image"
        with sds_file(path) as file:
            file.put("image", make_numbered(2, 3))
        with library.open_scientific_data(path) as opened, library.select_sds(opened, 0) as sds:
            reference = library.get_reference(sds)
        annotate(path, "Taken in the dark.", sds=reference, label="dark")
        dataset = read(path)

        assert dataset.attrs == {"file_description": "Taken in the dark."}
        assert dataset.image.attrs == {"label": "dark"}

    @pytest.mark.parametrize("alone", [True, False])
    def test_tables(self, tmp_path: Path, *, alone: bool) -> None:
        """A table is omitted and listed; for a file without anything else, the error says what it lacks."""
        path = tmp_path / "image"
        if not alone:
            with sds_file(path) as sds:
                sds.put("image", make_numbered(2, 3))
        file = HDF(str(path), HC.WRITE | (HC.CREATE if alone else 0))
        tables = file.vstart()
        table = tables.create("beams", (("energy", HC.FLOAT32, 1),))
        table.write([[1.0], [2.0]])
        table.detach()
        tables.end()
        file.close()

        if alone:
            with pytest.raises(Unreadable, match="neither a scientific data set nor a raster image"):
                read(path)
        else:
            assert read(path).omitted == "beams: it is a table (Vdata), which is not read"


class TestDamage:
    def test_flipped_bits_of_compressed_values(self, tmp_path: Path) -> None:
        """No relevant bit of a deflated frame can flip undetected: one bit of each byte of its stream is tried."""
        path = tmp_path / "image"
        with sds_file(path) as file:
            file.put("image", make_noise(2, 9, 8), Layout(DEFLATE, 6, (1, 9, 8)))
        with library.open_scientific_data(path) as opened, library.select_sds(opened, 0) as sds:
            ((offset, length),) = library.get_byte_ranges(sds, [1, 0, 0])
        whole, unnoticed = path.read_bytes(), 0
        for place in range(offset, offset + length):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << place % 8
            path.write_bytes(flipped)
            dataset = read(path)

            assert np.array_equal(dataset.image[0].values, make_noise(2, 9, 8)[0])
            try:
                assert np.array_equal(dataset.image[1].values, make_noise(2, 9, 8)[1])  # a bit of padding
                unnoticed += 1
            except Unreadable as error:
                assert "damaged" in str(error)  # noqa: PT017 — either is right

        assert unnoticed < 4

    @pytest.mark.parametrize("size", [0, 64, 2, -1024])
    def test_cut_short(self, tmp_path: Path, size: int) -> None:
        """A file that lost its end is refused when it is opened."""
        path = tmp_path / "image"
        with sds_file(path) as file:
            file.put("image", make_noise(40, 40))
        path.write_bytes(b"\x0e\x03\x13\x01" + path.read_bytes()[4:][:size])

        with pytest.raises(Unreadable, match=r"cut short|damaged"):
            read(path)

    def test_circle(self, tmp_path: Path) -> None:
        """A cyclic directory, which the library would follow forever, is refused."""
        path = tmp_path / "image"
        with sds_file(path) as file:
            file.put("image", make_numbered(3))
        data = bytearray(path.read_bytes())
        data[6:10] = struct.pack(">I", 4)
        path.write_bytes(data)

        with pytest.raises(Unreadable, match="in a circle"):
            read(path)

    def test_values_in_other_files(self, tmp_path: Path) -> None:
        """A file whose values are in another file is refused, because that may be any file of the server."""
        (tmp_path / "secret").write_bytes(bytes(6))
        file = SD(str(tmp_path / "image"), SDC.WRITE | SDC.CREATE)
        sds = file.create("image", SDC.UINT8, (6,))
        sds.setexternalfile(str(tmp_path / "secret"), 0)
        sds[:] = np.arange(6, dtype="u1")
        sds.endaccess()
        file.end()

        with pytest.raises(Unreadable, match="in other files"):
            read(tmp_path / "image")

    @pytest.mark.parametrize("layout", ["deflated", "frames", "RLE"])
    def test_bomb(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str) -> None:
        """An array that would decode to more than the limit is omitted, and not decoded."""
        monkeypatch.setattr(scientific, "_MAX_CHUNK_SIZE", 59)
        with sds_file(tmp_path / "image") as file:
            file.put("bomb", np.zeros(SHAPE, "u2"), LAYOUTS[layout])

        assert read(tmp_path / "image").omitted.startswith("bomb: a piece of it would decode to more than")

    def test_headers_that_contradict_each_other(self, tmp_path: Path) -> None:
        """A header that would mislead the library is refused before the library reads it."""
        path = tmp_path / "image"
        with sds_file(path) as file:
            file.put("image", make_numbered(*SHAPE), Layout(DEFLATE, 6, (2, 5, 6)))
        chunked = struct.pack(">III", 1, SHAPE[0], 2)
        data = path.read_bytes()

        assert data.count(chunked) == 1
        path.write_bytes(data.replace(chunked, struct.pack(">III", 1, SHAPE[0], 0)))
        with pytest.raises(Unreadable, match="contradict"):
            read(path)

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_changed_after_opening(self, tmp_path: Path, layout: str) -> None:
        """A file that is changed or removed after it was opened gives an error, not another file's numbers."""
        path = tmp_path / "image"
        with sds_file(path) as file:
            file.put("image", make_numbered(*SHAPE), LAYOUTS[layout])
        dataset = read(path)
        path.write_bytes(path.read_bytes() + b"\0")
        with pytest.raises(Unreadable, match="has changed"):
            dataset.load()
        path.unlink()

        with pytest.raises(Missing):
            dataset.load()


class TestThreads:
    def test_many_threads(self, tmp_path: Path) -> None:
        """Thirty-two threads over eight files, with every layout, read correct numbers."""
        written = [make_noise(*SHAPE, seed=number) for number in range(8)]
        layouts = [*LAYOUTS.values()]
        for number, image in enumerate(written):
            with sds_file(tmp_path / str(number)) as file:
                file.put("image", image, layouts[number])
                file.put("other", image[0], layouts[0])
            with rasters(tmp_path / str(number)) as images:
                images.put("raster", np.ascontiguousarray(image[1][..., np.newaxis]))
        cache = FrameCache(2000)

        def check(turn: int) -> bool:
            number, frame = turn % 8, turn % 4
            dataset = read(tmp_path / str(number), cache.get_memo(number))
            return (
                np.array_equal(dataset.image[frame, 1:].values, written[number][frame, 1:])
                and np.array_equal(dataset.other.values, written[number][0])
                and np.array_equal(dataset.raster.values, written[number][1])
            )

        with ThreadPoolExecutor(32) as pool:
            outcomes = list(pool.map(check, range(800)))

        assert all(outcomes)

    @pytest.mark.parametrize("layout", [Layout(SKPHUFF, 2), Layout(DEFLATE, 1)], ids=["Huffman", "deflated"])
    def test_others_go_on(self, tmp_path: Path, layout: Layout) -> None:
        """While one thread decodes, another runs."""
        written = make_noise(2000, 2000) >> 6
        with sds_file(tmp_path / "image") as file:
            file.put("image", written, layout)
        image = read(tmp_path / "image").image
        reading = threading.Thread(target=image.load)
        reading.start()
        turns = 0
        while reading.is_alive():
            turns += 1
            time.sleep(0.001)

        assert np.array_equal(image.values, written)
        assert turns >= 5


ODD: Final = {
    "General_RImages.hdf": ("dumpgr", {"Image_Array_1": 0}),
    "Image_with_Palette.hdf": ("dumpgr", {"Image_with_Palette": 0}),
    "testgr1.hdf": ("dumpgr", {f"GR_DFNT_{kind}": number for number, kind in enumerate(
        ["INT32", "UINT32", "INT16", "UINT16", "INT8", "UINT8", "FLOAT32", "FLOAT64"]
    )}),
    "tdf24.hdf": ("dumprig", {f"Raster_Image__{number}": number for number in range(3)}),
    "litend.dat": ("dumpsds", {f"Data_Set_{number}": 2 + 3 * (number - 2) for number in range(2, 10)}),
    "SDSlongname.hdf": ("dumpsds", {
        "The_name_of_this_dataset_is_long_and_it_is_used_to_test_the_new_variable_length_name_feature_": 0, "A": 1,
    }),
    "special_char_var_attr_sds.hdf": ("dumpsds", {"sds": 0}),
    "SDS_fillchunk_alltypes.hdf": ("dumpsds", {f"SDS_fc_{kind}": number for number, kind in enumerate(
        ["int8", "uint16", "int32", "float32", "float64"]
    )}),
    "SDS_unlimited.hdf": ("dumpsds", {"AppendableData": 0}),
}  # fmt: skip


class TestOddFiles:
    @pytest.mark.parametrize("name", ODD)
    def test_as_hdp(self, data_file: Callable[[str], Path], require: Callable[[str], None], name: str) -> None:
        """Odd files give the numbers that the HDF4 tools print."""
        require("hdp")
        command, arrays = ODD[name]
        dataset = read(data_file(f"odd/{name}"))
        for array, number in arrays.items():
            assert_as_hdp(dataset[array].values, command, data_file(f"odd/{name}"), number)

    def test_image_of_characters(self, data_file: Callable[[str], Path]) -> None:
        """An image of characters is an image of bytes."""
        image = read(data_file("odd/General_RImages.hdf")).Image_Array_2

        assert image.values.tobytes() == b"ABC" * 24

    def test_no_records(self, data_file: Callable[[str], Path]) -> None:
        """Forty arrays, many without records, are all read."""
        dataset = read(data_file("odd/sds_empty_many.hdf")).load()

        assert len(dataset.variables) == 40
        assert {values.shape[0] for values in dataset.values()} >= {0}

    def test_szip(self, data_file: Callable[[str], Path]) -> None:
        """An array compressed by szip is read, or the error says that it needs szip."""
        dataset = read(data_file("odd/sds_szipped.dat"))
        if library.can_decode_szip():
            assert dataset.TwoDimsInt32.shape == (16, 5)
        else:
            assert dataset.omitted == ("TwoDimsInt32: it is compressed by szip, which the HDF4 library at hand lacks")


def assert_as_hdp(values: Array, command: str, path: Path, number: int) -> None:
    which = ["-r", str(number + 2)] if command == "dumprig" else ["-i", str(number)]
    done = subprocess.run(["hdp", command, "-d", *which, str(path)], check=True, capture_output=True, text=True)
    if "No data written" in done.stdout:
        assert values.min() == values.max()
        return
    printed = np.array(done.stdout.split(), dtype="f8")

    assert printed.size == values.size
    assert np.allclose(printed, values.reshape(-1).astype("f8"), rtol=1e-5, atol=1e-6, equal_nan=True)


def make_extremes(kind: str) -> Array:
    dtype = np.dtype(kind)
    if dtype.kind == "f":
        return np.array([np.inf, -np.inf, -0.0, 0.1, np.finfo(dtype).max, np.finfo(dtype).tiny, 1e6], dtype)
    info = np.iinfo(dtype)
    return np.array([info.min, info.max, 0, 1, info.max // 2, 77, 13], dtype)


def record_calls(function: Callable[..., Any], name: str, readings: list[str]) -> Callable[..., Any]:
    def count(*arguments: Any) -> Any:  # noqa: ANN401 — whatever the function takes
        readings.append(name)
        return function(*arguments)

    return count

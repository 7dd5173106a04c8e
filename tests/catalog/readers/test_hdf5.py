"""Features of HDF5 beyond arrays of numbers are converted, or omitted with a note."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.catalog.readers.recorder import Recorder

from shotdap.catalog.readers import read

PEAKS = np.array([(1, 0.5, b"one"), (2, 1.5, b"two")], [("number", ">i2"), ("time", "<f8"), ("name", "S3")])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "image.hdf"


class TestCompounds:
    def test_fields(self, path: Path) -> None:
        """A table is an array for each field, along one dimension."""
        with h5py.File(path, "w") as file:
            file["shot/peaks"] = PEAKS
        found = read(path)

        assert set(found.variables) == {"shot/peaks_number", "shot/peaks_time", "shot/peaks_name"}
        assert found["shot/peaks_number"].values.tolist() == [1, 2]
        assert found["shot/peaks_time"][1:].values.tolist() == [1.5]
        assert found["shot/peaks_name"].values.tolist() == ["one", "two"]
        assert {array.dims for array in found.values()} == {("shot/peaks_0",)}
        assert found["shot/peaks_time"].attrs["field_of"] == "shot/peaks"

    def test_nested(self, path: Path) -> None:
        """A field that is no number or text is omitted with a note; a field whose name is taken gets another."""
        with h5py.File(path, "w") as file:
            file["a"] = np.zeros(3, [("x", "f4"), ("inner", [("y", "f4")]), ("many", "f4", (2,))])
            file["a_x"] = 7
        found = read(path)

        assert set(found.variables) == {"a_x", "a_x_"}
        assert found["a_x"].values == 7
        assert "a.inner: no protocol carries its type of compound values" in found.attrs["omitted"]
        assert "a.many: " in found.attrs["omitted"]

    def test_attributes(self, path: Path) -> None:
        """A compound attribute becomes an attribute for each field."""
        with h5py.File(path, "w") as file:
            file.attrs["origin"] = PEAKS[0]

        assert {name: read(path).attrs[name] for name in ("origin_number", "origin_time", "origin_name")} == {
            "origin_number": 1,
            "origin_time": 0.5,
            "origin_name": "one",
        }


class TestReferences:
    def test_objects(self, path: Path) -> None:
        """References to objects become their paths, in arrays and in attributes, except DIMENSION_LIST."""
        with h5py.File(path, "w") as file:
            image = file.create_dataset("camera/image", data=np.zeros((2, 3)))
            scale = file.create_dataset("x", data=np.arange(3))
            scale.make_scale()
            image.dims[1].attach_scale(scale)
            image.attrs["dark"] = scale.ref
            image.attrs["all"] = np.array([image.ref, file["camera"].ref], h5py.ref_dtype)
            image.attrs["none"] = h5py.Reference()
            references = file.create_dataset("references", (2,), h5py.ref_dtype)
            references[0] = image.ref
        found = read(path)

        assert found["camera/image"].attrs == {"dark": "/x", "all": ["/camera/image", "/camera"], "none": ""}
        assert found["camera/image"].dims == ("camera/image_0", "x")
        assert found["references"].values.tolist() == ["/camera/image", ""]

    def test_regions(self, path: Path) -> None:
        """References to regions are omitted with a note."""
        with h5py.File(path, "w") as file:
            file["a"] = np.arange(9)
            file["a"].attrs["region"] = file["a"].regionref[2:4]
            file.create_dataset("b", (1,), h5py.regionref_dtype)[0] = file["a"].regionref[2:4]
        found = read(path)

        assert found["a"].attrs["omitted"] == "region: empty"
        assert found.attrs["omitted"] == "b: it refers to regions of arrays"


class TestTypes:
    def test_enumerations(self, path: Path) -> None:
        """An enumeration becomes its numbers, with its members as flags; so does a field of a table."""
        states = h5py.enum_dtype({"shut": 0, "wide open": 3}, ">i2")
        with h5py.File(path, "w") as file:
            file.create_dataset("state", data=[3, 0], dtype=states)
            file.create_dataset("table", (2,), np.dtype([("state", states)]))
        found = read(path)

        for name, values in (("state", [3, 0]), ("table_state", [0, 0])):
            assert found[name].values.tolist() == values
            assert found[name].attrs["flag_values"].tolist() == [0, 3]
            assert found[name].attrs["flag_meanings"] == "shut wide_open"

    def test_half_precision(self, path: Path) -> None:
        """Half precision becomes single precision."""
        with h5py.File(path, "w") as file:
            file["a"] = np.array([0.5, 1.5], "f2")
            file["a"].attrs["b"] = np.float16(0.25)
        found = read(path)["a"]

        assert found.dtype == np.float32
        assert (found.values.tolist(), found.attrs["b"]) == ([0.5, 1.5], 0.25)

    def test_left_out(self, path: Path) -> None:
        """Unsupported objects are listed with the reason, and the rest is served."""
        with h5py.File(path, "w") as file:
            file["image"] = np.zeros((2, 3))
            file["complex"] = np.zeros(3, "c8")
            file["long"] = np.zeros(3, "longdouble")
            file.create_dataset("ragged", (2,), h5py.vlen_dtype("i4"))
            file["elsewhere"] = h5py.ExternalLink("other.h5", "/x")
            file["alias"] = h5py.SoftLink("/image")
            layout = h5py.VirtualLayout((3,), "f4")
            layout[:] = h5py.VirtualSource("other.h5", "x", (3,))
            file.create_virtual_dataset("virtual", layout)
        found = read(path)

        assert set(found.variables) == {"image"}
        omitted = str(found.attrs["omitted"])
        assert "alias: it is a link" in omitted
        assert "elsewhere: it is a link, and may lead to another file" in omitted
        assert "ragged: it holds arrays of varying length" in omitted
        assert "virtual: its values are in other files" in omitted
        assert "complex: no protocol carries its type complex64" in omitted
        assert "long: no protocol carries its type" in omitted

    def test_unknown_filter(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An array compressed by a missing filter is listed, with the filter."""
        with h5py.File(path, "w") as file:
            file.create_dataset("image", data=np.zeros((20, 30)), compression="lzf")
            file["other"] = 1
        monkeypatch.setattr(h5py.h5z, "filter_avail", lambda _code: False)
        found = read(path)

        assert set(found.variables) == {"other"}
        assert found.attrs["omitted"] == (
            "image: it is compressed by lzf (32000), which the HDF5 library at hand lacks"
        )


class TestLaziness:
    @pytest.mark.parametrize("options", [{"compression": "gzip"}, {"shuffle": True}, {"fletcher32": True}], ids=str)
    def test_frames(self, path: Path, recorder: Recorder, options: dict[str, str]) -> None:
        """Of compressed frames, only those touched are decoded, and once."""
        image = np.arange(2 * 400 * 400).astype(">u2").reshape(2, 400, 400)  # small frames would be decoded together
        with h5py.File(path, "w") as file:
            file.create_dataset("image", data=image, chunks=(1, 400, 400), **options)
        found = read(path, recorder)["image"]
        opened = list(recorder.decoded)
        values = found[1, :3].values, found[1, 5:].values

        assert opened == []
        assert recorder.decoded == [("image", 1)]
        assert np.array_equal(values[0], image[1, :3])
        assert np.array_equal(values[1], image[1, 5:])

    def test_chunks(self, path: Path, recorder: Recorder) -> None:
        """The library reads only the small chunks that a slice touches, so damage elsewhere does not matter."""
        image = np.random.default_rng(3).integers(0, 65536, (64, 64)).astype("u2")
        with h5py.File(path, "w") as file:
            dataset = file.create_dataset("image", data=image, chunks=(16, 16), compression="gzip", fletcher32=True)
            place = dataset.id.get_chunk_info_by_coord((48, 48))
        content = bytearray(path.read_bytes())
        content[place.byte_offset + 20] ^= 0xFF
        path.write_bytes(content)
        found = read(path, recorder)["image"]

        assert np.array_equal(found[:48, :48].values, image[:48, :48])
        assert recorder.decoded == []
        with pytest.raises(OSError, match="damaged"):
            _ = found[50, 50].values

    def test_damage(self, path: Path, survives: Callable[[Path], None]) -> None:
        """Damage is an error, or has no effect."""
        with h5py.File(path, "w") as file:
            file.create_dataset("image", data=np.arange(1200, dtype="u2").reshape(2, 20, 30), compression="gzip")
            file["peaks"] = PEAKS
            file["image"].attrs["dark"] = file["peaks"].ref
            file["text"] = ["one", "three"]

        survives(path)

"""Ask Python's clients, in a process of their own: ``python worker.py CLIENT PROTOCOL QUESTIONS``, the last a file.

A client that takes the process with it takes no test with it. It prints ``@@`` with the number of a question, and then
what the client says.
"""

from __future__ import annotations

import json
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

Question = Mapping[str, Any]


def main() -> None:
    """Answer each question."""
    client, protocol, questions = sys.argv[1:]
    answer = CLIENTS[client]
    for number, question in json.loads(Path(questions).read_text()).items():
        _say(f"@@{number}")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                _say(_told(answer(question, protocol)))
        except Exception as error:  # noqa: BLE001 — whatever a client raises is its answer
            _say(f"!!{type(error).__name__}: {error}")
            traceback.print_exc()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _told(answers: list[Any]) -> str:
    return " ".join(_word(item) for answer in answers for item in np.asarray(answer).flat)


def _word(item: object) -> str:
    if isinstance(item, bytes):
        return item.decode()
    return repr(item.item()) if isinstance(item, np.generic) and not isinstance(item, np.str_) else str(item)


def _slices(question: Question) -> Any:  # noqa: ANN401
    if not question["part"]:
        return ...
    return tuple(slice(start, start + count * step, step) for start, count, step in zip(*question["part"], strict=True))


@cache
def _opened_by_netcdf(url: str) -> Any:  # noqa: ANN401
    import netCDF4  # noqa: PLC0415 — each process needs one client

    return netCDF4.Dataset(url)


def _netcdf(question: Question, protocol: str) -> list[Any]:
    dataset = _opened_by_netcdf(question["url"] + ("#mode=dap4" if protocol == "DAP4" else ""))
    if question["attributes"]:
        owner = dataset[question["names"][0]] if question["names"][0] else dataset
        return [owner.getncattr(name) for name in question["attributes"]]
    variables = [dataset[name] for name in question["names"]]
    for variable in variables:
        stated = {"scale_factor", "_FillValue", "missing_value"} & set(variable.ncattrs())
        variable.set_auto_mask(bool(stated))  # it would mask the default fill value, too, which is a number like others
    return [_filled(variable[_slices(question)]) for variable in variables]


def _filled(values: Any) -> Any:  # noqa: ANN401
    if not np.ma.is_masked(values):
        return np.ma.getdata(values)
    return values.astype(np.promote_types(values.dtype, np.float32)).filled(np.nan)


@cache
def _opened_by_pydap(url: str, protocol: str) -> Any:  # noqa: ANN401
    from pydap.client import open_url  # noqa: PLC0415 — likewise

    return open_url(url, protocol=protocol.lower())


def _pydap(question: Question, protocol: str) -> list[Any]:
    dataset = _opened_by_pydap(question["url"], protocol)
    if question["attributes"]:
        owner = _inner(dataset, question["names"][0])
        attributes = owner.attributes if question["names"][0] else owner.attributes.get("NC_GLOBAL", owner.attributes)
        return [attributes[name] for name in question["attributes"]]
    return [_pydap_values(_inner(dataset, name), question) for name in question["names"]]


def _inner(dataset: Any, path: str) -> Any:  # noqa: ANN401
    for name in filter(None, path.split("/")):
        dataset = dataset[name]
    return dataset


def _pydap_values(variable: Any, question: Question) -> Any:  # noqa: ANN401
    read = variable[_slices(question)] if variable.shape else variable[:]
    return np.asarray(getattr(read, "data", read))


def _xarray(question: Question, opened: Any) -> list[Any]:  # noqa: ANN401
    if question["attributes"]:
        owner = opened[question["names"][0].rstrip("/")] if question["names"][0] else opened
        return [owner.attrs[name] for name in question["attributes"]]
    return [opened[name].variable[_slices(question)].values for name in question["names"]]


@cache
def _dataset(url: str, engine: str) -> Any:  # noqa: ANN401
    import xarray as xr  # noqa: PLC0415 — likewise

    return xr.open_dataset(url, engine=engine)


@cache
def _tree(url: str, engine: str) -> Any:  # noqa: ANN401
    import xarray as xr  # noqa: PLC0415 — likewise

    return xr.open_datatree(url, engine=engine)


def _xarray_netcdf(question: Question, protocol: str) -> list[Any]:
    url = question["url"]
    return _xarray(question, _tree(f"{url}#mode=dap4", "netcdf4") if protocol == "DAP4" else _dataset(url, "netcdf4"))


def _xarray_pydap(question: Question, protocol: str) -> list[Any]:
    url = question["url"]
    if protocol == "DAP2":
        return _xarray(question, _dataset(url, "pydap"))
    if question["attributes"] and question["names"][0].endswith("/"):
        return _xarray(
            question, _tree(f"dap4{url.removeprefix('http')}", "pydap")
        )  # pydap waits for TLS: once is enough
    values = []
    for name in question["names"]:
        group, _, local = name.rpartition("/")
        values += _xarray({**question, "names": [local]}, _group(url, group))
    return values or [_group(url, "")]


@cache
def _group(url: str, group: str) -> Any:  # noqa: ANN401
    import xarray as xr  # noqa: PLC0415 — likewise
    from xarray.backends import PydapDataStore  # noqa: PLC0415

    dataset = _opened_by_pydap(url, "DAP4")
    store = PydapDataStore(dataset=dataset, group=f"/{group}", protocol="dap4")  # type: ignore[no-untyped-call] # xarray
    return xr.open_dataset(store)


CLIENTS: dict[str, Callable[[Question, str], list[Any]]] = {
    "netCDF4-python": _netcdf,
    "pydap": _pydap,
    "xarray, netcdf4": _xarray_netcdf,
    "xarray, pydap": _xarray_pydap,
}

if __name__ == "__main__":
    main()

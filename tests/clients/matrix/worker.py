"""Runs Python's clients in another process: ``python worker.py CLIENT PROTOCOL REQUESTS``, the last a file.

A client that ends its process ends no test. The process prints ``@@`` with the number of a request, and then
the client's answer.
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

Request = Mapping[str, Any]


def main() -> None:
    """Run each request."""
    client, protocol, requests = sys.argv[1:]
    answer = CLIENTS[client]
    for number, request in json.loads(Path(requests).read_text()).items():
        _print_line(f"@@{number}")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                _print_line(_format_answers(answer(request, protocol)))
        except Exception as error:  # noqa: BLE001 — whatever a client raises is its answer
            _print_line(f"!!{type(error).__name__}: {error}")
            traceback.print_exc()


def _print_line(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _format_answers(answers: list[Any]) -> str:
    return " ".join(_format_word(item) for answer in answers for item in np.asarray(answer).flat)


def _format_word(item: object) -> str:
    if isinstance(item, bytes):
        return item.decode()
    return repr(item.item()) if isinstance(item, np.generic) and not isinstance(item, np.str_) else str(item)


def _make_slices(request: Request) -> Any:  # noqa: ANN401
    if not request["part"]:
        return ...
    return tuple(slice(start, start + count * step, step) for start, count, step in zip(*request["part"], strict=True))


@cache
def _open_by_netcdf(url: str) -> Any:  # noqa: ANN401
    import netCDF4  # noqa: PLC0415 — each process needs one client

    return netCDF4.Dataset(url)


def _read_by_netcdf(request: Request, protocol: str) -> list[Any]:
    dataset = _open_by_netcdf(request["url"] + ("#mode=dap4" if protocol == "DAP4" else ""))
    if request["attributes"]:
        owner = dataset[request["names"][0]] if request["names"][0] else dataset
        return [owner.getncattr(name) for name in request["attributes"]]
    variables = [dataset[name] for name in request["names"]]
    for variable in variables:
        stated = {"scale_factor", "_FillValue", "missing_value"} & set(variable.ncattrs())
        variable.set_auto_mask(bool(stated))  # it would mask the default fill value, too, which is a number like others
    return [_fill_masked(variable[_make_slices(request)]) for variable in variables]


def _fill_masked(values: Any) -> Any:  # noqa: ANN401
    if not np.ma.is_masked(values):
        return np.ma.getdata(values)
    return values.astype(np.promote_types(values.dtype, np.float32)).filled(np.nan)


@cache
def _open_by_pydap(url: str, protocol: str) -> Any:  # noqa: ANN401
    from pydap.client import open_url  # noqa: PLC0415 — likewise

    return open_url(url, protocol=protocol.lower())


def _read_by_pydap(request: Request, protocol: str) -> list[Any]:
    dataset = _open_by_pydap(request["url"], protocol)
    if request["attributes"]:
        owner = _get_member(dataset, request["names"][0])
        attributes = owner.attributes if request["names"][0] else owner.attributes.get("NC_GLOBAL", owner.attributes)
        return [attributes[name] for name in request["attributes"]]
    return [_read_pydap_values(_get_member(dataset, name), request) for name in request["names"]]


def _get_member(dataset: Any, path: str) -> Any:  # noqa: ANN401
    for name in filter(None, path.split("/")):
        dataset = dataset[name]
    return dataset


def _read_pydap_values(variable: Any, request: Request) -> Any:  # noqa: ANN401
    read = variable[_make_slices(request)] if variable.shape else variable[:]
    return np.asarray(getattr(read, "data", read))


def _read_by_xarray(request: Request, opened: Any) -> list[Any]:  # noqa: ANN401
    if request["attributes"]:
        owner = opened[request["names"][0].rstrip("/")] if request["names"][0] else opened
        return [owner.attrs[name] for name in request["attributes"]]
    return [opened[name].variable[_make_slices(request)].values for name in request["names"]]


@cache
def _open_dataset(url: str, engine: str) -> Any:  # noqa: ANN401
    import xarray as xr  # noqa: PLC0415 — likewise

    return xr.open_dataset(url, engine=engine)


@cache
def _open_tree(url: str, engine: str) -> Any:  # noqa: ANN401
    import xarray as xr  # noqa: PLC0415 — likewise

    return xr.open_datatree(url, engine=engine)


def _read_by_xarray_netcdf(request: Request, protocol: str) -> list[Any]:
    url = request["url"]
    return _read_by_xarray(
        request, _open_tree(f"{url}#mode=dap4", "netcdf4") if protocol == "DAP4" else _open_dataset(url, "netcdf4")
    )


def _read_by_xarray_pydap(request: Request, protocol: str) -> list[Any]:
    url = request["url"]
    if protocol == "DAP2":
        return _read_by_xarray(request, _open_dataset(url, "pydap"))
    if request["attributes"] and request["names"][0].endswith("/"):
        return _read_by_xarray(
            request, _open_tree(f"dap4{url.removeprefix('http')}", "pydap")
        )  # pydap waits for TLS: once is enough
    values = []
    for name in request["names"]:
        group, _, local = name.rpartition("/")
        values += _read_by_xarray({**request, "names": [local]}, _get_group(url, group))
    return values or [_get_group(url, "")]


@cache
def _get_group(url: str, group: str) -> Any:  # noqa: ANN401
    import xarray as xr  # noqa: PLC0415 — likewise
    from xarray.backends import PydapDataStore  # noqa: PLC0415

    dataset = _open_by_pydap(url, "DAP4")
    store = PydapDataStore(dataset=dataset, group=f"/{group}", protocol="dap4")  # type: ignore[no-untyped-call] # xarray
    return xr.open_dataset(store)


CLIENTS: dict[str, Callable[[Request, str], list[Any]]] = {
    "netCDF4-python": _read_by_netcdf,
    "pydap": _read_by_pydap,
    "xarray, netcdf4": _read_by_xarray_netcdf,
    "xarray, pydap": _read_by_xarray_pydap,
}

if __name__ == "__main__":
    main()

"""What a DAP2 constraint asks for: variables with their indices, calls of functions, and selections by value.

Strategy: a `Constraint` is text understood, with no dataset in sight; `Constraint.narrow` holds it against one. It
selects by value first, then takes the indices of variables and of functions' arguments alike, all in one `Selection`,
so that what is cut differently has dimensions of different names; then it calls the functions. All of it is lazy.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import xarray as xr

from shotdap.server.protocols.dap2.filters import Filter, apply_filters
from shotdap.server.protocols.dap2.functions import Operand, get_function
from shotdap.transforms import UniqueNames
from shotdap.transforms.selection import BadSelection, DimensionIndex, Hyperslab, Selection


@dataclass(frozen=True)
class Projection:
    """A variable and the indices that are asked of it; none for all of it."""

    name: str
    hyperslab: Hyperslab = ()

    def __str__(self) -> str:
        """The piece as a client writes it."""
        return self.name + "".join(f"[{index}]" for index in self.index_texts)

    @property
    def index_texts(self) -> list[str]:
        """The indices as a client writes them, without brackets."""
        return [_format_index(index) for index in self.hyperslab]


def _format_index(index: DimensionIndex) -> str:
    """An index as ``first:stride:last``, or what is short for it."""
    if isinstance(index, tuple):
        return ",".join(map(str, index))
    if index.stop is None:
        return f"{index.start}:*" if index.start else ""
    if index.stop == index.start + 1:
        return str(index.start)
    stride = f":{index.step}" if index.step > 1 else ""
    return f"{index.start}{stride}:{index.stop - 1}"


@dataclass(frozen=True)
class FunctionCall:
    """A call of a function."""

    function_name: str
    argument: Projection | FunctionCall | None = None
    literals: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The call as a client writes it."""
        arguments = ([] if self.argument is None else [str(self.argument)]) + list(self.literals)
        return f"{self.function_name}({','.join(arguments)})"

    @property
    def projection(self) -> Projection | None:
        """The variable that it is all about."""
        return self.argument.projection if isinstance(self.argument, FunctionCall) else self.argument

    def __call__(self, operand: Operand | None) -> Operand:
        """Call it, and before it what it has for an argument."""
        inner = self.argument(operand) if isinstance(self.argument, FunctionCall) else operand
        return get_function(self.function_name)(inner, self.literals)


@dataclass(frozen=True)
class Constraint:
    """A constraint expression, understood."""

    selection: Selection = field(default_factory=Selection)
    """Variables and their indices. One without variables wants everything, unless there are calls."""
    calls: tuple[FunctionCall, ...] = ()
    filters: tuple[Filter, ...] = ()

    def __str__(self) -> str:
        """The constraint as a client writes it."""
        pieces = (Projection(name, hyperslab) for name, hyperslab in self.selection.hyperslabs.items())
        return ",".join(map(str, (*pieces, *self.calls))) + "".join(f"&{each}" for each in self.filters)

    def narrow(self, adapted: xr.Dataset) -> xr.Dataset:
        """What the constraint leaves of an adapted dataset, lazily.

        Variables come in the dataset's order, then the results of functions. Only variables of one dimension that
        selections by value name are read.

        Raises:
            BadSelection: the constraint does not fit the dataset.
        """
        left = apply_filters(adapted, self.filters)
        return self._apply_calls(left) if self.calls else self.selection.apply(left)

    def _apply_calls(self, dataset: xr.Dataset) -> xr.Dataset:
        """The selected variables and the results; an argument is a variable of its own, called for its call."""
        pieces = {f"{piece.name} in {call}": piece for call in self.calls if (piece := call.projection)}
        arguments = {key: _get_variable(dataset, piece.name) for key, piece in pieces.items()}
        parts = {**self.selection.hyperslabs, **{key: piece.hyperslab for key, piece in pieces.items()}}
        narrowed = dataset.assign(arguments) if arguments else dataset
        narrowed = Selection(parts).apply(narrowed) if parts else xr.Dataset(attrs=dataset.attrs)
        operands = {
            key: Operand.from_variable(piece.name, narrowed.variables[key], arguments[key].dims)
            for key, piece in pieces.items()
        }
        results: dict[str, xr.Variable] = {}
        unique = UniqueNames(map(str, dataset.variables))
        for call in self.calls:
            result = call(operands.get(f"{call.projection.name} in {call}" if call.projection else ""))
            result.variable.attrs["function"] = str(call)
            results[unique.claim(result.name)] = result.variable
        return narrowed.drop_vars(pieces).assign(results)


def _get_variable(dataset: xr.Dataset, name: str) -> xr.Variable:
    if name not in dataset.variables:
        Selection({name: ()}).apply(dataset)  # raises the sentence that says which there are
        raise BadSelection(f"{name} is not one variable.")
    return dataset.variables[name]

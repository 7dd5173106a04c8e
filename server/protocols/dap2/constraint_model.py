"""A parsed DAP2 constraint: variables with their indices, calls of functions, and selections by value.

Strategy: a `Constraint` is independent of any dataset; `Constraint.narrow` applies it to one. It selects by value
first, then applies the indices of variables and of arguments of functions, all in one `Selection`, so that dimensions
with different indices get different names; then it calls the functions. Everything is lazy.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import xarray as xr

from shotdap.server.protocols.dap2.filters import Filter, apply_filters
from shotdap.server.protocols.dap2.functions import Operand, get_function
from shotdap.transforms import UniqueNames
from shotdap.transforms.selection import BadSelection, Hyperslab, Selection


@dataclass(frozen=True)
class Projection:
    """A variable and its indices; no indices select all of it."""

    name: str
    hyperslab: Hyperslab = ()

    def __str__(self) -> str:
        """Return the syntax of a client."""
        return self.name + "".join(f"[{index}]" for index in self.index_texts)

    @property
    def index_texts(self) -> list[str]:
        """The indices in the syntax of a client, without brackets."""
        texts: list[str] = []
        for index in self.hyperslab:
            if isinstance(index, tuple):
                texts.append(",".join(map(str, index)))
            elif index.stop is None:
                texts.append(f"{index.start}:*" if index.start else "")
            elif index.stop == index.start + 1:
                texts.append(str(index.start))
            else:
                stride = f":{index.step}" if index.step > 1 else ""
                texts.append(f"{index.start}{stride}:{index.stop - 1}")
        return texts


@dataclass(frozen=True)
class FunctionCall:
    """A call of a function."""

    function_name: str
    argument: Projection | FunctionCall | None = None
    literals: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the syntax of a client."""
        arguments = ([] if self.argument is None else [str(self.argument)]) + list(self.literals)
        return f"{self.function_name}({','.join(arguments)})"

    @property
    def projection(self) -> Projection | None:
        """The variable in the innermost call."""
        return self.argument.projection if isinstance(self.argument, FunctionCall) else self.argument

    def __call__(self, operand: Operand | None) -> Operand:
        """Call the function, after the calls in its argument."""
        inner = self.argument(operand) if isinstance(self.argument, FunctionCall) else operand
        return get_function(self.function_name)(inner, self.literals)


@dataclass(frozen=True)
class Constraint:
    """A parsed constraint expression."""

    selection: Selection = field(default_factory=Selection)
    """Variables and their indices. Without variables and calls, everything is selected."""
    calls: tuple[FunctionCall, ...] = ()
    filters: tuple[Filter, ...] = ()

    def __str__(self) -> str:
        """Return the syntax of a client."""
        pieces = (Projection(name, hyperslab) for name, hyperslab in self.selection.hyperslabs.items())
        return ",".join(map(str, (*pieces, *self.calls))) + "".join(f"&{each}" for each in self.filters)

    def narrow(self, adapted: xr.Dataset) -> xr.Dataset:
        """Apply the constraint to an adapted dataset, lazily.

        Variables are in the order of the dataset, then follow the results of functions. Only the one-dimensional
        variables of selections by value are read.

        Raises:
            BadSelection: the constraint does not fit the dataset.
        """
        dataset = apply_filters(adapted, self.filters)
        if not self.calls:
            return self.selection.apply(dataset)
        # Each argument becomes a variable of its own, under the name of its call.
        pieces = {f"{piece.name} in {call}": piece for call in self.calls if (piece := call.projection)}
        for piece in pieces.values():
            if piece.name not in dataset.variables:
                Selection({piece.name: ()}).apply(dataset)  # raises an error that lists the variables
                raise BadSelection(f"{piece.name} is not one variable.")
        arguments = {key: dataset.variables[piece.name] for key, piece in pieces.items()}
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

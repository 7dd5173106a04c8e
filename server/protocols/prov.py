"""Provenance of variables as PROV-JSON of the W3C, by the library of the authors of PROV.

Each array of a file, each virtual variable and each file is an *entity*; each use of a transform is an *activity* of
shotdap, the *agent*.

PROV-DM: https://www.w3.org/TR/prov-dm/. PROV-JSON: https://www.w3.org/submissions/prov-json/.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from shotdap import __version__
from shotdap.transforms.virtual.transform import serialize_options

if TYPE_CHECKING:
    from prov.model import ProvAgent, ProvDocument, ProvEntity

    from shotdap.transforms import Origin

_ProvAttributes: TypeAlias = dict[Any, Any]  # the type that the library accepts

MEDIA_TYPE: Final = "application/json"

_TERMS_NAMESPACE: Final = "https://shotdap.invalid/terms#"  # by RFC 2606, nobody can own this domain


def render_prov(
    origins: Iterable[Origin], path: str, base: str, counts: Mapping[str, Mapping[str, int]] | None = None
) -> str:
    """Render the provenance of variables as PROV-JSON.

    Args:
        origins: the origins of the variables.
        path: the public path of the variables, with the segment of a variant.
        base: the URL below which public paths are; it ends with a slash.
        counts: for a variable, the numbers of negative values, missing values, …
    """
    builder = _DocumentBuilder(path, base, counts or {})
    for each in origins:
        builder.add_variable(each)
    return str(builder.document.serialize(format="json", indent=2)) + "\n"


class _DocumentBuilder:
    """Builder of a document that contains each node once."""

    def __init__(self, path: str, base: str, counts: Mapping[str, Mapping[str, int]]) -> None:
        from prov.model import ProvDocument  # noqa: PLC0415 — takes 0.2 s, and only this response needs it

        self.path = path
        self.counts = counts
        self.document: ProvDocument = ProvDocument()
        self.document.add_namespace("image", base)
        self.document.add_namespace("shotdap", _TERMS_NAMESPACE)
        self.agent: ProvAgent = self.document.agent(
            f"shotdap:{__version__}", {"prov:type": "prov:SoftwareAgent", "prov:label": f"shotdap {__version__}"}
        )
        self.entities: dict[tuple[str, str], ProvEntity] = {}

    def add_variable(self, each: Origin) -> ProvEntity:
        """Add the entity of a variable and of everything it is derived from."""
        source, key = each.source, (each.source.path, each.variable)
        if key in self.entities:
            return self.entities[key]
        if each.recipe:
            name = f"image:{self.path}#{each.variable}"
            labels: _ProvAttributes = {"prov:label": each.variable}
            labels |= {f"shotdap:{kind}": count for kind, count in self.counts.get(each.variable, {}).items()}
            entity = self.document.entity(name, labels)
            details: _ProvAttributes = {
                "prov:label": str(each.recipe),
                "shotdap:transform": each.recipe.transform.name,
                "shotdap:options": serialize_options(each.recipe.validated_options),
            }
            activity = self.document.activity(f"{name}/made", other_attributes=details)
            self.document.wasAssociatedWith(activity, self.agent)
            self.document.wasGeneratedBy(entity, activity)
            for origin in map(self.add_variable, each.inputs):
                self.document.used(activity, origin)
                self.document.wasDerivedFrom(entity, origin, activity)
            self.entities[key] = entity
            return entity
        labels = {"prov:label": each.variable, "shotdap:array": each.array}
        entity = self.entities[key] = self.document.entity(f"image:{source.path}#{each.variable}", labels)
        file_key = source.path, ""
        if file_key not in self.entities:
            attributes: _ProvAttributes = {"shotdap:sha256": source.sha256} if source.sha256 else {}
            self.entities[file_key] = self.document.entity(f"image:{source.path}", attributes)
        self.document.wasDerivedFrom(entity, self.entities[file_key])
        return entity

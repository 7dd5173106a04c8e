"""How variables came to be, as a document of W3C PROV: PROV-JSON, by the library of PROV's own authors.

Each array of a file, each virtual variable and each file is an *entity*; each use of a transform an *activity*, which
shotdap, an *agent*, carried out.

PROV-DM: https://www.w3.org/TR/prov-dm/. PROV-JSON: https://www.w3.org/submissions/prov-json/.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from shotdap import __version__
from shotdap.transforms import Origin, Source
from shotdap.transforms.virtual.transform import serialize_options

if TYPE_CHECKING:
    from prov.model import ProvActivity, ProvAgent, ProvDocument, ProvEntity

ProvAttributes: TypeAlias = dict[Any, Any]  # attributes, as the library takes them

MEDIA_TYPE: Final = "application/json"

_TERMS_NAMESPACE: Final = (
    "https://shotdap.invalid/terms#"  # a name space of our own; RFC 2606 keeps the domain from being anyone's
)


def render_prov(
    origins: Iterable[Origin], path: str, base: str, counts: Mapping[str, Mapping[str, int]] | None = None
) -> str:
    """The document of some variables, as PROV-JSON.

    Args:
        origins: of the variables.
        path: the public path that they are served at, a variant's segment included.
        base: the URL below which public paths are; it ends with a slash.
        counts: for a variable, how many of its values are negative, missing, …
    """
    scribe = _DocumentBuilder(path, base, counts or {})
    for each in origins:
        scribe.add_variable(each)
    return str(scribe.document.serialize(format="json", indent=2)) + "\n"


class _DocumentBuilder:
    """Writes down each node of the trees once."""

    def __init__(self, path: str, base: str, counts: Mapping[str, Mapping[str, int]]) -> None:
        from prov.model import ProvDocument  # noqa: PLC0415 — 0.2 s, which only this answer needs

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
        """The entity of a variable, with all that it comes from."""
        key = each.source.path, each.variable
        if key not in self.entities:
            self.entities[key] = self._add_virtual_variable(each) if each.recipe else self._add_array(each)
        return self.entities[key]

    def _add_array(self, each: Origin) -> ProvEntity:
        entity = self.document.entity(
            f"image:{each.source.path}#{each.variable}", {"prov:label": each.variable, "shotdap:array": each.array}
        )
        self.document.wasDerivedFrom(entity, self._add_file(each.source))
        return entity

    def _add_virtual_variable(self, each: Origin) -> ProvEntity:
        said: ProvAttributes = {"prov:label": each.variable}
        said |= {f"shotdap:{name}": count for name, count in self.counts.get(each.variable, {}).items()}
        name = f"image:{self.path}#{each.variable}"
        entity = self.document.entity(name, said)
        activity = self._add_activity(name, each)
        self.document.wasGeneratedBy(entity, activity)
        for source in map(self.add_variable, each.inputs):
            self.document.used(activity, source)
            self.document.wasDerivedFrom(entity, source, activity)
        return entity

    def _add_activity(self, name: str, each: Origin) -> ProvActivity:
        if each.recipe is None:
            raise ValueError(f"{each.variable} was not made by a transform.")
        said: ProvAttributes = {
            "prov:label": str(each.recipe),
            "shotdap:transform": each.recipe.transform.name,
            "shotdap:options": serialize_options(each.recipe.validated_options),
        }
        activity = self.document.activity(f"{name}/made", other_attributes=said)
        self.document.wasAssociatedWith(activity, self.agent)
        return activity

    def _add_file(self, source: Source) -> ProvEntity:
        key = source.path, ""
        if key not in self.entities:
            said: ProvAttributes = {"shotdap:sha256": source.sha256} if source.sha256 else {}
            self.entities[key] = self.document.entity(f"image:{source.path}", said)
        return self.entities[key]

"""The settings of one deployment: the shipped defaults, then the site's file, then the environment, then the command.

``defaults.toml`` has each setting's default and description; this module has the types and limits, and loads them.
`Site` opens what the settings describe.
"""

from __future__ import annotations

import ipaddress
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

import sqlalchemy as sa
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)
from sqlalchemy.exc import ArgumentError

from shotdap.catalog import FilterValue

CONFIG_VARIABLE: Final = "SHOTDAP_CONFIG"
"""The environment variable that names the settings file for a worker process."""

MODE_VARIABLE: Final = "SHOTDAP_ACCESS__MODE"
"""The environment variable that sets who may see what."""

FRAMES_VARIABLE: Final = "SHOTDAP_CATALOG__FRAMES"
"""The environment variable that tells all processes of a server which folder the frame store has."""

_PATH_SETTINGS = (
    ("archive", "root"),
    ("archive", "folder"),
    ("archive", "cache"),
    ("archive", "password_file"),
    ("archive", "oracle_client"),
    ("archive", "oracle_wallet"),
    ("archive", "oracle_wallet_password_file"),
    ("catalog", "index"),
    ("catalog", "diagnostics"),
    ("catalog", "frames"),
    ("catalog", "unpack"),
    ("exports", "folder"),
    ("access", "database"),
    ("oidc", "client_secret_file"),
    ("audit", "file"),
    ("server", "tls_certificate"),
    ("server", "tls_key"),
)
_PREFIX: Final = "SHOTDAP_"
_MAX_AT_ONCE: Final = 10_000  # counts of 16 bits, with room for those that are refused

_OptionalPath = Annotated[Path | None, BeforeValidator(lambda value: value or None)]
_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class BadSettings(ValueError):
    """The settings are not valid; the message names the setting, and what would be right."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Range(_Section):
    """A range of values, both ends included."""

    least: FilterValue | None = Field(default=None, alias="from")
    most: FilterValue | None = Field(default=None, alias="to")


class _ArchiveSettings(_Section):
    """The archive: its rows and its files."""

    url: str = Field(repr=False)  # it may have a password
    password_file: _OptionalPath
    table: str
    schema_: str = Field(alias="schema")  # a pydantic model has a method called schema
    root: Path
    folder: _OptionalPath
    bytes_: Literal["files", "database"] = Field(alias="bytes")  # bytes is Python's
    blob_table: str
    blob_column: str
    blob_key: str
    blob_changed: str
    pool_size: int = Field(ge=1, le=64)
    connect_seconds: float = Field(gt=0)
    statement_seconds: float = Field(gt=0)
    attempts: int = Field(ge=1, le=20)
    oracle_client: _OptionalPath
    oracle_wallet: _OptionalPath
    oracle_wallet_password_file: _OptionalPath
    cache: _OptionalPath
    cache_mib: int = Field(ge=4)
    s3_prefixes: tuple[Annotated[str, Field(pattern=r"^s3://[^/]+/")], ...]
    s3_endpoint: str
    s3_region: str
    s3_anonymous: bool
    columns: Mapping[str, str]
    values: Mapping[str, Mapping[str, str]]
    where: Mapping[str, FilterValue | tuple[FilterValue, ...] | Range]
    prefixes: Mapping[str, Path]


class _CatalogSettings(_Section):
    """The catalog, and how it is built."""

    index: Path
    url: str = Field(repr=False)
    watch_seconds: float = Field(ge=0)
    indexed_attributes: tuple[str, ...]
    path_template: str
    search_seconds: float = Field(gt=0, le=3600)
    diagnostics: _OptionalPath
    cache_mib: int = Field(ge=0)
    frames: _OptionalPath
    frames_mib: int = Field(ge=64)
    isolate: bool
    isolate_seconds: float = Field(gt=0)
    isolate_mib: int = Field(ge=512)
    changed: Literal["warn", "refuse"]
    unpack: _OptionalPath
    unpack_mib: int = Field(ge=1)


class _ServerSettings(_Section):
    """The server."""

    host: str
    port: int = Field(ge=1, le=65535)
    workers: int = Field(ge=1, le=256)
    readers: int = Field(ge=0, le=256)
    read_seconds: float = Field(gt=0)
    read_mib: int = Field(ge=256)
    access_log: bool
    grace_seconds: float = Field(ge=0, le=3600)
    write_seconds: float = Field(gt=0)
    max_answer_mib: int = Field(ge=1)
    max_query_kib: int = Field(ge=1)
    max_read_mib: int = Field(ge=1)
    answer_processes: int = Field(ge=0, le=256)
    cpu_seconds: float = Field(ge=1)
    memory_mib: int = Field(ge=256)
    max_waiting: int = Field(ge=1)
    wait_seconds: float = Field(gt=0)
    compress_data: bool
    cors_origins: tuple[str, ...]
    hosts: tuple[Annotated[str, Field(pattern=r"^(\*|(\*\.)?[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])$")], ...]
    trusted_proxies: tuple[_Network, ...]
    tls_certificate: _OptionalPath
    tls_key: _OptionalPath

    @model_validator(mode="after")
    def _check_tls(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("TLS needs both, tls_certificate and tls_key")
        return self


class AccessRule(_Section):
    """A rule: some users may see some images."""

    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    facts: Mapping[str, str | tuple[str, ...]] = Field(default_factory=dict)
    paths: tuple[str, ...] = ()
    shots: Range = Range()
    dates: Range = Range()
    embargo_days: Annotated[int, Field(ge=0)] | None = None
    embargo_fact: str = ""


class AccessSettings(_Section):
    """Access: the modes of sign-in, and rules."""

    mode: Literal["open", "token", "oidc"]
    open_anywhere: bool
    database: Path
    path_links: bool
    rules: tuple[AccessRule, ...] = ()


class OidcSettings(_Section):
    """The identity provider, and what its users may do."""

    issuer: str
    client_id: str
    client_secret_file: _OptionalPath
    device_client_id: str
    audience: str
    resource: str
    public_url: str
    scopes: tuple[str, ...]
    algorithms: Annotated[
        tuple[
            Literal[
                "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"
            ],
            ...,
        ],
        Field(min_length=1),
    ]
    name_claim: str = Field(min_length=1)
    groups_claim: str
    read_groups: tuple[str, ...]
    export_groups: tuple[str, ...]
    admin_groups: tuple[str, ...]
    session_hours: float = Field(gt=0, le=24 * 365)
    idle_minutes: float = Field(gt=0)
    keys_seconds: float = Field(ge=1)
    seconds: float = Field(gt=0, le=60)
    service_groups: Mapping[str, tuple[str, ...]]


class AuditSettings(_Section):
    """The record of accesses and failures."""

    file: _OptionalPath
    rotate_mib: int = Field(ge=1)
    keep: int = Field(ge=1, le=10_000)
    table: bool
    failures: int = Field(ge=0, le=1000)


class LimitSettings(_Section):
    """Limits of what a client may send, and of how much it may ask for."""

    url_kib: int = Field(ge=1, le=64)
    headers: int = Field(ge=1)
    headers_kib: int = Field(ge=1)
    body_kib: int = Field(ge=1)
    header_seconds: float = Field(gt=0)
    body_seconds: float = Field(gt=0)
    idle_seconds: float = Field(gt=0)
    connections_per_address: int = Field(ge=0, le=_MAX_AT_ONCE)
    failed_sign_ins: int = Field(ge=0)
    requests_per_minute: int = Field(ge=0)
    concurrent_requests: int = Field(ge=0, le=_MAX_AT_ONCE)
    mib_per_day: int = Field(ge=0)
    packages: int = Field(ge=0, le=_MAX_AT_ONCE)
    packages_per_user: int = Field(ge=0, le=_MAX_AT_ONCE)
    followers: int = Field(ge=0, le=_MAX_AT_ONCE)
    followers_per_user: int = Field(ge=0, le=_MAX_AT_ONCE)


class PackagesSettings(_Section):
    """Limits of data packages."""

    max_images: int = Field(ge=1)
    max_mib: int = Field(ge=1)


class _ZarrSettings(_Section):
    """Chunks and compression of Zarr."""

    chunk_mib: int = Field(ge=1)
    compression: Literal["none", "lz4", "zstd"]


class ExportsSettings(_Section):
    """Exports: their workers, and their limits."""

    folder: _OptionalPath
    scheduler: Annotated[str, Field(pattern=r"^$|^(tcp|tls|ws|wss|ucx)://")]
    workers: int = Field(ge=1, le=1024)
    threads: int = Field(ge=1, le=256)
    memory_mib: int = Field(ge=256)
    idle_seconds: float = Field(ge=0)
    keep_hours: float = Field(gt=0)
    folder_mib: int = Field(ge=1)
    user_mib: int = Field(ge=1)
    jobs_per_user: int = Field(ge=1)
    images_per_job: int = Field(ge=1)

    @property
    def max_image_bytes(self) -> int:
        """Bytes of a worker's memory for one image: half of a thread's share; the file needs the other half."""
        return (self.memory_mib << 20) // (2 * self.threads)


class WebhookTarget(_Section):
    """A receiver of signed messages about changes, and what they may tell."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,60}$")]
    url: str
    secret_file: Path
    user: str = ""
    groups: tuple[str, ...] = ()
    facts: Mapping[str, str | tuple[str, ...]] = Field(default_factory=dict)
    paths: tuple[str, ...] = ()


class WebhookSettings(_Section):
    """Webhooks: messages to other servers."""

    targets: tuple[WebhookTarget, ...] = ()
    seconds: float = Field(gt=0, le=30)


class Settings(BaseSettings):
    """All settings, checked; `load_settings` makes them."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
    )

    archive: _ArchiveSettings
    catalog: _CatalogSettings
    server: _ServerSettings
    access: AccessSettings
    oidc: OidcSettings
    audit: AuditSettings
    limits: LimitSettings
    packages: PackagesSettings
    zarr: _ZarrSettings
    exports: ExportsSettings
    webhooks: WebhookSettings

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 — the signature is pydantic-settings'
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources in their order: overrides, then the environment, then the files; see `load_settings`."""
        given = init_settings()
        overrides, from_files = (InitSettingsSource(settings_cls, given[key]) for key in ("overrides", "files"))
        return overrides, env_settings, from_files


@dataclass(frozen=True)
class SettingsSource:
    """The source of a command's settings; another process can load the same settings from it."""

    file: Path | None = None
    """The site's TOML file; without it, the defaults and the environment."""
    overrides: Mapping[str, str | int | Path] = field(default_factory=dict)
    """The command line's choices, by the settings' dotted names."""

    @classmethod
    def from_environment(cls) -> SettingsSource:
        """Return the source in a worker process, whose environment has all that another process chose."""
        file = os.environ.get(CONFIG_VARIABLE)
        return cls(Path(file) if file else None)

    def load(self) -> Settings:
        """Load the settings; the command line's choices override those of the file and the environment.

        Raises:
            BadSettings: see `load_settings`.
        """
        return load_settings(self.file, self.overrides)

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which a worker process loads the same settings, where nothing else can be passed to it."""
        variables = {
            f"{_PREFIX}{name.replace('.', '__').upper()}": str(value) for name, value in self.overrides.items()
        }
        return variables | ({CONFIG_VARIABLE: str(self.file)} if self.file else {})


def load_defaults() -> dict[str, Any]:
    """Load the shipped defaults, as in TOML."""
    return tomllib.loads(files("shotdap.config").joinpath("defaults.toml").read_text("utf-8"))


def load_settings(path: Path | None = None, overrides: Mapping[str, object] = MappingProxyType({})) -> Settings:
    """Load the settings.

    Args:
        path: the site's TOML file; without it, the defaults and the environment.
        overrides: values that replace those of the file and the environment, by the settings' dotted names:
            ``{"server.port": 9000}``.

    Raises:
        BadSettings: the file is missing or not TOML, or a setting is unknown or not valid.
    """
    defaults, site = load_defaults(), _read_site_file(path) if path else {}
    merged: dict[str, Any] = {name: {**defaults.get(name, {}), **site.get(name, {})} for name in {**defaults, **site}}
    _resolve_paths(merged, path.parent.resolve() if path else Path())
    nested: dict[str, Any] = {}
    for name, value in overrides.items():
        section, _, key = name.partition(".")
        nested.setdefault(section, {})[key] = value
    sources: dict[str, Any] = {"files": merged, "overrides": nested}
    try:
        return Settings(**sources)
    except ValidationError as error:
        lines = (f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
        raise BadSettings("The settings do not hold together:\n  " + "\n  ".join(lines)) from error
    except SettingsError as error:  # a whole section in one variable has to be JSON
        raise BadSettings(f"The settings in the environment cannot be read: {error}.") from error


def _read_site_file(path: Path) -> dict[str, Any]:
    try:
        site = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise BadSettings(f"The settings cannot be read from {path}: {error.strerror}.") from error
    except ValueError as error:  # not TOML, or not UTF-8
        raise BadSettings(f"{path} is not TOML: {error}.") from error
    misplaced = [name for name, section in site.items() if not isinstance(section, dict)]
    if misplaced:
        raise BadSettings(f"{path}: {', '.join(misplaced)} must stand in a section, such as [server].")
    return site


def _resolve_paths(sections: dict[str, Any], folder: Path) -> None:
    """Resolve relative paths, those of the defaults too, against the folder of the site's file, in place."""
    for section, name in _PATH_SETTINGS:
        value = sections[section].get(name)
        if isinstance(value, str) and value:
            sections[section][name] = folder / value
    for target in sections["webhooks"].get("targets", ()):
        if isinstance(target, dict) and isinstance(target.get("secret_file"), str):
            target["secret_file"] = folder / target["secret_file"]
    prefixes = sections["archive"].get("prefixes")
    if isinstance(prefixes, dict):
        sections["archive"]["prefixes"] = {
            name: folder / value if isinstance(value, str) else value for name, value in prefixes.items()
        }
    for section in ("archive", "catalog"):
        text = sections[section].get("url")
        if isinstance(text, str) and text:
            try:
                url = sa.make_url(text)
            except ArgumentError as error:
                raise BadSettings(
                    f"{section}.url is not a database's URL; it should be like sqlite:///archive.db."
                ) from error
            if url.get_backend_name() == "sqlite" and url.database:
                url = url.set(database=str(folder / url.database))
                sections[section]["url"] = url.render_as_string(hide_password=False)

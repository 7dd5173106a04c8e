"""The viewer's colour maps are the server's."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Final

from shotdap.server.pictures.colour_maps import sample_colour_map

_TABLES: Final = Path(__file__).resolve().parents[3] / "server/viewer/src/colours/tables.json"


def test_colour_tables() -> None:
    """Each of its tables has the 256 colours of the server's map; ``SHOTDAP_RENEW=1`` writes them."""
    names = json.loads(_TABLES.read_text("utf-8"))
    tables = {name: base64.b64encode(sample_colour_map(name).tobytes()).decode() for name in names}
    text = json.dumps(tables, indent=2) + "\n"
    if os.environ.get("SHOTDAP_RENEW") == "1":
        _TABLES.write_text(text, "utf-8")

    assert _TABLES.read_text("utf-8") == text

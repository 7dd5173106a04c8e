"""Data packages: the images of a shot, or of any folder, in one ZIP file or one tree, with all that explains them.

What goes in (`contents`) is known before any pixel is read. Then each image is opened, narrowed, computed, encoded,
sent and forgotten (`packing`), so that a package of any size takes the memory of its greatest member.
"""

from __future__ import annotations

from shotdap.server.packaging.archive import Member, zipped
from shotdap.server.packaging.contents import Bounds, Item, chosen, surveyed
from shotdap.server.packaging.order import KINDS, Kind, Order
from shotdap.server.packaging.packing import packed
from shotdap.server.packaging.tree import stored, tree

__all__ = [
    "KINDS",
    "Bounds",
    "Item",
    "Kind",
    "Member",
    "Order",
    "chosen",
    "packed",
    "stored",
    "surveyed",
    "tree",
    "zipped",
]

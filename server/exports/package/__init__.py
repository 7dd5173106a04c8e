"""Data packages: the images of a shot, or of any folder, in one ZIP file or one tree, with all that explains them.

What goes in (`contents`) is known before any pixel is read. Then each image is opened, narrowed, computed, encoded,
sent and forgotten (`packing`), so that a package of any size takes the memory of its greatest member.
"""

from __future__ import annotations

from shotdap.server.exports.package.contents import Bounds, Item, chosen, surveyed
from shotdap.server.exports.package.dataset_tree import stored, tree
from shotdap.server.exports.package.members import packed
from shotdap.server.exports.package.package_order import KINDS, Kind, Order
from shotdap.server.exports.package.zip_stream import Member, zipped

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

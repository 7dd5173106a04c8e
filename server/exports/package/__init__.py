"""Data packages: the images of a shot, or of any folder, in one ZIP file or one tree, with all that explains them.

What goes in (`contents`) is known before any pixel is read. Then each image is opened, narrowed, computed, encoded,
sent and forgotten (`packing`), so that a package of any size takes the memory of its greatest member.
"""

from __future__ import annotations

from shotdap.server.exports.package.contents import PackageLimits, PlanItem, plan_package, select_entries
from shotdap.server.exports.package.dataset_tree import combine_images, iter_store_members
from shotdap.server.exports.package.members import pack_members
from shotdap.server.exports.package.package_order import CONTAINERS, Container, Order
from shotdap.server.exports.package.zip_stream import ZipMember, stream_zip

__all__ = [
    "CONTAINERS",
    "Container",
    "Order",
    "PackageLimits",
    "PlanItem",
    "ZipMember",
    "combine_images",
    "iter_store_members",
    "pack_members",
    "plan_package",
    "select_entries",
    "stream_zip",
]

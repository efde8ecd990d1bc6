"""A link in a zip archive, which nobody should unpack."""

from __future__ import annotations

import stat
import zipfile


def link(name: str) -> zipfile.ZipInfo:
    """Return a member that, unpacked by Unix's rules, is a symbolic link."""
    member = zipfile.ZipInfo(name)
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    return member

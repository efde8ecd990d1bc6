"""What one request may cost at most: the only home of such numbers in the server.

What a scan itself may be stands in ``limits`` and holds here as well.
"""

from __future__ import annotations

from dataclasses import dataclass

from vit_dementia.limits import MIB, Limits


@dataclass(frozen=True, kw_only=True)
class ServingLimits:
    """The largest request of each kind that is taken.

    >>> ServingLimits(upload_mib=2).upload_bytes
    2097152
    """

    upload_mib: int = 512
    """size of one request"""
    files: int = 2_000
    """files in one request, or in one archive: a DICOM series has one for each slice"""
    unpacked_mib: int = 2_048
    """size of one archive, unpacked"""
    places: int = 32
    """requests that are received, waiting or answered at once; others get 503"""
    upload_seconds: float = 120.0
    """time to receive one request"""
    seconds: float = 300.0
    """time to answer one request, once it is begun"""
    memory_mib: int = 16_384
    """address space of the process that reads scans, where it computes on the CPU"""

    @property
    def upload_bytes(self) -> int:
        """Return the size of one request."""
        return self.upload_mib * MIB

    @property
    def archive(self) -> Limits:
        """Return what one archive may be."""
        return Limits(members=self.files, unpacked_bytes=self.unpacked_mib * MIB)

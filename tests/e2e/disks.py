# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Reads the disk of an overlay in use, by docs/snapshot-format.md.

disks.py IMAGE OVERLAY DISK  writes its content to the file DISK, and says how many bytes of pages the
                             sealed overlays hold that it lies on"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "python"))

from stasis import open_disk

IMAGE, OVERLAY, DISK = sys.argv[1:]

with open_disk(OVERLAY, IMAGE) as disk, open(DISK, "wb") as file:
    for offset in range(0, disk.size, 1 << 20):
        file.write(disk.read(offset, 1 << 20))
    print(disk.sealed_bytes)

# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Reads the disk of an overlay in use, by docs/snapshot-format.md.

disks.py IMAGE OVERLAY DISK  writes its content to the file DISK, and says how many bytes of pages the
                             sealed overlays hold that it lies on"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "reader"))

from build import SCHEMAS
from stasis_overlay import Image, Overlay, below

IMAGE, OVERLAY, DISK = map(os.path.abspath, sys.argv[1:])

with open(IMAGE, "rb") as file:
    image = Image(file.read())
with open(OVERLAY, "rb") as file:
    data = file.read()
lower = below(OVERLAY, image, SCHEMAS)
with open(DISK, "wb") as file:
    file.write(Overlay(data, lower, image.size, SCHEMAS).content())
stored = 0
while lower is not image:
    stored += lower.header.stored
    lower.close()
    lower = lower.below
print(stored)

# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Lets tests import the module `stasis` of this tree, and no other one."""
import os
import sys

PYTHON = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "python")
sys.path.insert(0, PYTHON)

# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Verifies a snapshot: python3 -m stasis.reader FILE [--json] [--layers DIR]

Exit status: 0 whole, 1 could not read, 2 usage, or a file that it lies on is not there, 3 corrupt,
4 incompatible."""

import argparse
import json
import sys

from ..errors import FileError, printable
from .describe import as_dict
from .snapshot import open_snapshot


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser("stasis.reader", description="Verify a Stasis snapshot.")
    parser.add_argument("file")
    parser.add_argument("--json", action="store_true", help="print what is in it, but for RAM")
    parser.add_argument("--layers", metavar="DIR", help="where the files are that it lies on")
    options = parser.parse_args()
    try:
        with open_snapshot(options.file, layers=options.layers) as snapshot:
            snapshot.verify()
            found = as_dict(snapshot)
    except FileError as error:
        print(error, file=sys.stderr)
        return error.code
    except OSError as error:
        print(f"{printable(options.file)}: {error.strerror}", file=sys.stderr)
        return 1
    print(json.dumps(found, indent=2) if options.json else f"{printable(options.file)}: whole")
    return 0


if __name__ == "__main__":
    sys.exit(main())

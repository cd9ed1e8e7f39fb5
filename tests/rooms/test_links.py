#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Each link of the documents to a file, a picture or a heading leads there, and each picture is shown.

usage: test_links.py SOURCE_FOLDER
"""

import os
import pathlib
import re
import sys

LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def anchors(text):
    """The names that GitHub gives to headings."""
    for heading in re.findall(r"^#+ (.*)$", CODE.sub("", text), re.MULTILINE):
        plain = re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading.strip())
        yield re.sub(r"\s", "-", re.sub(r"[^\w\- ]", "", plain.lower()))


def main(folder):
    top = pathlib.Path(folder)
    documents = [top / "README.md", top / "CHANGELOG.md", *sorted((top / "docs").rglob("*.md"))]
    texts = {os.path.normpath(path): path.read_text(encoding="utf-8") for path in documents}
    wrong, led, shown = [], 0, set()
    for page, text in texts.items():
        for link in LINK.findall(CODE.sub("", text)):
            if re.match(r"[a-z]+:", link):
                continue
            file, _, heading = link.partition("#")
            target = os.path.normpath(os.path.join(os.path.dirname(page), file)) if file else page
            led += 1
            shown.add(target)
            if not os.path.exists(target):
                wrong.append(f"{page}: there is no {link}")
            elif heading and heading not in anchors(texts.get(target, "")):
                wrong.append(f"{page}: there is no heading {link}")
    pictures = {os.path.normpath(path) for path in (top / "docs/pictures").iterdir()}
    wrong += [f"{picture}: no document shows it" for picture in sorted(pictures - shown)]
    print("\n".join(wrong) or f"{led} links of {len(texts)} documents lead somewhere")
    return 1 if wrong or led < 20 or not pictures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

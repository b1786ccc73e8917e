"""A run that was cut off goes on where it ended."""

import tempfile
from pathlib import Path

import fanwise

tries = []


def fetch(page: int) -> str:
    tries.append(page)
    if page == 3 and tries.count(3) == 1:
        raise ConnectionError("the line went dead")
    return f"page {page}"


with tempfile.TemporaryDirectory() as folder:
    journal = Path(folder, "pages.journal")
    try:
        fanwise.map(fetch, range(5), resume=journal, workers=1)
    except ConnectionError as error:
        print("stopped:", error)
    pages = fanwise.map(fetch, range(5), resume=journal, workers=1)

print(pages, "with", len(tries), "calls")
assert tries == [0, 1, 2, 3, 3, 4]

"""`legible`, with no recognizer but the one of texts: a test cluster need not load the others."""

from typing import cast

from legible import recognizers
from legible.cli import main
from legible.tasks import Kind

rooms = cast(dict[Kind, object], recognizers.ROOMS)
for kind in rooms.keys() - {Kind.TEXT}:
    del rooms[kind]
main()

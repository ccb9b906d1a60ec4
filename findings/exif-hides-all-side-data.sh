#!/usr/bin/env bash
# Guess:    frame.side_data lists what a decoded frame carries; what PyAV has no name for is left out or has a number.
# Happens:  One unknown kind makes the whole list unreadable: a JPEG with EXIF data (every camera's) raises
#           "ValueError: 31 is not a valid Type", also where only its display matrix was asked for. frame.rotation works,
#           and knows the angle, but not that the picture is mirrored.
# Hurts:    Readers that take the orientation from the side data crash on the stills of most cameras, and work on files
#           without EXIF, which is what tests are made of.
# Versions: av 18.1.0 (its own FFmpeg), pillow 12.0.0
# Seen:     plain JPEG: side data []; EXIF orientation 6: rotation -90, side data ValueError 31; orientation 2: rotation -180
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check av==18.1.0 pillow==12.0.0
venv/bin/python - <<'PY'
import av
from PIL import Image


def look(orientation):
    note = Image.Exif()
    if orientation:
        note[0x112] = orientation
    Image.new('RGB', (64, 48), 'teal').save('still.jpg', exif=note)
    with av.open('still.jpg') as c:
        frame = next(c.decode(video=0))
    try:
        return frame.rotation, [d.type.name for d in frame.side_data]
    except ValueError as e:
        return frame.rotation, str(e)


seen = {orientation: look(orientation) for orientation in (0, 6, 2)}
print(seen)
assert seen == {0: (0, []), 6: (-90, '31 is not a valid Type'), 2: (-180, '31 is not a valid Type')}
PY

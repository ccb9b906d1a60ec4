#!/usr/bin/env bash
# Guess:    An encoder changes nothing about the process that calls it; `nice` decides how much of the processor it takes.
# Happens:  Where the rights are there (root, as in most containers), FFmpeg's AV1 encoder (libsvtav1) sets the calling
#           thread to the real-time policy SCHED_FIFO with the highest priority, and leaves it there after the file is
#           closed. Threads that are made later inherit it. libx264 and libvpx-vp9 leave the policy alone.
# Hurts:    A data job that writes one AV1 clip runs before everything else on the machine from then on, whatever `nice`
#           says: other jobs starve, timings taken beside it mean nothing, and tests with a time limit fail elsewhere.
# Versions: av 18.1.0 (its own FFmpeg and SVT-AV1), numpy 2.4.6; Linux, root or CAP_SYS_NICE
# Seen:     policy and priority after writing 8 frames: libx264 SCHED_OTHER 0; libvpx-vp9 SCHED_OTHER 0;
#           libsvtav1 SCHED_FIFO 99, also in a thread that is started afterwards
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
export PIP_DISABLE_PIP_VERSION_CHECK=1
venv/bin/pip install -q av==18.1.0 numpy==2.4.6
venv/bin/python - <<'PY'
import os
import sys
import threading

import av
import numpy as np

NAMES = {os.SCHED_OTHER: 'SCHED_OTHER', os.SCHED_FIFO: 'SCHED_FIFO'}
before = os.sched_getscheduler(0)
assert before == os.SCHED_OTHER
try:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
except PermissionError:
    sys.exit('this process may not ask for real-time priority (root or CAP_SYS_NICE): there is nothing to see')
frames = np.random.default_rng(0).integers(0, 255, (8, 64, 64, 3), dtype=np.uint8)


def write(codec):
    with av.open('clip.mkv', 'w') as c:
        s = c.add_stream(codec, rate=8)
        s.width = s.height = 64
        s.pix_fmt = 'yuv420p'
        for x in frames:
            c.mux(s.encode(av.VideoFrame.from_ndarray(x, format='rgb24')))
        c.mux(s.encode(None))


def policy():
    return NAMES[os.sched_getscheduler(0)], os.sched_getparam(0).sched_priority


def in_a_thread():
    found = []
    t = threading.Thread(target=lambda: found.append(policy()))
    t.start()
    t.join()
    return found[0]


for codec in ('libx264', 'libvpx-vp9'):
    write(codec)
    print(f'{codec:12}', *policy())
    assert policy() == ('SCHED_OTHER', 0)
write('libsvtav1')
print('libsvtav1   ', *policy(), '| a thread started afterwards:', *in_a_thread())
assert policy() == ('SCHED_FIFO', 99) == in_a_thread()
os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
PY

#!/usr/bin/env bash
# Guess:    frame.pts of a Windows Media file (ASF) is when the frame is shown, as in every container that keeps
#           times; H.264 without B-frames has no order to restore, so its times are those that were written.
# Happens:  ASF stores when a frame is shown, FFmpeg's demuxer calls that `dts` and makes up `pts` from a guess of the
#           codec's delay: 40 ms late without B-frames, against the sound of the same file. With two B-frames the
#           frames' pts run backwards, in the order in which frames are to be shown. MPEG-4 part 2 is right.
# Hurts:    Lip-sync, action boundaries and audio-visual pairs from .wmv and .asf, by one to three frames, silently.
# Versions: av 18.1.0 (FFmpeg 8), numpy 2.4.6
# Seen:     first packet without B-frames: dts 0, pts 40 ms (mpeg4: 0 and 0), the sound starts at 0; with B-frames:
#           from frame to frame -40, 40 or 80 ms
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check av==18.1.0 numpy==2.4.6
venv/bin/python - <<'PY'
from fractions import Fraction

import av
import numpy as np


def write(path, codec, b_frames):
    "Three seconds at 25 fps beside silence, both from 0 on."
    with av.open(path, 'w', format='asf') as c:
        v = c.add_stream(codec, rate=25, width=96, height=64, pix_fmt='yuv420p')
        v.codec_context.max_b_frames, v.codec_context.thread_count = b_frames, 1
        a = c.add_stream('pcm_s16le', rate=16000, layout='mono')
        r = np.random.default_rng(0)
        packets = []
        for i in range(75):
            f = av.VideoFrame.from_ndarray(r.integers(0, 256, (64, 96, 3), dtype=np.uint8), 'rgb24')
            f.pts, f.time_base = i, Fraction(1, 25)
            packets += v.encode(f)
            s = av.AudioFrame.from_ndarray(np.zeros((1, 640), np.int16), 's16', 'mono')
            s.sample_rate, s.pts, s.time_base = 16000, 640 * i, Fraction(1, 16000)
            packets += a.encode(s)
        for p in [*packets, *v.encode(None), *a.encode(None)]: c.mux(p)


def stamps(path):
    "ms: (dts, pts) of the video packets, pts of the frames, pts of the first sound packet."
    with av.open(path) as c: frames = [f.pts for f in c.decode(video=0)]
    with av.open(path) as c: video = [(p.dts, p.pts) for p in c.demux(video=0) if p.size]
    with av.open(path) as c: sound = [p.pts for p in c.demux(audio=0) if p.size]
    return video, frames, sound[0]


for codec, b_frames in (('mpeg4', 0), ('libx264', 0), ('libx264', 2)):
    write('x.wmv', codec, b_frames)
    video, frames, sound = stamps('x.wmv')
    gaps = sorted(set(np.diff(frames).tolist()))
    print(codec, 'B-frames', b_frames, '(dts, pts) ms', video[:5], 'sound from', sound, 'gaps of the frames', gaps)
    if (codec, b_frames) == ('mpeg4', 0): assert video[0] == (0, 0) and gaps == [40]
    if (codec, b_frames) == ('libx264', 0): assert video[0] == (0, 40) and sound == 0 and frames[0] == 40
    if b_frames: assert min(gaps) < 0
PY

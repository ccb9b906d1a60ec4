"""How far apart are picture and sound that belong together? Every container with every codec that this PyAV can write.

Files of 12 s: each frame shows its own number, and a short burst begins together with three of them, near the start, in
the middle and near the end. `read_clip` is asked when that frame is first seen (a grid of 1 ms) and when the burst is
heard; the error is the first minus the second, so a negative one is a late sound. Of each container all video codecs
are written beside one sound codec, with and without B-frames, and all sound codecs beside one video codec. What the
wheel cannot write is left out, and what FFmpeg cannot read back (of AVI with E-AC-3 it tells the times 192-fold).
Claim: within 2 ms, or one tick of the container where that is more. Containers that keep no times have ticks of a
frame, or of the sound encoder's delay, which they do not tell either.

    python benchmarks/sync.py                          # about ten minutes on one core
    python benchmarks/sync.py --containers mkv avi
"""

import argparse
import csv
import os
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
sys.path.insert(0, str(Path(__file__).parents[1] / 'tests'))

import av
import numpy as np
import recordings
from recordings import MS, Codec, Container, Recipe, SoundCodec, Track

COLUMNS = ['container', 'video_codec', 'audio_codec', 'b_frames', 'where', 'error_ms', 'grid_ms']
SECONDS, PLACES = 12, {'start': 1.0, 'middle': 6.0, 'end': 11.0}
PLAIN = dict(options=(), step=16)
PAL = dict(rates=(Fraction(25),), clock=0, options=())
MORE_VIDEO = {
    **{k: Codec(**PLAIN) for k in ('ffvhuff', 'snow', 'dirac', 'vc2', 'asv1', 'asv2')},
    **{
        k: Codec((f,), **PLAIN)
        for k, f in dict(
            zmbv='bgr0',
            flashsv='bgr24',
            jpegls='rgb24',
            rpza='rgb555le',
            targa='bgr24',
            tiff='rgb24',
            v210='yuv422p10le',
            dxv='rgba',
            gif='rgb8',
        ).items()
    },
    'h261': Codec(sizes=((144, 176),), clock=0, rates=(recordings.NTSC,)),
    'dvvideo': Codec(sizes=((576, 720),), **PAL),
}
MORE_SOUND = {
    **dict.fromkeys(('pcm_s8', 'pcm_s24be', 'pcm_f32be', 'pcm_alaw'), SoundCodec()),
    'adpcm_yamaha': SoundCodec((44100,)),
    'g722': SoundCodec((16000,), ('mono',), delay=22),
    'g726': SoundCodec((8000,), ('mono',), options=(('code_size', '4'),)),
    'real_144': SoundCodec((8000,), ('mono',), delay=160),
}
VIDEO, SOUND = {**recordings.VIDEO, **MORE_VIDEO}, {**recordings.SOUND, **MORE_SOUND}
COUNTED = dict(counted=True)
CONTAINERS = {
    c.ending: c
    for c in (
        *recordings.CONTAINERS,
        Container('mxf', 'mxf', '', '', rates=(48000,), **COUNTED),
        Container('gxf', 'gxf', '', '', rates=(48000,), **COUNTED),
        Container('dv', 'dv', '', '', rates=(48000,), **COUNTED),
        Container('rm', 'rm', '', '', **COUNTED),
        Container('swf', 'swf', '', '', rates=(44100, 22050), **COUNTED),
        Container('smjpeg', 'mjpg', '', '', MS),
    )
}
FIRST_VIDEO = ('mpeg4', 'mpeg2video', 'libx264', 'libvpx', 'mjpeg', 'flv', 'rv10', 'roqvideo', 'dvvideo')
FIRST_SOUND = ('pcm_s16le', 'mp2', 'aac', 'ac3', 'libopus', 'libmp3lame', 'flac', 'roq_dpcm')


def recipe(box, codec, sound, b_frames) -> Recipe:
    "Frames at a constant rate, and a burst with three of them."
    k, s = VIDEO[codec], SOUND[sound]
    rate = Fraction(25) if 25 in k.rates else k.rates[0]
    size = (576, 720) if box.format == 'gxf' else k.sizes[0] if k.sizes else tuple(2 * n // 16 * 16 for n in box.lowest)
    bursts = tuple(float(round(t * rate) / rate) for t in PLACES.values())
    heard = next((r for r in s.rates if r in box.rates), s.rates[0])
    layout = 'stereo' if box.format == 'dv' else s.layouts[0]
    track = Track(sound, heard, layout, 'all', Fraction(0), Fraction(SECONDS), bursts)
    times = tuple(range(round(SECONDS * rate)))
    return Recipe(
        0,
        box,
        codec,
        k.formats[0],
        size,
        rate,
        1 / rate,
        times,
        'constant',
        b_frames,
        12,
        'upright',
        '',
        Fraction(0),
        (track,),
    )


def written(made, path) -> bool:
    "Whether the wheel can write this recipe and FFmpeg read it back: frames, bursts, and times that fit the samples."
    rate = made.tracks[0].rate
    try:
        recordings.write(made, path)
        with av.open(str(path)) as c:
            seen = sum(1 for _ in c.decode(c.streams.video[0]))
        with av.open(str(path)) as c:
            frames = list(c.decode(c.streams.audio[0]))
        times, samples = np.array([(float(f.pts * f.time_base), f.samples) for f in frames]).T
    except (av.error.FFmpegError, AttributeError, IndexError, OSError, TypeError, ValueError):
        return False
    away = np.abs(times[:-1] - times[:1] - (np.cumsum(samples) - samples)[:-1] / rate).max(initial=0)
    found = np.array([t for _, t in recordings.heard(np.concatenate([mono(f) for f in frames]), rate, 1)])
    whole = len(found) == len(PLACES) and np.abs(np.diff(found) - np.diff(made.tracks[0].bursts)).max() < 0.005
    return seen >= 0.95 * len(made.times) and whole and away < 0.005 and {f.sample_rate for f in frames} == {rate}


def mono(f) -> np.ndarray:
    "The first channel of a frame of sound, float64 [n], of any scale."
    x = f.to_ndarray().astype(float)
    x = x[0] if f.format.is_planar else x.reshape(-1, f.layout.nb_channels)[:, 0]
    kind = f.format.name.rstrip('p')
    return (x - 128) / 128 if kind == 'u8' else x / dict(s16=2**15, s32=2**31).get(kind, 1)


def grid(made) -> float:
    "What the container cannot tell, ms."
    track, box = made.tracks[0], made.box
    if box.counted:
        return 1000 * max(1 / float(made.rate), SOUND[track.codec].delay / track.rate)
    return 1000 * float(box.tick or MS * box.matrix)


def errors(made, path) -> list:
    "Error (ms) at each of the places; NaN where the frame is not seen or the burst is not heard."
    from avnb.media import read_clip

    out = []
    for t in made.tracks[0].bursts:
        clip = read_clip(path, t - 0.25, 0.5, 1000, (60, 84), 16000)
        seen = [found is not None and found[0] >= round(t * made.rate) for found in recordings.recognise(clip.frames)]
        when = [s for k, s in recordings.heard(clip.waveform, 16000, 1)]
        late = min(when, key=lambda s: abs(s - 0.25), default=np.nan)
        out.append(1000 * (seen.index(True) / 1000 - late) if True in seen else np.nan)
    return out


def measure(box, work) -> list:
    "Rows of one container."

    def row(video, sound, b_frames):
        made = recipe(box, video, sound, b_frames)
        path = work / f'sync.{box.ending}'
        if not written(made, path):
            return []
        head = [box.ending, video, sound, b_frames]
        return [[*head, w, f'{e:.2f}', f'{grid(made):.2f}'] for w, e in zip(PLACES, errors(made, path), strict=True)]

    pairs = ((v, s) for v in (*FIRST_VIDEO, *VIDEO) for s in (*FIRST_SOUND, *SOUND))
    found = next((p for p in pairs if row(*p, 0)), None)
    if found is None:
        return []
    rows = [r for v in VIDEO for b in (0, 2)[: 1 + (VIDEO[v].b_frames > 0)] for r in row(v, found[1], b)]
    return rows + [r for s in SOUND if s != found[1] for r in row(found[0], s, 0)]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument(
        '--containers',
        nargs='+',
        default=list(CONTAINERS),
        choices=list(CONTAINERS),
        metavar='ENDING',
        help=f'of {", ".join(CONTAINERS)}; all if not said',
    )
    p.add_argument('--out', default=str(Path(__file__).parent / 'results' / 'sync.csv'), help='the table')
    a = p.parse_args()
    recordings.VIDEO.update(MORE_VIDEO)
    recordings.SOUND.update(MORE_SOUND)
    rows = []
    with tempfile.TemporaryDirectory() as work:
        for name in a.containers:
            found = measure(CONTAINERS[name], Path(work))
            rows += found
            worst = max((abs(float(r[5])) for r in found), default=np.nan)
            beyond = [r for r in found if not abs(float(r[5])) <= max(2, float(r[6]) + 0.1)]
            print(f'{name:5} {len(found) // 3:3} files, at most {worst:5.1f} ms, beyond: {len(beyond)}', flush=True)
            for r in beyond:
                print('     ', *r)
    with open(a.out, 'w', newline='') as f:
        w = csv.writer(f, lineterminator='\n')
        w.writerow(COLUMNS)
        w.writerows(rows)
    print(f'{Path(a.out).name}: {len(rows)} rows')


if __name__ == '__main__':
    main()

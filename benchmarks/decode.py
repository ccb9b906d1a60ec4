"""Clips per second of one core: ours against moviepy, the peers' way, torchcodec and an ffmpeg pipe, on original files
and on the packed set.

Every method reads the same list of (file, moment): 8 frames at 16 per second, 112 x 112, and 2 s of mono sound at 16
kHz. One process on one core, and what it starts stays on that core; counted are the processor's seconds, those of the
processes it starts included. Methods take turns for several rounds, the median counts. Originals are the H.264 files
of $AVNB_REAL_DATA (or ../shared/real) with a short side of 480 to 576 pixels and 48 pictures or more from one full one
to the next; without them, 480p files with a full picture every 250 that are written here. The packed set is `avnb pack
--layout shards` of the same windows; the other readers get its mp4 members as plain files, and the sound as flac,
which they read two to three times as fast as its wav members. Claims: within 5 % of the fastest on long-GOP originals;
at least 3 times the peers' way on the packed set; packed at least 10 times the originals.

    python benchmarks/decode.py                 # about four minutes on one core
    python benchmarks/decode.py --seconds 0.5 --rounds 1
"""

import argparse
import csv
import os
import subprocess
import tarfile
import tempfile
import time

os.environ.setdefault('OMP_NUM_THREADS', '1')
from pathlib import Path

import numpy as np

COLUMNS = ['files', 'gop', 'method', 'seed', 'metric', 'value', 'n']
T, FPS, SIZE, RATE, SOUND, WINDOW = 8, 16.0, 112, 16000, 2.0, 4.0
SAMPLES = round(SOUND * RATE)
AT = np.arange(T) / FPS


def ours(item):
    "avnb.media.read_clip: one open file, only what is asked."
    from avnb.media import read_clip

    c = read_clip(item['video'], item['start'], SOUND, FPS, (SIZE, SIZE), RATE, grid=np.arange(T))
    return c.frames, c.waveform


def ours_packed(item):
    "avnb.clips: a member of a shard, found through the index."
    return item['shards'].read_one(
        item['slot'], item['first_frame'] + np.arange(T), round(item['start'] * RATE), SAMPLES
    )


def peers(item):
    """Frame by frame through PyAV to PIL and its resize, then a log spectrogram, all in the worker (as AVID-CMA's
    loader does)."""
    import av
    import scipy.signal
    from PIL import Image

    start, frames, out = item['start'], [], item['start'] + AT
    with av.open(str(item['video'])) as c:
        s = c.streams.video[0]
        zero = (s.start_time or 0) * s.time_base
        c.seek(int((start + zero) / s.time_base), stream=s, backward=True)
        for f in c.decode(s):
            if f.time - zero < out[len(frames)] - 0.5 / FPS:
                continue
            image = f.to_image().resize((SIZE, SIZE), Image.BILINEAR)
            while len(frames) < T and f.time - zero >= out[len(frames)] - 0.5 / FPS:
                frames.append(np.asarray(image))
            if len(frames) == T:
                break
    with av.open(str(item['sound'])) as c:
        s = c.streams.audio[0]
        c.seek(int(max(start - 0.1, 0) / s.time_base), stream=s, backward=True)
        r, parts, first = av.AudioResampler('flt', 'mono', RATE), [], None
        for f in c.decode(s):
            if first is None:
                first = f.time
            if f.time > start + SOUND + 0.1:
                break
            parts += [x.to_ndarray()[0] for x in r.resample(f)]
    skip = round((start - first) * RATE)
    sound = np.concatenate(parts)[max(skip, 0) :][:SAMPLES]
    z = scipy.signal.stft(sound, RATE, nperseg=512, noverlap=512 - 250)[2]
    10 * np.log10(np.maximum(np.abs(z) ** 2, 1e-10))
    return np.stack(frames), sound


def torchcodec(item, mode='exact'):
    "torchcodec, a new decoder per clip as in a loader over many files."
    import torch.nn.functional as F
    from torchcodec.decoders import AudioDecoder, VideoDecoder

    v = VideoDecoder(str(item['video']), num_ffmpeg_threads=1, seek_mode=mode, dimension_order='NCHW')
    a = AudioDecoder(str(item['sound']), sample_rate=RATE, num_channels=1)
    start = item['start'] + (v.metadata.begin_stream_seconds or 0)
    last = (v.metadata.end_stream_seconds or 1e9) - 1e-3
    x = v.get_frames_played_at([min(start + t, last) for t in AT]).data
    if x.shape[-2:] != (SIZE, SIZE):
        x = F.interpolate(x, (SIZE, SIZE), mode='bilinear')
    return x.permute(0, 2, 3, 1).numpy(), a.get_samples_played_in_range(item['start'], item['start'] + SOUND).data[
        0
    ].numpy()


def torchcodec_approximate(item):
    "The same, trusting the header's times instead of scanning the file."
    return torchcodec(item, 'approximate')


def moviepy(item):
    "moviepy: an ffmpeg process for the picture, another for the sound."
    from moviepy import AudioFileClip, VideoFileClip
    from PIL import Image

    with VideoFileClip(str(item['video']), audio=False) as v:
        frames = np.stack(
            [
                np.asarray(Image.fromarray(v.get_frame(min(item['start'] + t, v.duration - 1e-3))).resize((SIZE, SIZE)))
                for t in AT
            ]
        )
    with AudioFileClip(str(item['sound']), fps=RATE) as a:
        sound = a.subclipped(item['start'], min(item['start'] + SOUND, a.duration)).to_soundarray(fps=RATE)
    return frames, sound.mean(1)


def ffmpeg_pipe(item):
    "One ffmpeg process per stream, raw bytes through a pipe."
    run = lambda *a: (
        subprocess.run(
            ['ffmpeg', '-v', 'error', '-threads', '1', '-ss', f'{item["start"]:.6f}', *a, 'pipe:1'],
            capture_output=True,
            check=True,
        ).stdout
    )
    v = run(
        '-i',
        str(item['video']),
        '-frames:v',
        str(T),
        '-vf',
        f'fps={FPS},scale={SIZE}:{SIZE}:flags=bilinear',
        '-f',
        'rawvideo',
        '-pix_fmt',
        'rgb24',
    )
    a = run('-t', str(SOUND), '-i', str(item['sound']), '-vn', '-ac', '1', '-ar', str(RATE), '-f', 'f32le')
    return np.frombuffer(v, np.uint8).reshape(-1, SIZE, SIZE, 3), np.frombuffer(a, np.float32)


METHODS = dict(
    ours=ours,
    torchcodec=torchcodec,
    torchcodec_approximate=torchcodec_approximate,
    peers=peers,
    ffmpeg_pipe=ffmpeg_pipe,
    moviepy=moviepy,
)


def originals(work, most):
    "(name of the set, files): real ones where there are any, else files written into `work`."
    root = Path(os.environ.get('AVNB_REAL_DATA') or Path(__file__).parents[2] / 'shared' / 'real')
    if (root / 'clips').is_dir():
        from avnb.media import MediaError, probe

        found = []
        for f in sorted((root / 'clips').iterdir()):
            try:
                info = probe(f)
            except MediaError:
                continue
            if (
                info['video_codec'] == 'h264'
                and info['audio_codec']
                and 480 <= min(info['width'], info['height']) <= 576
                and info['duration_s'] >= WINDOW
                and gop(f) >= 48
            ):
                found.append(f)
        if found:
            return 'real', found[:most]
    return 'written', [written(work / f'{k}.mp4', k) for k in range(4)]


def written(path, k):
    "A 480p file of 12 s with a full picture every 250: soft texture that drifts, and noise."
    from avnb.media import write_clip

    g = np.random.default_rng(k)
    big = np.kron(g.random((70, 90, 3)), np.ones((10, 10, 1)))
    big = (255 * (0.7 * big + 0.3 * g.random(big.shape))).astype(np.uint8)
    frames = np.stack([big[t // 4 : t // 4 + 480, t // 3 : t // 3 + 640] for t in range(300)])
    return write_clip(
        path,
        frames,
        (0.1 * g.standard_normal(12 * 44100)).clip(-1, 1).astype(np.float32),
        25,
        44100,
        crf=23,
        preset='medium',
        gop=250,
    )


def gop(path):
    "Mean number of pictures from one full one to the next."
    import av

    with av.open(str(path)) as c:
        keys = [p.is_keyframe for p in c.demux(video=0) if p.size]
    return len(keys) / max(sum(keys), 1)


def items(files, work, seed, n):
    "(items on originals, items on the packed set): the same moments of the same windows."
    import pandas as pd
    import soundfile

    from avnb.manifest import Manifest
    from avnb.packed import pack

    rows = []
    for f in files:
        from avnb.media import probe

        for k in range(int(probe(f)['duration_s'] // WINDOW)):
            rows.append(dict(id=f'{f.stem}_{k}', path=os.path.relpath(f, work), start_s=k * WINDOW, seconds=WINDOW))
    m = Manifest(work, pd.DataFrame(rows))
    shards = pack(m, work / 'packed', WINDOW, FPS, SIZE, RATE, layout='shards', workers=os.cpu_count())
    members = work / 'members'
    members.mkdir(exist_ok=True)
    for tar in sorted((work / 'packed').glob('*.tar')):
        with tarfile.open(tar) as t:
            t.extractall(members, filter='data')
    for f in members.glob('*.wav'):
        soundfile.write(f.with_suffix('.flac'), *soundfile.read(f, dtype='int16'), 'PCM_16')
    slots, g, a, b = [k for k in range(len(m)) if k not in shards.bad], np.random.default_rng(seed), [], []
    for _ in range(n):
        k = int(g.choice(slots))
        first = int(g.integers(0, (WINDOW - SOUND) * FPS + 1))
        at = first / FPS
        a.append(dict(video=m.path(k), sound=m.path(k), start=rows[k]['start_s'] + at))
        video, sound = (members / f'{k:09}.{e}' for e in ('mp4', 'flac'))
        b.append(dict(video=video, sound=sound, start=at, shards=shards, slot=k, first_frame=first))
    return a, b


def turn(f, todo, seconds, at):
    """Clips read in about `seconds`, from place `at` of the list on; returns (clips per second of the processor, next
    place)."""
    n, t, used = 0, time.perf_counter(), sum(os.times()[:4])
    while n < 3 or time.perf_counter() - t < seconds:
        f(todo[(at + n) % len(todo)])
        n += 1
    return n / (sum(os.times()[:4]) - used), at + n


def agreement(f, reference, todo):
    "Mean difference of pictures to ours (grey levels), and correlation of the sounds, over a few clips."
    d, r = [], []
    for item in todo[:4]:
        (x, s), (y, z) = f(item), reference(item)
        k = min(len(x), len(y))
        d.append(np.abs(x[:k].astype(float) - y[:k]).mean())
        k = min(len(s), len(z))
        s, z = s[:k], z[:k]
        r.append(float((s * z).sum() / max(np.sqrt((s**2).sum() * (z**2).sum()), 1e-12)))
    return float(np.mean(d)), float(np.median(r))


def measure(name, methods, todo, a):
    "Clips per second of each method; a method that is not installed has a row that says so."
    reference, speed, ok = methods['ours'], {}, {}
    for k, f in methods.items():
        try:
            ok[k] = agreement(f, reference, todo)
        except (ImportError, FileNotFoundError, RuntimeError) as e:
            print(f'{name:9} {k:24} absent: {type(e).__name__}: {str(e).splitlines()[0][:90]}')
    at = dict.fromkeys(ok, 0)
    for _ in range(a.rounds):
        for k in ok:
            v, at[k] = turn(methods[k], todo, a.seconds, at[k])
            speed.setdefault(k, []).append(v)
    speed = {k: float(np.median(v)) for k, v in speed.items()}
    for k in speed:
        print(
            f'{name:9} {k:24} {speed[k]:8.1f} clips/s   {speed[k] / speed["peers"]:5.2f} x peers   picture differs by '
            f'{ok[k][0]:4.1f}, sound r = {ok[k][1]:.3f}'
        )
    return {
        k: dict(
            clips_per_s=speed.get(k, float('nan')),
            picture_difference=ok.get(k, (np.nan,) * 2)[0],
            sound_correlation=ok.get(k, (np.nan,) * 2)[1],
        )
        for k in methods
    }, at


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--seconds', type=float, default=3.0, help='of each turn')
    p.add_argument('--rounds', type=int, default=5)
    p.add_argument('--files', type=int, default=40, help='originals at most')
    p.add_argument('--seed', type=int, default=0)
    p.add_argument('--out', default=str(Path(__file__).parent / 'results' / 'decode.csv'))
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as work:
        work = Path(work).resolve()
        kind, files = originals(work, a.files)
        first, second = items(files, work, a.seed, 200)
        if hasattr(os, 'sched_setaffinity'):
            os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[-1]})
        import torch

        torch.set_num_threads(1)
        sets = {f'originals ({kind})': (METHODS, first), 'packed': ({**METHODS, 'ours': ours_packed}, second)}
        rows, best = [], {}
        for name, (methods, todo) in sets.items():
            g = float(np.mean([gop(x) for x in {i['video'] for i in todo}]))
            result, n = measure(name.split()[0], methods, todo, a)
            for k, r in result.items():
                rows += [[name, round(g, 1), k, a.seed, m, f'{v:.4g}', n.get(k, 0)] for m, v in r.items()]
            best[name.split()[0]] = {k: r['clips_per_s'] for k, r in result.items()}
        o, q = best['originals'], best['packed']
        claims = dict(
            ours_over_fastest_other_on_originals=o['ours'] / np.nanmax([v for k, v in o.items() if k != 'ours']),
            ours_over_peers_on_packed=q['ours'] / q['peers'],
            packed_over_originals=q['ours'] / o['ours'],
        )
        for k, v in claims.items():
            print(f'{k}: {v:.2f}')
            rows.append(['both', '', 'ours', a.seed, k, f'{v:.4g}', ''])
    out = Path(a.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with open(out, 'w', newline='') as f:
        w = csv.writer(f, lineterminator='\n')
        w.writerow(COLUMNS)
        w.writerows(rows)
    print(f'{out.name}: {len(rows)} rows')


if __name__ == '__main__':
    main()

"""Picture and sound at the same instant: which frame is on the screen, containers without times, clocks that start
again, lengths and rates that are guesses, indexes that lie. Every file is made here, or is a known fault."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

import avnb.index
from avnb.index import doctor, examine, index_folder
from avnb.manifest import Manifest
from avnb.media import MediaError, probe, read_clip, write_clip
from avnb.packed import ClipError, PackedSet, adopt, pack

SAMPLES = Path(__file__).parents[1] / 'data_samples'
EVENTS = (0.4, 1.2, 2.0, 3.4, 4.8, 5.6)  # s: flash and tone begin together
RATE, SECONDS, FPS = 48000, 6, 25


# ---- files


def scene(seconds=SECONDS, seed=0):
    "Noise that drifts, with flashes of 0.12 s, and tones as long: frames [T,64,80,3], samples at 48 kHz."
    r = np.random.default_rng(seed)
    drift = np.cumsum(r.normal(size=(seconds * FPS, 8, 10, 3)), 0) * 4 + 80
    frames = np.clip(drift, 0, 150).astype(np.uint8).repeat(8, 1).repeat(8, 2)
    sound = (r.normal(size=seconds * RATE) * 0.002).astype(np.float32)
    tone = 0.8 * np.sin(2 * np.pi * 1000 * np.arange(round(0.12 * RATE)) / RATE)
    for t in EVENTS:
        if t > seconds - 0.2:
            continue
        frames[round(t * FPS) : round(t * FPS) + 3] = 255
        sound[round(t * RATE) : round(t * RATE) + len(tone)] = tone
    return frames, sound


def pictures(stream, frames, times=None):
    "Encoder packets of frames shown at `times` (s), or 25 a second."
    for k, x in enumerate(frames):
        f = av.VideoFrame.from_ndarray(x, format='rgb24').reformat(format=stream.codec_context.pix_fmt)
        f.pts, f.time_base = (k, Fraction(1, FPS)) if times is None else (round(times[k] * 1000), Fraction(1, 1000))
        yield from stream.encode(f)
    yield from stream.encode(None)


def samples(stream, sound, rate=RATE, layout='mono'):
    "Encoder packets of sound."
    c = stream.codec_context
    n, how = c.frame_size or 1024, av.AudioResampler(c.format.name, layout, rate)
    for i in range(0, len(sound), n):
        f = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound[None, i : i + n]), format='flt', layout='mono')
        f.sample_rate, f.pts, f.time_base = rate, i, Fraction(1, rate)
        for g in how.resample(f):
            yield from stream.encode(g)
    yield from stream.encode(None)


def film(path, codec='libx264', sound='aac', b=2, seconds=SECONDS, container=None, at=0.0):
    "The scene in any container and codec, with `b` B-frames in a row, its clock beginning at `at` s."
    frames, heard = scene(seconds)
    with av.open(str(path), 'w', format=container, options={'output_ts_offset': str(at)} if at else {}) as c:
        how = (
            dict(pix_fmt='yuvj420p') if codec == 'mjpeg' else dict(pix_fmt='yuv420p', options={'bf': str(b), 'g': '24'})
        )
        v = c.add_stream(codec, rate=FPS, width=80, height=64, **how)
        v.bit_rate = 2_000_000
        streams = [v] + ([c.add_stream(sound, rate=RATE, layout='mono')] if sound else [])
        for s in streams:
            s.codec_context.open()
        packets = [*pictures(v, frames)] + ([*samples(streams[1], heard)] if sound else [])
        for p in sorted(packets, key=lambda p: (p.dts or 0) * p.time_base):
            c.mux(p)
    return path


def sparse(path, times, seconds, container=None):
    "A film whose k-th frame has the grey level 10 + 20 k and is shown from times[k] on; its sound lasts `seconds`."
    frames = [np.full((64, 80, 3), 10 + 20 * k, np.uint8) for k in range(len(times))]
    noise = (np.random.default_rng(1).normal(size=round(seconds * RATE)) * 0.1).astype(np.float32)
    with av.open(str(path), 'w', format=container) as c:
        v = c.add_stream('libx264', rate=30, width=80, height=64, pix_fmt='yuv420p', options={'bf': '0', 'crf': '10'})
        v.codec_context.time_base = Fraction(1, 1000)
        a = c.add_stream('aac', rate=RATE, layout='mono')
        for s in (v, a):
            s.codec_context.open()
        packets = [*pictures(v, frames, times), *samples(a, noise)]
        for p in sorted(packets, key=lambda p: p.dts * p.time_base):
            c.mux(p)
    return path


def moved(src, dst, first=0, change=lambda data, k: data, container='avi'):
    """A copy of an AVI from the packet `first` of its picture on, its sound from that moment; `change`s the pictures'
    bytes."""
    with av.open(str(src)) as c, av.open(str(dst), 'w', format=container) as o:
        c.flags &= ~av.container.Flags.gen_pts.value
        streams = {s.index: o.add_stream_from_template(s) for s in c.streams}
        packets = [p for p in c.demux() if p.size]
        video = [p for p in packets if p.stream.type == 'video'][first:]
        begin, out = video[0].dts * video[0].time_base, []
        for k, p in enumerate(video):
            q = av.Packet(change(bytes(p), k))
            q.pts = q.dts = p.dts - video[0].dts if k else 0
            q.time_base, q.duration, q.is_keyframe, q.stream = p.time_base, 1, p.is_keyframe, streams[p.stream.index]
            out.append(q)
        shift = None
        for p in packets:
            if p.stream.type != 'audio' or p.dts * p.time_base < begin:
                continue
            shift = p.dts if shift is None else shift
            p.pts = p.dts = p.dts - shift
            p.stream = streams[p.stream.index]
            out.append(p)
        for p in sorted(out, key=lambda p: p.dts * p.time_base):
            o.mux(p)
    return dst


# ---- what is measured


def onset(x, high):
    "Numbers of what is high after it was not for a while."
    on = np.flatnonzero(x > high)
    return on[np.diff(on, prepend=-(10**6)) > 400 if x.size > 5000 else np.diff(on, prepend=-(10**6)) > 4]


def seen_and_heard(path, at):
    "When the event at about `at` s is seen and heard, s (a grid of 2 ms; samples)."
    begin = max(at - 0.2, 0)
    clip = read_clip(path, begin, 0.5, 500, size=(16, 16))
    flash = begin + onset(clip.frames.mean((1, 2, 3)), 200) / 500
    tone = begin + onset(np.abs(clip.waveform), 0.25) / clip.rate
    return [min(x, key=lambda t: abs(t - at), default=np.nan) for x in (flash, tone)]


def together(path, events=(EVENTS[0], EVENTS[2], EVENTS[5]), delay=0.0, late=0.0):
    """Assert that each event is seen at its time (s, moved by `late`), and heard within 2 ms of that (and the codec's
    `delay`)."""
    for t in events:
        flash, tone = seen_and_heard(path, t + late)
        assert abs(flash - t - late) < 0.0021, f'{path.name}: {t} s is seen at {flash:.3f}'
        assert abs(tone - delay - flash) < 0.002, f'{path.name}: {t} s is seen at {flash:.3f} and heard at {tone:.4f}'


def same_from_any_start(path, seconds, n=6, fps=50):
    "Assert that clips at random starts are parts of the whole."
    whole = read_clip(path, 0, seconds, fps, size=(24, 24))
    for k in np.random.default_rng(0).integers(0, int((seconds - 0.6) * fps), n):
        clip = read_clip(path, k / fps, 0.5, fps, size=(24, 24))
        want = whole.frames[k : k + len(clip.frames)]
        assert np.abs(clip.frames[: len(want)].astype(int) - want).mean((1, 2, 3)).max() < 1, (path.name, k / fps)
        sound = whole.waveform[k * 16000 // fps :][: len(clip.waveform)]
        assert np.abs(clip.waveform[: len(sound)] - sound).max() < 0.03, (path.name, k / fps)


# ---- known faults


@pytest.fixture(scope='module')
def faults(real_data):
    return real_data / 'faults'


def test_frames_that_stay_for_seconds(faults):
    frames = read_clip(faults / 'vfr.mp4', 0, 20, 10, size=32).frames
    white = np.flatnonzero(frames.mean((1, 2, 3)) > 10) / 10
    assert set(white) == {k / 10 for k in (*range(50, 61), *range(90, 101))}  # 5.00 to 6.03 and 9.00 to 10.03 s
    assert (frames[101:] == frames[101]).all()
    assert probe(faults / 'vfr.mp4')['duration_s'] == 20.0 and probe(faults / 'vfr.mp4')['picture_s'] < 10.1


def test_one_frame_a_second(faults):
    clip = read_clip(faults / 'onefps.mp4', 0, 12, 8, size=32)
    white = np.flatnonzero(clip.frames.mean((1, 2, 3)) > 100) / 8
    loud = np.flatnonzero(np.abs(clip.waveform) > 0.05) / 16000
    assert (white[0], white[-1]) == (5, 7 - 1 / 8) and abs(loud[0] - 5) < 0.03 and abs(loud[-1] - 7) < 0.03


@pytest.mark.parametrize('name', ['flash_bf.avi', 'flash_nobf.avi'])
def test_flashes_in_avi(faults, name):
    for t in (1, 4, 7):
        flash, tone = seen_and_heard(faults / name, t)
        assert abs(flash - t) < 0.0021 and abs(tone - t) < 0.002, (flash, tone)
    same_from_any_start(faults / name, 8)


def test_a_transport_stream_joined_to_itself(faults):
    about = probe(faults / 'cat.ts')
    assert about['duration_s'] == pytest.approx(12, abs=0.03) and about['picture_s'] == pytest.approx(12, abs=1e-3)
    clip = read_clip(faults / 'cat.ts', 0, 12, 25, size=24)
    loud = onset(np.abs(clip.waveform), 0.4) / clip.rate
    assert np.abs(loud - np.arange(len(loud)) - round(loud[0])).max() < 0.002 and len(loud) >= 11
    assert clip.pad_frames == clip.pad_samples == 0 and (clip.frames[150:] == clip.frames[:150]).all()
    same_from_any_start(faults / 'cat.ts', 12, fps=25)


def test_aac_without_a_length(faults):
    assert probe(faults / 'sound.aac')['duration_s'] == pytest.approx(60, abs=0.03)
    clip = read_clip(faults / 'sound.aac', 58, 3, video=False)
    assert abs(clip.pad_samples - 16000) < 400


# ---- held, not nearest


@pytest.mark.parametrize('ending', ['mp4', 'mkv', 'ts', 'flv'])
def test_a_frame_stays_until_the_next(tmp_path, ending):
    times = np.array([0, 1.5, 1.52, 3.04, 4.4, 4.6])
    path = sparse(tmp_path / f'x.{ending}', times, 8)
    for start in (0.0, 0.7, 1.51, 2.99, 3.6, 4.3):
        clip = read_clip(path, start, 1.0, 40)
        for k, x in enumerate(clip.frames):
            t = start + k / 40
            if np.abs(times - t).min() < 0.002:
                continue  # milliseconds
            assert abs(x.mean() - (10 + 20 * (np.searchsorted(times, t) - 1))) < 4, t


def test_constant_rates_are_read_as_they_were():
    "Each frame once, at the files' own rate; the pictures that sample worlds and trained weights were made with."
    for path in sorted((SAMPLES / 'clips').iterdir())[::6]:
        with av.open(str(path)) as c:
            every = np.stack([f.to_ndarray(format='rgb24') for f in c.decode(video=0)])
        assert (read_clip(path, 0, 2, 16).frames == every).all() and len(every) == 32
        assert (read_clip(path, 0.5, 1, 16).frames == every[8:24]).all()


@pytest.mark.parametrize('fps, ending', [(30, 'mkv'), (24, 'flv'), (Fraction(30000, 1001), 'webm'), (60, 'mkv')])
def test_rounded_times_lose_no_frame(tmp_path, fps, ending):
    "Matroska and FLV keep milliseconds."
    levels = np.random.default_rng(2).permutation(60) * 4
    with av.open(str(tmp_path / f'x.{ending}'), 'w') as c:
        v = c.add_stream('libvpx' if ending == 'webm' else 'libx264', rate=fps, width=80, height=64, pix_fmt='yuv420p')
        v.bit_rate = 4_000_000
        for k, level in enumerate(levels):
            f = av.VideoFrame.from_ndarray(np.full((64, 80, 3), level, np.uint8), format='rgb24')
            f.pts, f.time_base = k, 1 / Fraction(fps)
            c.mux(v.encode(f.reformat(format='yuv420p')))
        c.mux(v.encode(None))
    seen = read_clip(tmp_path / f'x.{ending}', 0, 60 / fps, float(fps)).frames.mean((1, 2, 3))
    assert np.abs(seen - levels).max() < 6


@pytest.mark.parametrize('ending', ['mp4', 'mkv', 'ts'])
def test_a_picture_that_ends_first(tmp_path, ending):
    "The last frame stays; the clip ends with its sound, and the doctor says so."
    path = sparse(tmp_path / f'x.{ending}', [0, 0.5, 1.0, 1.5], 6)
    about = probe(path)
    assert about['duration_s'] == pytest.approx(6, abs=0.05) and 1.5 < about['picture_s'] < 2.6
    for start in (1.0, 4.0):
        clip = read_clip(path, start, 3.0, 10)
        assert clip.pad_frames in ((0,) if start == 1 else (9, 10)) and abs(clip.frames[-1].mean() - 70) < 4, start
        assert clip.pad_samples == pytest.approx(0 if start == 1 else 16000, abs=1000)
    assert read_clip(path, 4.0, 3.0, 10, audio=False).pad_frames in (9, 10)  # AAC ends on a whole block
    with pytest.raises(MediaError, match=r'end of the picture at \d\.\d+ s and of the sound at 6\.\d+ s'):
        read_clip(path, 6.5, 1.0)
    rows = examine(str(tmp_path), path.name, 'x', None, None)
    assert rows[0]['duration_s'] == pytest.approx(6, abs=0.05) and rows[0]['picture_s'] < 2.6
    m = index_folder(tmp_path, workers=0)
    assert 'video ends before the audio' in str(doctor(m)) and Manifest.load(tmp_path).table['picture_s'][0] < 2.6


# ---- containers that keep no times


@pytest.mark.parametrize(
    'codec, b', [('mpeg4', 0), ('mpeg4', 2), ('libx264', 0), ('libx264', 3), ('mpeg2video', 2), ('mjpeg', 0)]
)
def test_avi(tmp_path, codec, b):
    path = film(tmp_path / 'x.avi', codec, 'pcm_s16le', b)
    together(path)
    same_from_any_start(path, SECONDS)


@pytest.mark.parametrize(
    'ending, codec, sound',
    [
        ('mkv', 'libx264', 'aac'),
        ('mkv', 'mpeg4', 'libmp3lame'),
        ('mov', 'libx265', 'pcm_s16le'),
        ('ts', 'libx264', 'ac3'),
        ('mpg', 'mpeg2video', 'mp2'),
        ('vob', 'libx264', 'mp2'),
        ('flv', 'libx264', 'aac'),
        ('wmv', 'libx264', 'libmp3lame'),
        ('webm', 'libvpx-vp9', 'libopus'),
        ('mxf', 'mpeg2video', 'pcm_s16le'),
    ],
)
def test_other_containers_with_b_frames(tmp_path, ending, codec, sound):
    together(film(tmp_path / f'x.{ending}', codec, sound))


@pytest.mark.parametrize('codec', ['mpeg4', 'libx264', 'mpeg2video'])
def test_an_avi_cut_out_of_another(tmp_path, codec):
    "B-frames after the first key frame, but shown before it, cannot be decoded: the sound must not slip by them."
    whole = film(tmp_path / 'x.avi', codec, 'pcm_s16le', 2)
    with av.open(str(whole)) as c:
        keys = [k for k, p in enumerate(c.demux(video=0)) if p.is_keyframe]
    path = moved(whole, tmp_path / 'cut.avi', keys[2])
    gaps = [np.subtract(*seen_and_heard(path, t - keys[2] / FPS)) for t in EVENTS if t - keys[2] / FPS > 0.3]
    assert len(gaps) >= 3 and np.ptp(gaps) < 0.0021 and abs(gaps[0]) < 0.022, (
        gaps
    )  # sound is cut at whole chunks of 21 ms


def test_packed_b_frames(tmp_path):
    "DivX stores a frame and the B-frame before it in one chunk, and an empty one after it."
    whole = film(tmp_path / 'x.avi', 'mpeg4', 'pcm_s16le', 1)
    with av.open(str(whole)) as c:
        data = [bytes(p) for p in c.demux(video=0) if p.size]
    kinds = [x[x.index(b'\0\0\1\xb6') + 4] >> 6 for x in data]  # 2: a B-frame
    for k in range(len(data) - 1):
        if kinds[k] != 2 and kinds[k + 1] == 2:
            data[k], data[k + 1] = data[k] + data[k + 1], b'\0\0\1\xb6\x51\x80'
    data = [
        x.replace(b'\0\0\1\xb6', b'\0\0\1\xb2DivX503b1393p\0\0\1\xb6', 1) if not kind else x
        for x, kind in zip(data, kinds)
    ]
    path = moved(whole, tmp_path / 'packed.avi', 0, lambda x, k: data[k])
    assert kinds.count(2) > 40
    together(path)
    same_from_any_start(path, SECONDS)


@pytest.mark.parametrize(
    'ending, codec', [('h264', 'libx264'), ('m2v', 'mpeg2video'), ('m4v', 'mpeg4'), ('mjpeg', 'mjpeg')]
)
def test_raw_streams_give_every_frame_once(tmp_path, ending, codec):
    container = dict(m2v='mpeg2video').get(ending, ending)
    path = film(tmp_path / f'x.{ending}', codec, None, container=container)
    frames, _ = scene()
    clip = read_clip(path, 0, SECONDS, FPS)
    assert np.abs(clip.frames.astype(int) - frames).mean((1, 2, 3)).max() < 12
    assert (probe(path)['fps'], probe(path)['duration_s']) == (FPS, SECONDS) and clip.pad_frames == 0
    same_from_any_start(path, SECONDS)


# ---- indexes that lie


def without(data, first, last):
    "An AVI without the entries first to last (fractions) of its index."
    at = data.rindex(b'idx1')
    n = int.from_bytes(data[at + 4 : at + 8], 'little') // 16
    entries = data[at + 8 : at + 8 + 16 * round(first * n)] + data[at + 8 + 16 * round(last * n) : at + 8 + 16 * n]
    return data[: at + 4] + len(entries).to_bytes(4, 'little') + entries


def elsewhere(data):
    "An AVI whose index points 20 kB too far."
    at = data.rindex(b'idx1')
    table = np.frombuffer(data[at + 8 :], '<u4').copy()
    table[2::4] += 20000
    return data[: at + 8] + table.tobytes()


def called_keys(data, value):
    "An AVI whose index calls every frame a key frame (16), or none (0)."
    at = data.rindex(b'idx1')
    table = np.frombuffer(data[at + 8 :], '<u4').copy()
    table[1::4] = value
    return data[: at + 8] + table.tobytes()


@pytest.mark.parametrize(
    'break_it',
    [
        lambda d: without(d, 0.2, 0.4),
        lambda d: without(d, 0.5, 1),
        lambda d: d[: d.rindex(b'idx1')],
        elsewhere,
        lambda d: called_keys(d, 16),
        lambda d: called_keys(d, 0),
    ],
    ids='entries half none elsewhere keys no_keys'.split(),
)
@pytest.mark.parametrize('codec', ['mpeg4', 'libx264'])
def test_an_avi_with_a_broken_index(tmp_path, codec, break_it):
    whole = film(tmp_path / 'x.avi', codec, 'pcm_s16le', 2)
    path = tmp_path / 'broken.avi'
    path.write_bytes(break_it(whole.read_bytes()))
    together(path)
    same_from_any_start(path, SECONDS)


# ---- clocks that start again

PIECES = [('ts', 'libx264', 'aac'), ('ts', 'mpeg2video', 'mp2'), ('mpg', 'mpeg2video', 'mp2')]


@pytest.mark.parametrize('ending, codec, sound', PIECES)
@pytest.mark.parametrize('second', [0, 11, 500, 2**33 / 90000 - 2], ids='again jump far wrap'.split())
def test_joined_streams_are_one_film(tmp_path, ending, codec, sound, second):
    "The second begins at the same time, 5 s later, far away, or two seconds before the clock is full."
    a, b = film(tmp_path / f'a.{ending}', codec, sound), film(tmp_path / f'b.{ending}', codec, sound, at=second)
    path = tmp_path / f'joined.{ending}'
    path.write_bytes(a.read_bytes() + b.read_bytes())
    about = probe(path)
    assert about['picture_s'] == pytest.approx(2 * SECONDS, abs=0.002) and about['fps'] == FPS
    assert about['duration_s'] == pytest.approx(2 * SECONDS, abs=0.05)
    together(path)
    together(path, late=SECONDS)
    same_from_any_start(path, 2 * SECONDS, 8)
    rows = examine(str(tmp_path), path.name, 'x', 2.0, None)
    assert len(rows) == 6 and all(r['still_ratio'] < 0.5 for r in rows)


@pytest.mark.parametrize('ending', ['mkv', 'webm'])
@pytest.mark.parametrize('first', [5.0, 7.4, 0.0])
def test_joined_matroska_is_one_film(tmp_path, ending, first):
    "Not meant to be joined, but browsers' recordings are; whatever is read first."
    codec, sound = ('libx264', 'aac') if ending == 'mkv' else ('libvpx', 'libopus')
    path = tmp_path / f'joined.{ending}'
    path.write_bytes(film(tmp_path / f'a.{ending}', codec, sound).read_bytes() * 2)
    read_clip(path, first, 2.0)
    together(path)
    together(path, late=SECONDS)
    assert probe(path)['duration_s'] == pytest.approx(2 * SECONDS, abs=0.05)


def test_three_pieces_of_which_one_is_silent(tmp_path):
    pieces = [
        film(tmp_path / f'{k}.ts', 'libx264', 'aac' if k != 1 else None, seconds=4, at=at)
        for k, at in enumerate((9, 0, 70))
    ]
    path = tmp_path / 'joined.ts'
    path.write_bytes(b''.join(p.read_bytes() for p in pieces))
    assert probe(path)['picture_s'] == pytest.approx(12, abs=0.002)
    together(path, EVENTS[:4])
    together(path, EVENTS[:4], late=8)
    quiet = read_clip(path, 5, 2.0, FPS)
    assert quiet.pad_samples == 32000 and not quiet.waveform.any() and np.ptp(quiet.frames.mean((1, 2, 3))) > 1


@pytest.mark.parametrize('ending', ['mp4', 'flv'])
def test_what_no_player_shows_is_named(tmp_path, ending):
    "An mp4 has one index, FLV one header: what is joined to them is not read, and the doctor says so."
    film(tmp_path / f'x.{ending}', seconds=12)
    (tmp_path / f'x.{ending}').write_bytes((tmp_path / f'x.{ending}').read_bytes() * 2)
    size = (tmp_path / f'x.{ending}').stat().st_size
    about = probe(tmp_path / f'x.{ending}')
    assert about['duration_s'] == pytest.approx(12, abs=0.05) and abs(about['unread'] / size - 0.5) < 0.02
    assert 'what follows is not read' in str(doctor(index_folder(tmp_path, workers=0)))
    film(tmp_path / f'y.{ending}', seconds=12)
    assert probe(tmp_path / f'y.{ending}')['unread'] == 0


# ---- lengths and rates that are guesses


def loud_and_soft(seconds, rate):
    """One second in three is loud: an encoder of variable rate spends nearly all of its bits there, and at the
    beginning."""
    n = round(seconds * rate)
    x = np.random.default_rng(3).normal(size=n) * 0.2 * (np.arange(n) // rate % 3 == 0)
    return x.astype(np.float32)


def sound_only(path, codec, rate=44100, seconds=25, container=None, **options):
    with av.open(str(path), 'w', format=container, options={k: str(v) for k, v in options.items()}) as c:
        a = c.add_stream(codec, rate=rate, layout='mono')
        a.codec_context.open()
        for p in samples(a, loud_and_soft(seconds, rate), rate):
            c.mux(p)
    return path


@pytest.mark.parametrize(
    'name, codec, how',
    [
        ('x.aac', 'aac', {}),
        ('x.mp3', 'libmp3lame', dict(write_xing=0)),
        ('x.amr', 'libopencore_amrnb', dict(rate=8000)),
        ('x.ac3', 'ac3', {}),
        ('x.wv', 'wavpack', {}),
        ('x.flac', 'flac', {}),
        ('x.wav', 'pcm_s16le', {}),
    ],
)
def test_sound_is_as_long_as_its_packets(tmp_path, name, codec, how):
    path = sound_only(tmp_path / name, codec, **how)
    assert probe(path)['duration_s'] == pytest.approx(25, abs=0.06)
    whole = read_clip(path, 0, 25, video=False).waveform
    for k in (3, 12, 21):  # s at which it becomes loud
        clip = read_clip(path, k - 0.5, 1.0, video=False)
        loud = np.flatnonzero(np.abs(clip.waveform) > 0.1)[0] / 16000
        assert abs(loud - 0.5) < 0.08, (k, loud)  # an encoder's delay
        same = np.abs(whole[round((k - 0.5) * 16000) :][:16000])[::800], np.abs(clip.waveform)[::800]
        assert (np.convolve(same[0] > 0.05, np.ones(3)) > 0).any() and len(clip.waveform) == 16000
        assert clip.pad_samples < 1300


def test_variable_mp3_without_its_table(tmp_path):
    """As cut out of a stream: loud noise at 320 kbit/s, then silence at 32; a guess from the first frames is far too
    short."""
    parts = []
    for rate, scale in ((320, 0.3), (32, 0.001)):
        with av.open(str(tmp_path / f'{rate}.mp3'), 'w', options={'write_xing': '0', 'id3v2_version': '0'}) as c:
            a = c.add_stream('libmp3lame', rate=44100, layout='mono')
            a.bit_rate = rate * 1000
            a.codec_context.open()
            noise = (np.random.default_rng(rate).normal(size=20 * 44100) * scale).astype(np.float32)
            for p in samples(a, noise, 44100):
                c.mux(p)
        parts.append((tmp_path / f'{rate}.mp3').read_bytes())
    path = tmp_path / 'x.mp3'
    path.write_bytes(b''.join(parts))
    with av.open(str(path)) as c:
        assert c.duration / 1e6 < 25  # the guess
    assert probe(path)['duration_s'] == pytest.approx(40, abs=0.2)
    assert read_clip(path, 38, 2.0, video=False).pad_samples < 1000
    (tmp_path / 'x.wav').write_bytes(path.read_bytes())  # a name that soundfile opens, too
    assert (
        soundfile.info(str(tmp_path / 'x.wav')).duration < 39 or soundfile.info(str(tmp_path / 'x.wav')).format == 'MP3'
    )
    assert read_clip(tmp_path / 'x.wav', 38, 2.0, video=False).pad_samples < 1000


def test_rates_that_are_ticks(tmp_path):
    path, (frames, heard) = tmp_path / 'x.dv', scene(2)
    with av.open(str(path), 'w') as c:
        v = c.add_stream('dvvideo', rate=25, width=720, height=576, pix_fmt='yuv420p')
        a = c.add_stream('pcm_s16le', rate=RATE, layout='stereo')
        for k, x in enumerate(frames):
            f = av.VideoFrame.from_ndarray(x, format='rgb24').reformat(720, 576, 'yuv420p')
            f.pts, f.time_base = k, Fraction(1, 25)
            c.mux(v.encode(f))
            both = np.round(heard[k * 1920 : (k + 1) * 1920, None].repeat(2, 1) * 32767).astype(np.int16).reshape(1, -1)
            g = av.AudioFrame.from_ndarray(both, format='s16', layout='stereo')
            g.sample_rate, g.pts, g.time_base = RATE, k * 1920, Fraction(1, RATE)
            c.mux(a.encode(g))
    with av.open(str(path)) as c:
        assert c.streams.video[0].average_rate == 60000  # ticks
    assert (probe(path)['fps'], probe(path)['duration_s']) == (25, 2)
    together(path, EVENTS[:2])


# ---- what was kept by an earlier rule


@pytest.mark.parametrize('layout', ['raw', 'shards'])
def test_sets_packed_by_an_earlier_rule_are_refused(tmp_path, layout):
    frames, sound = np.random.default_rng(0).integers(0, 255, (16, 32, 32, 3), np.uint8), np.zeros(16000, np.float32)
    for k in range(3):
        write_clip(tmp_path / f'{k}.mp4', frames, sound + 0.01 * k, 16)
    m, how = index_folder(tmp_path, workers=0), dict(seconds=1.0, fps=16, size=32, rate=16000)
    out = tmp_path / 'packed'
    pack(m, out, workers=0, layout=layout, **how)
    old = (out / 'meta.json').read_text().replace('"reading": 2, ', '')
    assert old != (out / 'meta.json').read_text()
    (out / 'meta.json').write_text(old)
    for f in (lambda: PackedSet.load(out), lambda: pack(m, out, workers=0, layout=layout, **how)):
        with pytest.raises(ClipError, match='older version of avnb.*pack the manifest again into a new folder'):
            f()
    if layout == 'raw':
        assert len(adopt(out, m, **how)) == 3  # whoever made the arrays says that they are right


def test_an_index_that_was_begun_by_an_earlier_rule_begins_anew(tmp_path, monkeypatch):
    for k in range(2):
        sparse(tmp_path / f'{k}.mp4', [0, 0.5], 1)
    out = tmp_path / 'manifest.csv'

    def stop(*a, **k):
        raise KeyboardInterrupt

    monkeypatch.setattr(avnb.index, '_check_audio', stop)
    looked = []
    monkeypatch.setattr(avnb.index, 'examine', lambda *a: looked.append(a[1]) or examine(*a))
    for rule, want in ((1, ['0.mp4', '1.mp4']), (1, []), (2, ['0.mp4', '1.mp4'])):
        monkeypatch.setattr(avnb.index, 'READING', rule)
        looked.clear()
        with pytest.raises(KeyboardInterrupt):
            index_folder(tmp_path, out, workers=0)
        assert looked == want, rule

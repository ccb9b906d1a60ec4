"""Real and broken files: what each must do, in bounded time, without a leak and without a word on the terminal."""

import csv
import os
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest

from avnb.media import Clip, MediaError, probe, read_clip, write_clip


def rows(folder, name):
    with open(folder / name, newline='', encoding='utf-8') as f:
        return list(csv.DictReader(f))


def held(times, t):
    "The number of the frame that is on the screen at `t`: the last whose time has come, or the first."
    return max(int(np.searchsorted(times, t + 5.01e-4, 'right')) - 1, 0)


@pytest.fixture(scope='module')
def clapper():
    "Ten seconds of noise pictures with a flash and a click at the same instants: frames, sound, instants."
    r = np.random.default_rng(0)
    frames = (
        np.clip(np.cumsum(r.normal(size=(160, 8, 8, 3)), 0) * 6 + 90, 0, 180).astype(np.uint8).repeat(8, 1).repeat(8, 2)
    )
    sound = (r.normal(size=160000) * 0.002).astype(np.float32)
    at = [1.0, 2.4375, 4.75, 7.125, 9.5]
    for t in at:
        frames[round(t * 16)] = 255
        sound[round(t * 16000) : round(t * 16000) + 8] = 0.9
    return frames, sound, at


@pytest.fixture(scope='module')
def ffmpeg():
    "Runs FFmpeg's own program, which comes with moviepy: files that PyAV does not write."
    exe = pytest.importorskip(
        'imageio_ffmpeg', reason='imageio-ffmpeg (comes with moviepy) makes the rotated and damaged files'
    ).get_ffmpeg_exe()

    def run(*args):
        subprocess.run([exe, '-v', 'error', '-y', *map(str, args)], check=True)

    return run


# ---- real files


def test_every_real_clip_reads(real_data):
    files = rows(real_data, 'clips.csv')
    second = dict(
        width=480, height=270, duration_s=13.056, audio_rate=16000
    )  # the table has the first of this file's two films
    for r in files:
        if r['file'].startswith('clips/nasa-studio'):
            r |= second
        p, c = probe(real_data / r['file']), read_clip(real_data / r['file'], 0.3, 1.0, 16, size=64)
        assert (p['width'], p['height']) == pytest.approx((int(r['width']), int(r['height'])), abs=1), r['file']
        assert p['duration_s'] == pytest.approx(float(r['duration_s']), abs=0.2), r['file']
        assert p['audio_codec'] and p['rate'] == int(r['audio_rate']) and p['channels'] == int(r['channels']), r['file']
        assert (
            c.has_audio and c.frames.shape[0] == 16 and min(c.frames.shape[1:3]) == 64 and c.waveform.shape == (16000,)
        )
        assert np.isfinite(c.waveform).all() and np.abs(c.waveform).max() <= 1
    assert len(files) == 111


def test_every_odd_file_does_what_is_expected(real_data):
    files, wrong = rows(real_data, 'odd.csv'), []
    for r in files:
        t = time.process_time()  # the processor's seconds: other programs do not count
        try:
            c = read_clip(real_data / r['file'], 0.0, 2.0, 16, size=96)
            got, reason = ('read', '') if c.has_audio else ('video_only', 'no audio track')
            if not c.has_audio:
                assert c.pad_samples == 32000 and not c.waveform.any()
            assert c.frames.shape[0] == 32 and len(c.waveform) == 32000
        except MediaError as e:
            got, reason = 'error', e.reason
        seconds = time.process_time() - t
        if got != r['expect'] or not reason.startswith(r['reason']) or seconds > 5:
            wrong.append((r['file'], got, reason, r['expect'], round(seconds, 1)))
    assert len(files) == 47 and not wrong


def test_cover_art_is_not_the_video(real_data):
    for f in sorted((real_data / 'odd').glob('resources_embedded-image*')):
        assert (probe(f)['width'], probe(f)['video_codec']) == (640, 'h264'), f.name


def test_pixels_that_are_not_square(real_data):
    c = read_clip(real_data / 'odd' / 'resources_SAR-2by3.mp4', 0, 0.25, 8)
    assert c.frames.shape[1:3] == (360, 427)


def test_pictures_of_real_files_are_those_of_decoding_everything(real_data):
    "Random starts and rates against the naive reader; files small enough to decode whole."
    r, looked = np.random.default_rng(7), 0
    for row in rows(real_data, 'clips.csv')[::4]:
        f = real_data / row['file']
        if int(row['width']) * int(row['height']) > 360_000 or float(row['duration_s']) > 12:
            continue
        with av.open(str(f)) as c:
            v, avi = next(s for s in c.streams.video), c.format.name == 'avi'
            every = [
                (float((x.dts if avi else x.pts) * x.time_base), x.to_ndarray(format='rgb24'))
                for x in c.decode(v)
                if (x.dts if avi else x.pts) is not None
            ]
        times = np.array([t for t, _ in every])
        for start, fps in zip(r.uniform(0, times[-1] - times[0] - 0.6, 3), r.choice([6, 16, 25, 30], 3)):
            clip = read_clip(f, start, 0.5, fps, size=every[0][1].shape[:2], audio=False)
            for k, x in enumerate(clip.frames):
                want = every[held(times, times[0] + start + k / fps)][1]
                assert np.abs(x.astype(int) - want).mean() < 0.5, (row['file'], start, fps, k)
                looked += 1
    assert looked > 300


def test_no_descriptor_and_no_memory_leaks_and_nothing_is_printed(real_data):
    "In a process of its own: what FFmpeg says goes past Python's sys.stderr."
    code = """
import os, sys, resource
from pathlib import Path
from avnb.media import MediaError, probe, read_clip
files = sorted((Path(sys.argv[1]) / 'odd').iterdir())
def walk():
    for f in files:
        for start in (0.0, 0.9):
            try: probe(f); read_clip(f, start, 0.5, 8, size=32)
            except MediaError: pass
def state(): return len(os.listdir('/proc/self/fd')), int(open('/proc/self/statm').read().split()[1]) * 4096 / 1e6
walk(); a = state()
walk(); walk()
b = state()
assert b[0] == a[0], f'descriptors {a[0]} -> {b[0]}'
assert b[1] < a[1] + 60, f'memory {a[1]:.0f} -> {b[1]:.0f} MB'
"""
    if not Path('/proc/self/fd').exists():
        pytest.skip('counts descriptors in /proc, which this system does not have')
    done = subprocess.run([sys.executable, '-c', code, str(real_data)], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')


# ---- round trip


def test_picture_and_sound_stay_together(clapper, tmp_path):
    frames, sound, at = clapper
    f = write_clip(tmp_path / 'c.mp4', frames, sound, 16)
    for start in np.random.default_rng(1).uniform(0, 8, 12):
        c = read_clip(f, start, 2.0, 16)
        inside = [t for t in at if start + 0.07 < t < start + 1.93]
        flash = start + np.flatnonzero(c.frames.mean((1, 2, 3)) > 215) / 16
        for t in inside:
            assert (flash - t)[flash > t - 1e-6].min() < 1 / 16, (
                start,
                t,
                flash,
            )  # on the screen from t on, for one frame
            i = round((t - start) * 16000)
            near = np.abs(c.waveform[max(i - 400, 0) : i + 400])
            assert abs(near.argmax() - min(i, 400) - 3.5) <= 8, (start, t)


@pytest.mark.parametrize(
    'fps,rate,gop', [(16, 16000, None), (25, 44100, 12), (30000 / 1001, 48000, 250), (10, 22050, 1)]
)
def test_frames_are_exact_for_any_start(clapper, tmp_path, fps, rate, gop):
    frames, _, _ = clapper
    sound = (np.random.default_rng(2).normal(size=round(160 / fps * rate)) * 0.1).astype(np.float32)
    f = write_clip(tmp_path / 'c.mp4', frames, np.clip(sound, -1, 1), fps, rate, gop=gop)
    with av.open(str(f)) as c:
        every = [(float(x.pts * x.time_base), x.to_ndarray(format='rgb24')) for x in c.decode(video=0)]
    assert len(every) == 160
    whole = read_clip(f, 0, 160 / fps - 0.3, fps, rate=rate).waveform
    times = np.array([t for t, _ in every])
    for start in np.random.default_rng(3).uniform(0, 160 / fps - 1.5, 15):
        c = read_clip(f, start, 1.0, 16, rate=rate)
        for k, x in enumerate(c.frames):
            assert (x == every[held(times, start + k / 16)][1]).all(), (start, k)
        i = round(start * rate)
        assert c.pad_frames == 0 and c.pad_samples == 0 and np.abs(c.waveform - whole[i : i + rate]).max() < 1e-4, start


@pytest.mark.parametrize('start, seconds, fps, size', [(0, 3, 16, None), (2.7, 2, 30, 24), (5, 2, 7, (20, 34))])
def test_two_threads_give_the_same_pictures(clapper, tmp_path, start, seconds, fps, size):
    frames, sound, _ = clapper
    f = write_clip(tmp_path / 'c.mkv', frames, sound, 16)
    a, b = (read_clip(f, start, seconds, fps, size, threads=n) for n in (1, 2))
    assert (
        np.array_equal(a.frames, b.frames) and np.array_equal(a.waveform, b.waveform) and a.pad_frames == b.pad_frames
    )
    f.write_bytes(f.read_bytes()[: -f.stat().st_size // 3])  # what breaks in the middle breaks alike

    def outcome(n):
        try:
            c = read_clip(f, start, seconds, fps, size, threads=n)
            return c.frames.tobytes(), c.pad_frames
        except MediaError as e:
            return str(e)

    assert outcome(1) == outcome(2)


def test_same_input_same_bytes(clapper, tmp_path):
    frames, sound, _ = clapper
    assert len({write_clip(tmp_path / f'{i}.mp4', frames, sound, 16).read_bytes() for i in range(8)}) == 1


def test_rotated_by_a_phone(clapper, tmp_path, ffmpeg):
    frames = np.zeros((16, 48, 96, 3), np.uint8)
    frames[:, :16, :16] = 255  # a mark in the upper left corner
    f = write_clip(tmp_path / 'flat.mp4', frames, None, 16)
    corner = {
        90: (slice(-16, None), slice(0, 16)),
        -90: (slice(0, 16), slice(-16, None)),
        180: (slice(-16, None), slice(-16, None)),
    }
    for angle, where in corner.items():
        g = tmp_path / f'turned{angle}.mp4'
        ffmpeg('-display_rotation', angle, '-i', f, '-c', 'copy', g)
        c = read_clip(g, 0, 0.5, 16)
        assert (
            c.frames.shape[1:3] == ((48, 96) if angle == 180 else (96, 48)) == (probe(g)['height'], probe(g)['width'])
        )
        assert c.frames[(slice(None), *where)].mean() > 200 and c.frames.mean() < 80, angle
        reference = tmp_path / 'upright.mp4'
        ffmpeg('-i', g, '-c:v', 'libx264', '-crf', '5', reference)  # FFmpeg's own idea of upright
        assert np.abs(read_clip(reference, 0, 0.5, 16).frames.astype(int) - c.frames).mean() < 6


def test_variable_frame_rate(clapper, tmp_path, ffmpeg):
    frames, sound, _ = clapper
    f = write_clip(tmp_path / 'c.mp4', frames, sound, 16, crf=10)
    g = tmp_path / 'vfr.mkv'
    ffmpeg(
        '-i',
        f,
        '-vf',
        "select='not(between(n,20,44))*not(eq(mod(n,7),3))'",
        '-fps_mode',
        'vfr',
        '-c:a',
        'copy',
        '-crf',
        '10',
        g,
    )
    kept = np.array([n for n in range(160) if not 20 <= n <= 44 and n % 7 != 3])
    for start in (0, 0.7, 1.3, 2.6, 5.05):
        c = read_clip(g, start, 1.5, 16)
        want = kept[[held(np.round(kept / 16, 3), start + k / 16) for k in range(24)]]  # Matroska rounds to 1 ms
        assert np.abs(c.frames.astype(int) - frames[want]).mean() < 8, start


@pytest.mark.parametrize('shift', [0.4, -0.3])
def test_streams_that_begin_at_different_times(clapper, tmp_path, ffmpeg, shift):
    frames, sound, at = clapper
    f = write_clip(tmp_path / 'c.mp4', frames, sound, 16)
    g = tmp_path / 'late.mkv'
    ffmpeg('-i', f, '-itsoffset', shift, '-i', f, '-map', '0:v', '-map', '1:a', '-c:v', 'copy', '-c:a', 'pcm_s16le', g)
    for start in (0.0, 2.0):
        c = read_clip(g, start, 6.0, 16)
        missing = max(shift - start, 0) * 16000
        assert abs(c.pad_samples - missing) <= 32
        for t in at:
            i = round((t + shift - start) * 16000)
            if 400 < i < 95000:
                assert abs(np.abs(c.waveform[i - 400 : i + 400]).argmax() - 403.5) <= 24, (
                    start,
                    t,
                )  # Matroska rounds to 1 ms


def test_damage_costs_only_what_is_damaged(clapper, tmp_path):
    frames, sound, _ = clapper
    f = write_clip(tmp_path / 'c.mp4', frames, sound, 16)
    data = bytearray(f.read_bytes())
    n = len(data)
    data[n // 2 : n // 2 + n // 20] = np.random.default_rng(0).integers(0, 256, n // 20, dtype=np.uint8).tobytes()
    (tmp_path / 'scratched.mp4').write_bytes(data)
    for start in np.arange(0, 9, 0.75):
        c = read_clip(tmp_path / 'scratched.mp4', start, 1.0, 16)
        assert c.frames.shape[0] == 16 and np.isfinite(c.waveform).all()
    head, ref = (read_clip(p, 0.5, 1.0, 16) for p in (tmp_path / 'scratched.mp4', f))
    assert (head.frames == ref.frames).all()


def test_random_damage_never_hangs_or_escapes(clapper, tmp_path):
    "Forty ways of breaking a file: a clip or a MediaError, nothing else, and soon."
    frames, sound, _ = clapper
    good, r = write_clip(tmp_path / 'c.mp4', frames[:64], sound[:64000], 16).read_bytes(), np.random.default_rng(5)
    for i in range(40):
        data = bytearray(good)
        if i % 2:
            data = data[: r.integers(1, len(data))]
        for _ in range(r.integers(1, 30)):
            data[r.integers(0, len(data))] = r.integers(0, 256)
        f = tmp_path / f'{i}.mp4'
        f.write_bytes(data)
        t = time.process_time()
        try:
            assert isinstance(read_clip(f, float(r.uniform(0, 3)), 1.0, 16), Clip)
        except MediaError as e:
            assert e.reason and e.path == str(f)
        assert time.process_time() - t < 5


def test_nothing_decodable_is_an_error(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (16, 64, 64, 3), dtype=np.uint8)
    data = bytearray(write_clip(tmp_path / 'c.mp4', frames, None, 16).read_bytes())
    a, b = data.index(b'mdat') + 4, data.index(b'moov') - 4
    data[a:b] = bytes(b - a)
    (tmp_path / 'zeros.mp4').write_bytes(data)
    for f in (read_clip, probe):
        with pytest.raises(MediaError, match='can be decoded'):
            f(tmp_path / 'zeros.mp4')


def test_the_end_is_padded_and_counted(clapper, tmp_path):
    frames, sound, _ = clapper
    f = write_clip(tmp_path / 'c.mp4', frames, sound, 16)
    c = read_clip(f, 9.0, 2.0, 16)
    assert c.pad_frames == 16 and (c.frames[16:] == c.frames[15]).all() and 14500 < c.pad_samples <= 16000
    with pytest.raises(MediaError, match='after the end of the picture at 10.000 s'):
        read_clip(f, 10.5, 1.0)
    silent = read_clip(write_clip(tmp_path / 'mute.mp4', frames, None, 16), 1.0, 1.0)
    assert not silent.has_audio and silent.pad_samples == 16000 and not silent.waveform.any()
    assert (
        read_clip(f, 1.0, 1.0, audio=False).pad_samples == 16000
        and read_clip(f, 1.0, 1.0, video=False).frames.size == 0
    )


def test_a_changed_file_is_not_remembered(clapper, tmp_path):
    "The remembered time of the first frame belongs to the content, not to the name."
    frames, sound, _ = clapper
    f = write_clip(tmp_path / 'c.mp4', frames, sound, 16)
    read_clip(f, 3.0, 1.0)
    write_clip(f, frames[::-1].copy(), sound, 16)
    assert np.abs(read_clip(f, 0, 1.0, 16).frames.astype(int) - frames[::-1][:16]).mean() < 8


def test_sizes(clapper, tmp_path):
    f = write_clip(tmp_path / 'c.mp4', np.zeros((16, 60, 90, 3), np.uint8), None, 16)
    assert read_clip(f, 0, 1, 4).frames.shape == (4, 60, 90, 3) and read_clip(f, 0, 1, 4, size=30).frames.shape == (
        4,
        30,
        45,
        3,
    )
    assert read_clip(f, 0, 1, 4, size=(20, 70)).frames.shape == (4, 20, 70, 3)


@pytest.mark.parametrize('ending', ['wav', 'flac', 'ogg'])
def test_sound_files(tmp_path, ending):
    import soundfile as sf

    t = np.arange(44100) / 44100
    sf.write(tmp_path / f'tone.{ending}', np.stack([0.5 * np.sin(2 * np.pi * 440 * t)] * 2, 1), 44100)
    c = read_clip(tmp_path / f'tone.{ending}', 0.25, 1.0, rate=16000, video=False)
    want = 0.5 * np.sin(2 * np.pi * 440 * (0.25 + np.arange(12000) / 16000))
    assert (
        abs(c.pad_samples - 4000) <= 64 and np.abs(c.waveform[100:11800] - want[100:11800]).max() < 0.02 and c.has_audio
    )
    with pytest.raises(MediaError, match='no picture'):
        read_clip(tmp_path / f'tone.{ending}')


# ---- what is refused


@pytest.mark.parametrize(
    'frames,sound,says',
    [
        (np.zeros((4, 95, 96, 3), np.uint8), None, 'even height and width'),
        (np.zeros((4, 96, 96, 3), np.float32), None, 'astype'),
        (np.zeros((96, 96, 3), np.uint8), None, r'\[T,H,W,3\]'),
        (np.zeros((0, 96, 96, 3), np.uint8), None, r'\[T,H,W,3\]'),
        ([[1]], None, 'got list'),
        (np.zeros((4, 96, 96, 3), np.uint8), np.zeros(99), 'float64'),
        (np.zeros((4, 96, 96, 3), np.uint8), np.full(99, np.nan, np.float32), 'nan_to_num'),
        (np.zeros((4, 96, 96, 3), np.uint8), np.full(99, 1.5, np.float32), 'peak is 1.5'),
    ],
)
def test_write_refuses_and_leaves_nothing(tmp_path, frames, sound, says):
    with pytest.raises(MediaError, match=says):
        write_clip(tmp_path / 'x.mp4', frames, sound, 16)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('rate', [10000, 16001, 192000])
def test_write_names_the_rates_of_aac(tmp_path, rate):
    frames, sound = np.zeros((4, 96, 96, 3), np.uint8), np.zeros(rate // 4, np.float32)
    with pytest.raises(MediaError, match=rf'7350, 8000, .*96000 Hz, got {rate}'):
        write_clip(tmp_path / 'x.mp4', frames, sound, 16, rate)
    assert not list(tmp_path.iterdir()) and write_clip(tmp_path / 'x.mp4', frames, None, 16, rate).exists()


@pytest.mark.parametrize('settings', [dict(start=-1), dict(start=np.nan), dict(seconds=0), dict(fps=0), dict(rate=0)])
def test_read_refuses_nonsense(clapper, tmp_path, settings):
    f = write_clip(tmp_path / 'c.mp4', clapper[0], None, 16)
    with pytest.raises(MediaError, match='expected start >= 0'):
        read_clip(f, **settings)


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / 'pipe.mp4')
    (tmp_path / 'empty.mp4').touch()
    (tmp_path / 'colon:name.mp4').write_text('text')
    for name, says in (
        ('pipe.mp4', 'not a plain file'),
        ('empty.mp4', '0 bytes'),
        ('none.mp4', 'no such file'),
        ('', 'is a folder'),
        ('colon:name.mp4', 'does not open'),
    ):
        with pytest.raises(MediaError, match=says):
            read_clip(tmp_path / name)
    with pytest.raises(MediaError):
        read_clip('http://localhost:9/x.mp4')
    if os.geteuid() == 0:
        return  # root may read everything
    (tmp_path / 'locked.mp4').write_text('x')
    (tmp_path / 'locked.mp4').chmod(0)
    with pytest.raises(MediaError, match='no permission'):
        read_clip(tmp_path / 'locked.mp4')

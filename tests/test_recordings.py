"""Recordings drawn at random are read as they were made: picture, orientation, sound, track, silence and padding.

    AVNB_RECORDINGS=2000 AVNB_RECORDINGS_SEED=7000 python -m pytest tests/test_recordings.py    # seeds 7000 to 8999
"""
import os

import numpy as np
import pytest
from recordings import BURST, SOUND, VIDEO, draw, heard, recognise, write

from avnb.media import MediaError, probe, read_clip

QUICK = 20                               # recordings that `make test` reads; the rest wait for `make test-slow`
MANY = int(os.environ.get('AVNB_RECORDINGS', 300))
FIRST = int(os.environ.get('AVNB_RECORDINGS_SEED', 0))
CLOCK = 0.0005 + 2e-6                    # s: half a tick of the coarsest clock that keeps times, 1 ms
LATE = 0.0025                            # s: 2 ms, and half a millisecond by which an mp4 rounds the beginnings of its tracks
WHOLE = 48000                            # samples per second at which all of a recording is read
SEEDS = [pytest.param(FIRST + k, marks=[pytest.mark.slow] * (k >= QUICK)) for k in range(MANY)]


@pytest.mark.parametrize('seed', SEEDS)
def test_a_recording_is_read_as_it_was_made(seed, tmp_path):
    recipe = draw(seed)
    path = write(recipe, tmp_path / f'{seed}.{recipe.box.ending}')
    try:
        check_header(recipe, path)
        whole = check_whole(recipe, path)
        for k in range(4): check_part(recipe, path, np.random.default_rng((seed, k)), whole)
    except (AssertionError, MediaError) as e:
        again = f"AVNB_RECORDINGS=1 AVNB_RECORDINGS_SEED={seed} python -m pytest tests/test_recordings.py"
        pytest.fail(f"{e}\n{recipe}\n{path}\nagain: {again}", pytrace=False)


# ---- the truth

def ends(recipe, number) -> tuple:
    "Between which two moments (s) all is over: the picture and sound track `number`."
    shown = recipe.shown
    one = 1 / float(recipe.rate)
    picture = (shown[-1], shown[-1] + max(one, np.diff(shown).max()))
    if recipe.timing in ('constant', 'one a second'): picture = (shown[-1] + one - 2 * CLOCK, shown[-1] + one + 2 * CLOCK)
    sound = span(recipe.tracks[number], 1) if recipe.tracks else (-np.inf, -np.inf)
    return max(picture[0], sound[0]), max(picture[1], sound[1])


def span(track, side) -> tuple:
    "Between which two moments (s) the sound of a track begins (side 0) or ends (side 1): encoders add and omit a block."
    at, block = float(track.start + side * track.seconds), 4096 / track.rate
    return at - block, at + block


def on_screen(recipe, t) -> range:
    "The numbers of the frames of which one must be seen at `t`: more than one where the clock of the file cannot tell."
    first, last = np.searchsorted(recipe.shown, [t - CLOCK, t + CLOCK], 'right') - 1
    return range(max(first, 0), max(last, 0) + 1)


def taken(recipe, path) -> int:
    "The sound track that is read when none is named: the default one, else the package's own choice."
    named = [k for k, t in enumerate(recipe.tracks) if t.default]
    return named[0] if named else probe(path)['audio_taken']


# ---- what must hold

def check_header(recipe, path):
    "What `probe` says."
    found = probe(path)
    height, width = recipe.size[0], round(recipe.size[1] * VIDEO[recipe.codec].aspect)
    if 'turned' in recipe.orientation or 'transposed' in recipe.orientation: height, width = width, height
    assert (found['height'], found['width']) == (height, width), f"shown as {found['height']} x {found['width']}"
    assert found['audio_tracks'] == len(recipe.tracks)
    first, last = ends(recipe, taken(recipe, path))
    if recipe.box.matrix: first -= recipe.b_frames * np.diff(recipe.shown).max()     # mp4's header counts in order of decoding
    assert first - CLOCK <= found['duration_s'] <= last + CLOCK, f"lasts {found['duration_s']} s, not {first:.3f} to {last:.3f}"
    if recipe.timing == 'constant': assert abs(found['fps'] / float(recipe.rate) - 1) < 0.01, f"{found['fps']} frames per second"


def check_whole(recipe, path):
    "All of it at its own rate: where that is constant, every frame is seen exactly once."
    number = taken(recipe, path)
    seconds = ends(recipe, number)[1] + 0.3
    clip = read_clip(path, 0, seconds, float(recipe.rate), rate=WHOLE)
    seen = recognise(clip.frames)
    if recipe.timing in ('constant', 'one a second'):
        assert seen[:len(recipe.times)] == [(k, recipe.orientation) for k in range(len(recipe.times))], f"frames: {seen}"
    check_clip(recipe, clip, number, 'whole')
    return clip


def check_part(recipe, path, r, whole):
    "A random window, of a random track; its sound is that of the whole."
    number = taken(recipe, path) if r.random() < 0.5 else int(r.integers(max(len(recipe.tracks), 1)))
    named = number if recipe.tracks and (number != taken(recipe, path) or r.random() < 0.5) else None
    start = round(r.uniform(0, ends(recipe, number)[0] * 0.98) * 50) / 50            # a whole number of samples at all rates
    size = [None, int(r.integers(35, 60)), tuple(int(n) for n in r.integers(35, 90, 2))][r.integers(3)]
    fps = float(r.choice([float(recipe.rate), 7.5, 16, 25, 48]))
    rate = int(r.choice([16000, 22050, 44100, WHOLE, WHOLE]))
    clip = read_clip(path, start, float(r.uniform(0.3, 2.5)), fps, size, rate, track=named)
    what = f"read_clip(start={start}, seconds={len(clip.waveform) / rate:.3f}, fps={fps}, size={size}, rate={rate}, track={named})"
    check_clip(recipe, clip, number, what)
    if rate == WHOLE and number == taken(recipe, path): check_same(clip.waveform, whole.waveform[round(start * rate):], what)


def check_same(part, whole, what):
    "A sound is that of the whole, but for a shift of less than `LATE`."
    n, most = min(len(part), len(whole)), round(LATE * WHOLE)
    away = min(np.square(part[most:n - most] - whole[most + k:n - most + k]).sum() for k in range(-most, most + 1))
    assert away <= 0.06 * np.square(whole[:n]).sum() + 1e-4 * n, f"{what}: another sound than from the beginning"


def check_clip(recipe, clip, number, what):
    "Pictures, sound and padding of a clip."
    times = clip.start + np.arange(len(clip.frames)) / clip.fps
    for t, seen in zip(times, recognise(clip.frames)):
        want = on_screen(recipe, t)
        assert seen and seen[0] in want and seen[1] == recipe.orientation, f"{what}: at {t:.6f} s {seen}, not {want} {recipe.orientation}"
    first, last = ends(recipe, number)
    assert (times >= last).sum() <= clip.pad_frames <= (times >= first).sum(), f"{what}: {clip.pad_frames} frames are padding, {first:.3f} to {last:.3f}"
    assert clip.has_audio == bool(recipe.tracks)
    if recipe.tracks: check_sound(recipe, clip, number, what)
    else: assert not clip.waveform.any() and clip.pad_samples == len(clip.waveform)


def check_sound(recipe, clip, number, what):
    "Bursts of the right track at the right times, silence before and after the track, and how much of it."
    track, until = recipe.tracks[number], clip.start + len(clip.waveform) / clip.rate
    late = SOUND[track.codec].delay / track.rate if recipe.box.counted else 0
    bursts = np.array(track.bursts) + late
    found = [(k, clip.start + t) for k, t in heard(clip.waveform, clip.rate)]
    for k, t in found: assert k == number and np.abs(bursts - t).min() < LATE, f"{what}: track {k} sounds at {t:.4f}, not {number} at {bursts}"
    for t in bursts[(bursts > clip.start + LATE) & (bursts + BURST < until - LATE)]:
        assert any(abs(t - u) < LATE for _, u in found), f"{what}: nothing at {t:.4f}, but at {found}"
    at = clip.start + np.arange(len(clip.waveform)) / clip.rate
    (begin, begins), (end, ended) = span(track, 0), span(track, 1)
    assert not clip.waveform[(at < begin) | (at > ended)].any(), f"{what}: sound outside of {begin:.3f} to {ended:.3f} s"
    most, least = ((at < b).sum() + (at > e).sum() for b, e in ((begins, end), (begin, ended)))
    assert least - 1 <= clip.pad_samples <= most + 1, f"{what}: {clip.pad_samples} samples are padding, not {least} to {most}"

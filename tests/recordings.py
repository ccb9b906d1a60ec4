"""Recordings drawn at random and written with PyAV, with the truth of their making: which picture is on the screen, and
what sounds, at every moment.

    python recordings.py 17 FOLDER       # write the recording of seed 17 into FOLDER, and print its recipe
"""

import functools
import heapq
import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.bitstream import BitStreamFilterContext

os.environ.setdefault('SVT_LOG', '1')  # the AV1 encoder says errors only
MS = Fraction(1, 1000)
MPEG_CLOCK = Fraction(1, 90000)
FILM = Fraction(24000, 1001)
NTSC = Fraction(30000, 1001)
MPEG_RATES = (FILM, Fraction(24), Fraction(25), NTSC, Fraction(30), Fraction(50), Fraction(60))
ANY_RATE = (*MPEG_RATES, Fraction(10), Fraction(25, 2), Fraction(16))


# ---- what encoders and containers can take


@dataclass(frozen=True)
class Codec:
    "What a video encoder takes."

    formats: tuple = ('yuv420p',)
    step: int = 1  # height and width are multiples of it
    sizes: tuple = ()  # (height, width), if not any
    rates: tuple = ANY_RATE
    clock: int = 1000  # finest time base, ticks per second; 0: whole frames only
    b_frames: int = 0  # in a row, at most
    aspect: Fraction = Fraction(1)  # width of a pixel by its height
    options: tuple = (('qmin', '2'), ('qmax', '4'), ('b', '4000000'))


X264 = (('crf', '18'), ('preset', 'veryfast'))
X265 = (('crf', '16'), ('preset', 'ultrafast'), ('x265-params', 'log-level=none:pools=1'))
AV1 = (('crf', '20'), ('preset', '11'), ('svtav1-params', 'lp=1'))
VPX = (('deadline', 'realtime'), ('cpu-used', '8'), ('qmin', '4'), ('qmax', '20'), ('b', '4000000'))
CIF = ((96, 128), (144, 176))  # the two smallest sizes of H.263
MPEG = dict(step=2, rates=MPEG_RATES, clock=0, b_frames=2)
VIDEO = {
    'libx264': Codec(('yuv420p', 'yuvj420p'), 2, clock=90000, b_frames=3, options=X264),
    'libx265': Codec(step=2, clock=90000, b_frames=3, options=X265),
    'libsvtav1': Codec(sizes=((64, 96), (80, 72)), clock=90000, options=AV1),
    'libvpx': Codec(clock=90000, options=VPX),
    'libvpx-vp9': Codec(clock=90000, options=VPX),
    'mpeg4': Codec(b_frames=2),
    'mpeg2video': Codec(('yuv420p', 'yuv422p'), **MPEG),
    'mpeg1video': Codec(**MPEG),
    'mjpeg': Codec(('yuvj420p', 'yuvj422p', 'yuvj444p')),
    'h263': Codec(sizes=CIF, clock=0, rates=(NTSC,), aspect=Fraction(12, 11)),
    'msmpeg4': Codec(),
    'msmpeg4v2': Codec(),
    'wmv1': Codec(step=2),
    'wmv2': Codec(step=2),
    'flv': Codec(),
    'rv10': Codec(sizes=CIF),
    'svq1': Codec(('yuv410p',), 4, options=()),
    'roqvideo': Codec(('yuvj444p',), sizes=((64, 128),), rates=(Fraction(30),), clock=0, options=()),
    'ffv1': Codec(('yuv420p', 'yuv444p', 'yuv422p'), 2, options=()),
    'huffyuv': Codec(('yuv422p',), 4, options=()),
    'utvideo': Codec(('yuv420p', 'yuv422p'), 4, options=()),
    'magicyuv': Codec(('yuv444p',), 4, options=()),
    'rawvideo': Codec(step=4, options=()),
    'png': Codec(('rgb24',), options=()),
    'qtrle': Codec(('rgb24',), 4, options=()),
    'prores_ks': Codec(('yuv422p10le',), 2, options=()),
    'jpeg2000': Codec(('yuv444p',), 4, options=()),
}


@dataclass(frozen=True)
class SoundCodec:
    "What a sound encoder takes."

    rates: tuple = (48000, 44100, 32000, 22050, 16000)
    layouts: tuple = ('mono', 'stereo')
    format: str = ''  # of samples; '': the encoder's own
    delay: int = 0  # samples of its own before the first one
    bits: int = 96000  # per second and channel
    options: tuple = ()
    voices: tuple = ()  # channels that may sound alone; (): all, by the layout


MPEG_SOUND_RATES = (48000, 44100, 32000)
PCM = SoundCodec(layouts=('mono', 'stereo', '5.1'))
TWO = SoundCodec()
ADPCM = SoundCodec((44100, 22050))
SOUND = {
    'aac': SoundCodec(layouts=('mono', 'stereo', '5.1'), delay=1024),
    'libmp3lame': SoundCodec(delay=1105),
    'mp2': SoundCodec(MPEG_SOUND_RATES, delay=481),
    'ac3': SoundCodec(MPEG_SOUND_RATES, ('mono', 'stereo', '5.1(side)'), delay=256),
    'eac3': SoundCodec(MPEG_SOUND_RATES, ('mono', 'stereo', '5.1(side)'), delay=256),
    'libopus': SoundCodec((48000, 24000, 16000), ('mono', 'stereo', '5.1'), 's16', delay=312),
    'vorbis': SoundCodec((48000, 44100), ('stereo',), options=(('strict', '-2'),), voices=('all',)),
    'flac': SoundCodec(layouts=('mono', 'stereo', '5.1', 'quad'), format='s16'),
    'alac': SoundCodec((48000, 44100, 16000), format='s16p'),
    'tta': SoundCodec(format='s16'),
    'wavpack': SoundCodec(format='s16p'),
    **dict.fromkeys(('pcm_s16le', 'pcm_s16be', 'pcm_s24le', 'pcm_f32le'), PCM),
    **dict.fromkeys(('pcm_u8', 'pcm_mulaw'), TWO),
    **dict.fromkeys(('adpcm_ima_wav', 'adpcm_ms', 'adpcm_swf'), ADPCM),
    'adpcm_ima_qt': SoundCodec((44100, 48000)),
    **dict.fromkeys(('wmav1', 'wmav2'), SoundCodec((44100, 48000), delay=2048)),
    'libopencore_amrnb': SoundCodec((8000,), ('mono',), delay=50, bits=12200),
    'nellymoser': SoundCodec((44100, 22050), ('mono',), delay=64),
    'roq_dpcm': SoundCodec((22050,)),
}


@dataclass(frozen=True, repr=False)
class Container:
    "What a file format keeps of a recording."

    format: str  # FFmpeg's name of it
    ending: str
    video: str  # encoders
    sound: str
    tick: Fraction = Fraction(0)  # its clock, s; 0: as fine as the encoder's
    counted: bool = False  # keeps no times: they follow from counting frames and samples
    offsets: bool = True  # picture and sound may begin at different times, and later than 0
    gaps: bool = True  # frames may be missing
    irregular: bool = True  # frames may come at any time
    tracks: int = 3
    default: bool = False  # keeps which sound track is the default
    matrix: bool = False  # keeps a display matrix, in the header of the track
    rates: tuple = ()  # of sound, if not all
    lowest: tuple = (40, 56)  # height and width at least

    def __repr__(self):
        return self.format


EVEN = dict(gaps=False, irregular=False)
PROGRAM = dict(tracks=1, lowest=(120, 160), **EVEN)  # frames that fill a packet, so that each has a time of its own
CONTAINERS = (
    Container(
        'mp4',
        'mp4',
        'libx264 libx265 mpeg4 mpeg2video mjpeg libvpx-vp9 libsvtav1 png',
        'aac libmp3lame mp2 ac3 libopus flac alac pcm_s16le',
        default=True,
        matrix=True,
    ),
    Container(
        'matroska',
        'mkv',
        'libx264 libx265 mpeg4 mpeg2video mpeg1video mjpeg libvpx libvpx-vp9 libsvtav1 msmpeg4 ffv1 prores_ks',
        'aac libmp3lame mp2 ac3 eac3 libopus vorbis flac alac pcm_s16le pcm_f32le tta wavpack',
        MS,
        default=True,
    ),
    Container(
        'avi',
        'avi',
        'libx264 mpeg4 mpeg2video mjpeg msmpeg4 msmpeg4v2 wmv2 h263 huffyuv ffv1 utvideo magicyuv png rawvideo',
        'aac libmp3lame mp2 ac3 pcm_s16le pcm_u8 pcm_s24le pcm_mulaw adpcm_ima_wav adpcm_ms wmav2',
        counted=True,
        offsets=False,
        **EVEN,
    ),
    Container(
        'mov',
        'mov',
        'libx264 libx265 mpeg4 mjpeg prores_ks svq1 qtrle png h263 jpeg2000',
        'aac libmp3lame ac3 alac pcm_s16le pcm_s16be pcm_u8 pcm_mulaw pcm_f32le adpcm_ima_qt libopencore_amrnb',
        default=True,
        matrix=True,
    ),
    Container(
        'mpegts', 'ts', 'libx264 libx265 mpeg2video mpeg1video mpeg4', 'aac libmp3lame mp2 ac3 eac3 libopus', MPEG_CLOCK
    ),
    Container('webm', 'webm', 'libvpx libvpx-vp9 libsvtav1', 'libopus vorbis', MS, default=True),
    Container('asf', 'wmv', 'wmv1 wmv2 msmpeg4 mpeg4 libx264 mjpeg', 'wmav1 wmav2 libmp3lame aac pcm_s16le', MS),
    Container('mpeg', 'mpg', 'mpeg1video mpeg2video', 'mp2 libmp3lame ac3', MPEG_CLOCK, **PROGRAM),
    Container(
        'flv', 'flv', 'libx264 libx265 flv', 'aac libmp3lame adpcm_swf nellymoser', MS, tracks=1, rates=(44100, 22050)
    ),
    Container('ogg', 'ogv', 'libvpx', 'vorbis libopus', **EVEN),
    Container('ogg', 'ogg', 'libvpx', 'flac', offsets=False, **EVEN),
    Container('3gp', '3gp', 'h263 mpeg4 libx264', 'libopencore_amrnb aac', matrix=True),
    Container('nut', 'nut', 'libx264 libx265 mpeg4 ffv1 rawvideo', 'aac libmp3lame pcm_s16le vorbis ac3'),
    Container('vob', 'vob', 'mpeg2video mpeg1video', 'mp2 ac3', MPEG_CLOCK, **PROGRAM),
    Container('wtv', 'wtv', 'mpeg2video mpeg4', 'mp2 ac3 pcm_s16le', Fraction(1, 10**7)),
    Container('roq', 'roq', 'roqvideo', 'roq_dpcm', tracks=1, counted=True, offsets=False, **EVEN),
)


# ---- a recipe

# How a picture is to be shown: x' = a x + c y, y' = b x + d y, with x to the right and y down; and the same as a flip
# followed by a turn to the left, degrees, which is how H.264's supplemental information puts it.
ORIENTATIONS = {
    'upright': (1, 0, 0, 1, '', 0),
    'mirrored left to right': (-1, 0, 0, 1, 'horizontal', 0),
    'mirrored top to bottom': (1, 0, 0, -1, 'vertical', 0),
    'upside down': (-1, 0, 0, -1, '', 180),
    'turned right': (0, 1, -1, 0, '', 270),
    'turned left': (0, -1, 1, 0, '', 90),
    'transposed': (0, 1, 1, 0, 'horizontal', 90),
    'transposed over the other diagonal': (0, -1, -1, 0, 'horizontal', 270),
}


@dataclass(frozen=True)
class Track:
    "A sound track: silence, and its own kind of burst at some times. Times in s from the first picture."

    codec: str
    rate: int
    layout: str
    voice: int | str  # the channel that sounds; 'all'; 'inverted': the second is minus the first
    start: Fraction
    seconds: Fraction
    bursts: tuple
    default: bool = False


@dataclass(frozen=True)
class Recipe:
    "All that a recording is made from."

    seed: int
    box: Container
    codec: str
    format: str  # of pixels
    size: tuple  # (height, width) as coded
    rate: Fraction  # frames per second: the grid of the frames, or their mean number
    clock: Fraction  # the encoder's tick, s
    times: tuple  # of the frames, ticks from the first one
    timing: str
    b_frames: int
    gop: int
    orientation: str
    by: str  # what says the orientation: 'matrix', 'sei' or ''
    base: Fraction  # when the first picture is shown on the file's own clock, s
    tracks: tuple

    @property
    def even(self) -> bool:
        "Whether no frame is missing."
        return self.timing in ('constant', 'one a second')

    @property
    def shown(self) -> np.ndarray:
        "float64 [n]: when each frame is shown, s from the first, as the file keeps it."
        tick = self.box.tick
        times = [self.base + t * self.clock for t in self.times]
        if tick:
            times = [(t / tick + Fraction(1, 2)).__floor__() * tick for t in times]
        return np.array([float(t - times[0]) for t in times])


def _pick(r, options):
    "One of the options."
    return options[int(r.integers(len(options)))]


@functools.cache
def _encoders(names: str) -> tuple:
    "Those of the encoders that this build of FFmpeg has."

    def there(name):
        try:
            return bool(av.Codec(name, 'w'))
        except av.codec.codec.UnknownCodecError:
            return False

    return tuple(name for name in names.split() if there(name))


def _ms(seconds: float) -> Fraction:
    "Rounded to a millisecond."
    return Fraction(round(seconds * 1000), 1000)


def draw(seed: int) -> Recipe:
    "The recipe of a seed; seeds one after another go through all containers."
    r = np.random.default_rng(seed)
    boxes = [b for b in CONTAINERS if _encoders(b.video) and _encoders(b.sound)]
    box = boxes[seed % len(boxes)]
    codec = _pick(r, _encoders(box.video))
    k = VIDEO[codec]
    timing, rate, clock, times = _times(r, box, k)
    size = tuple(k.step * int(r.integers(n, n + 56) // k.step + 1) for n in box.lowest)
    if k.sizes:
        size = _pick(r, k.sizes)
    by = _pick(r, ['', 'matrix'] * box.matrix + ['', 'sei'] * (codec == 'libx264') + [''])
    base = int(r.uniform(0, 20) / clock) * clock if box.offsets and r.random() < 0.4 else Fraction(0)
    end = times[-1] * clock + 1 / rate
    n = int(r.integers(r.random() < 0.9, box.tracks + 1))
    tracks = [_track(r, box, _pick(r, _encoders(box.sound)), end) for _ in range(n)]
    if box.default and tracks and r.random() < 0.7:
        i = int(r.integers(len(tracks)))
        tracks[i] = replace(tracks[i], default=True)
    orientation = _pick(r, list(ORIENTATIONS)) if by else 'upright'
    b_frames, gop = int(r.integers(k.b_frames + 1)), _pick(r, (1, 5, 12, 30, 250))
    return Recipe(
        seed,
        box,
        codec,
        _pick(r, k.formats),
        size,
        rate,
        clock,
        times,
        timing,
        b_frames,
        gop,
        orientation,
        by,
        base,
        tuple(tracks),
    )


def _times(r, box, k) -> tuple:
    "(kind, frames per second, tick in s, times in ticks) of the frames."
    kinds = ['constant', 'constant'] + ['dropped', 'dropped'] * box.gaps
    if box.irregular and k.clock:
        kinds += ['irregular', 'irregular', 'one a second']
    timing, rate, seconds = _pick(r, kinds), _pick(r, k.rates), r.uniform(1.2, 5)
    if timing == 'irregular':
        gaps = r.choice([r.uniform(0.01, 0.05, 150), r.uniform(0.02, 0.3, 150), r.exponential(0.1, 150) + 0.004])
        times = np.cumsum(gaps)
        times = np.unique(np.round(k.clock * times[times < seconds]).astype(int))
        times = (0, *(times + 1).tolist())
        return timing, len(times) / _ms(seconds), Fraction(1, k.clock), times
    if timing == 'one a second':
        return timing, Fraction(1), Fraction(1), tuple(range(int(r.integers(3, 9))))
    n = min(max(3, round(seconds * rate)), len(CODES) - 1)
    kept = np.flatnonzero(r.random(n) < r.uniform(0.3, 0.9)) if timing == 'dropped' else np.arange(1, n)
    return timing, rate, 1 / rate, (0, *(int(t) for t in kept if t))


VOICES = dict(mono=('all',), stereo=('all', 'all', 'inverted', 0, 1), quad=('all', 0, 3))


def _track(r, box, codec, end) -> Track:
    "A sound track beside a picture that ends at `end`."
    k = SOUND[codec]
    start = Fraction(0) if not box.offsets or r.random() < 0.3 else _ms(r.uniform(-0.6, min(0.8, float(end) / 2)))
    seconds = _ms(max(0.5, float(end - start) + r.uniform(-0.8, 1.5)))
    layout = _pick(r, k.layouts)
    voices = k.voices or VOICES.get(layout, ('all', 0, 2, 4))
    at = float(start) + 0.08 + np.cumsum(np.append(0, r.uniform(0.15, 0.9, 60)))
    bursts = tuple(float(t) for t in at if t < float(start + seconds) - 0.15)
    rate = _pick(r, [x for x in k.rates if not box.rates or x in box.rates])
    return Track(codec, rate, layout, _pick(r, voices), start, seconds, bursts)


# ---- pictures that say which they are

ROWS, COLUMNS = 5, 7


def _codes(n=400, apart=8) -> np.ndarray:
    "bool [n,5,7]: patterns of which no two, however mirrored or turned, agree in more than 35 - `apart` cells."
    r = np.random.default_rng(0)
    kept, taken = [], np.zeros((0, ROWS * COLUMNS), bool)
    while len(kept) < n:
        x = r.random((ROWS, COLUMNS)) < 0.5
        flips = np.array([y.ravel() for y in (x, x[:, ::-1], x[::-1], x[::-1, ::-1])])
        if min((flips[1:] != flips[0]).sum(1).min(), (taken != flips[0]).sum(1).min(initial=99)) < apart:
            continue
        kept.append(x)
        taken = np.concatenate([taken, flips])
    return np.array(kept)


CODES = _codes()


def picture(number: int, height: int, width: int) -> np.ndarray:
    "uint8 [height,width,3]: the pattern of a frame, light and dark cells with a little noise."
    rows, columns = np.arange(height) * ROWS // height, np.arange(width) * COLUMNS // width
    x = np.where(CODES[number][rows[:, None], columns], 205, 50)
    x = x + np.random.default_rng(number).integers(-10, 11, (height, width))
    return x.astype(np.uint8)[..., None].repeat(3, 2)


def orient(x: np.ndarray, orientation: str) -> np.ndarray:
    "[height,width,...] as it is to be shown."
    a, b, c, d, _, _ = ORIENTATIONS[orientation]
    return x[::d, ::a] if a else x.swapaxes(0, 1)[::b, ::c]


def recognise(frames: np.ndarray) -> list:
    "(number, orientation) of each of the frames uint8 [T,H,W,3]; None where a frame is none of the patterns."
    frames, found = frames.mean(3), []
    height, width = frames.shape[1:]
    for name in ORIENTATIONS:
        codes = np.array([orient(x, name) for x in CODES])
        rows, columns = (((np.arange(n) + 0.5) * m / n).astype(int) for n, m in zip(codes.shape[1:], (height, width)))
        cells = frames[:, rows][:, :, columns].reshape(len(frames), -1) > 127
        agree = (cells[:, None] == codes.reshape(len(codes), -1)).sum(2)
        found.append((agree.max(1), agree.argmax(1)))
    best = np.array([agree for agree, _ in found]).argmax(0)
    names, enough = list(ORIENTATIONS), ROWS * COLUMNS - 3
    return [(int(found[k][1][t]), names[k]) if found[k][0][t] >= enough else None for t, k in enumerate(best)]


# ---- sounds that say which they are

BURST = 0.04  # s
SWEEPS = ((500, 2000), (2000, 500), (1200, 3500))  # Hz at the beginning and the end of a burst, one pair per track


def burst(track: int, t: np.ndarray) -> np.ndarray:
    "The burst of a track at times `t` after its beginning, s."
    f, g = SWEEPS[track]
    x = np.sin(np.pi * t / BURST) ** 2 * np.sin(2 * np.pi * (f + (g - f) * t / BURST / 2) * t)
    return np.where((t >= 0) & (t <= BURST), 0.7 * x, 0)


def waveform(track: Track, number: int) -> np.ndarray:
    "float32 [channels,L]: the sound of a track."
    x = np.zeros(round(track.seconds * track.rate), np.float32)
    n = int(BURST * track.rate) + 2
    for t in track.bursts:
        i = int((t - float(track.start)) * track.rate)
        x[i : i + n] += burst(number, float(track.start) + np.arange(i, i + n) / track.rate - t)[: len(x) - i]
    channels = np.zeros((len(av.AudioLayout(track.layout).channels), len(x)), np.float32)
    channels[track.voice if isinstance(track.voice, int) else slice(None)] = x
    if track.voice == 'inverted':
        channels[1] *= -1
    return channels


def heard(sound: np.ndarray, rate: int, tracks: int = len(SWEEPS)) -> list:
    "(track, s) of each burst in a waveform, in order of time; s from the first sample."
    from scipy.signal import fftconvolve, find_peaks

    found, n = [], int(BURST * rate)
    if len(sound) <= n:
        return found
    energy = np.sqrt(np.maximum(fftconvolve(sound**2, np.ones(n), 'valid'), 0)) + 1e-2
    for k in range(tracks):
        pattern = burst(k, np.arange(n) / rate)
        likeness = fftconvolve(sound, pattern[::-1], 'valid') / energy / np.linalg.norm(pattern)
        peaks, _ = find_peaks(np.abs(np.pad(likeness, 1)), height=0.55, distance=n)
        found += [((p - 1) / rate, k) for p in peaks]
    return [(k, t) for t, k in sorted(found)]


# ---- writing


@contextmanager
def _usual_priority():
    "Undo what the AV1 encoder does when root runs it: the calling thread goes before all others of the machine."
    if not hasattr(os, 'sched_getscheduler'):  # not Linux
        yield
        return
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, *before)


def write(recipe: Recipe, path: Path) -> Path:
    "Write the recording."
    with _usual_priority(), av.open(str(path), 'w', format=recipe.box.format) as c:
        packets = [_pictures(recipe, c), *(_sounds(recipe, t, k, c) for k, t in enumerate(recipe.tracks))]
        c.start_encoding()
        if recipe.box.counted:
            packets = [_from_zero(x) for x in packets]
        for p in heapq.merge(*packets, key=lambda p: p.dts * p.time_base):
            c.mux(p)
    if recipe.by == 'matrix':
        _set_matrix(path, recipe.orientation)
    return path


def _from_zero(packets):
    "The packets, the first of them decoded at 0: what a file without times says."
    first = None
    for p in packets:
        first = p.dts if first is None else first
        p.dts, p.pts = p.dts - first, p.pts - first
        yield p


def _pictures(recipe, c):
    "Packets of the video track, which is added to the container at once."
    s = c.add_stream(recipe.codec, rate=recipe.rate, options=dict(VIDEO[recipe.codec].options))
    k = s.codec_context
    k.height, k.width = recipe.size
    k.pix_fmt, k.time_base, k.thread_count = recipe.format, recipe.clock, 1
    k.gop_size, k.max_b_frames = recipe.gop, recipe.b_frames
    return _marked(recipe, s, _encoded(recipe, s))


def _encoded(recipe, s):
    "Packets of the pictures."
    first = round(recipe.base / recipe.clock)
    for number, t in enumerate(recipe.times):
        f = av.VideoFrame.from_ndarray(picture(number, *recipe.size), format='rgb24').reformat(format=recipe.format)
        f.pts, f.time_base = first + t, recipe.clock
        yield from s.encode(f)
    yield from s.encode(None)


def _marked(recipe, s, packets):
    "The packets; with the orientation in H.264's supplemental information, where it is to stand there."
    if recipe.by != 'sei':
        yield from packets
        return
    *_, flip, turn = ORIENTATIONS[recipe.orientation]
    words = ['display_orientation=insert', f'rotate={turn}'] + ([f'flip={flip}'] if flip else [])
    marker = None
    for p in packets:
        marker = marker or BitStreamFilterContext('h264_metadata=' + ':'.join(words), s)
        yield from marker.filter(p)
    yield from marker.filter(None)


def _sounds(recipe, track, number, c):
    "Packets of a sound track, which is added to the container at once."
    k = SOUND[track.codec]
    s = c.add_stream(track.codec, rate=track.rate, layout=track.layout, options=dict(k.options))
    if k.format:
        s.codec_context.format = k.format
    s.codec_context.bit_rate = k.bits * len(s.codec_context.layout.channels)
    s.codec_context.thread_count = 1
    if recipe.box.default:
        s.disposition = av.stream.Disposition.default if track.default else av.stream.Disposition(0)
    return _coded(recipe, track, waveform(track, number), s)


def _coded(recipe, track, x, s, n=4096):
    "Packets of the sound."
    first = round((recipe.base + track.start) * track.rate)
    for i in range(0, x.shape[1], n):
        f = av.AudioFrame.from_ndarray(np.ascontiguousarray(x[:, i : i + n]), format='fltp', layout=track.layout)
        f.sample_rate, f.pts, f.time_base = track.rate, first + i, Fraction(1, track.rate)
        yield from s.encode(f)
    yield from s.encode(None)


def _set_matrix(path, orientation):
    "Write the display matrix into the header of the video track (the first 'tkhd' of an mp4)."
    data = bytearray(path.read_bytes())
    at = data.index(b'tkhd', data.rindex(b'moov')) + 4
    at += 40 if data[at] == 0 else 52  # version 1 has longer times before it
    a, b, c, d, _, _ = ORIENTATIONS[orientation]
    numbers = (a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    data[at : at + 36] = b''.join(n.to_bytes(4, 'big', signed=True) for n in numbers)
    path.write_bytes(data)


if __name__ == '__main__':
    made = draw(int(sys.argv[1]))
    print(write(made, Path(sys.argv[2]) / f'{made.seed}.{made.box.ending}'), made, sep='\n')

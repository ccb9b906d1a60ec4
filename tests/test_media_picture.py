"""The right picture: laid down as it was meant, in the colours that were meant, one moment at a time.

Every file is made here, or is a known fault."""

import base64
import subprocess
import sys
from fractions import Fraction

import av
import av.filter
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter
from lab import browser, page  # noqa: F401

from avnb.media import MediaError, picture_of, probe, read_clip, squeeze, write_clip

COLOURS = np.array(
    [
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
        (200, 40, 120),
        (128, 128, 128),
        (30, 200, 60),
        (255, 255, 255),
        (12, 12, 12),
    ]
)


def bars(h, w):
    return COLOURS.astype(np.uint8).repeat(w // len(COLOURS), 0)[None].repeat(h, 0)


def first(path, **how):
    return read_clip(path, 0, 0.1, 8, **how).frames[0]


# ---- laid down in eight ways


def with_matrix(data, a, b, c, d):
    "The mp4 with another display matrix in the header of its first track: x' = a x + c y, y' = b x + d y."
    at = data.index(b'tkhd') + 44
    numbers = [*(round(65536 * x) for x in (a, b, 0, c, d, 0, 0, 0)), 1 << 30]
    return data[:at] + b''.join(n.to_bytes(4, 'big', signed=True) for n in numbers) + data[at + 36 :]


def put(x, a, b, c, d):
    "Every pixel where the matrix of an upright or lying picture says."
    to = {(a * p + c * q, b * p + d * q): x[q, p] for q in range(x.shape[0]) for p in range(x.shape[1])}
    left, top = (min(place[k] for place in to) for k in (0, 1))
    out = np.zeros((max(q for _, q in to) - top + 1, max(p for p, _ in to) - left + 1, 3), x.dtype)
    for (p, q), pixel in to.items():
        out[q - top, p - left] = pixel
    return out


WAYS = [(a, 0, 0, d) for a in (1, -1) for d in (1, -1)] + [(0, b, c, 0) for b in (1, -1) for c in (1, -1)]


@pytest.fixture(scope='module')
def stored(tmp_path_factory):
    "An mp4 of blocks of random colours that no turn or mirror leaves alike, and its first frame as stored."
    x = np.random.default_rng(0).integers(0, 255, (4, 3, 5, 3), dtype=np.uint8).repeat(16, 1).repeat(16, 2)
    f = write_clip(tmp_path_factory.mktemp('ways') / 'x.mp4', x, None, 16)
    with av.open(str(f)) as c:
        return f.read_bytes(), next(c.decode(video=0)).to_ndarray(format='rgb24')


@pytest.mark.parametrize('way', WAYS)
def test_all_eight_ways_of_laying_a_picture_down(stored, tmp_path, way):
    data, x = stored
    f = tmp_path / 'x.mp4'
    f.write_bytes(with_matrix(data, *way))
    c, p, want = read_clip(f, 0, 0.25, 16), probe(f), put(x, *way)
    assert (p['height'], p['width']) == want.shape[:2]
    assert np.array_equal(c.frames[0], want) and c.frames.flags['C_CONTIGUOUS']
    assert first(f, size=(30, 70)).shape == (30, 70, 3)


@pytest.mark.parametrize('angle, mirror', [(8, 1), (-40, 1), (80, 1), (100, -1), (175, -1), (-95, -1)])
def test_a_slanted_picture_is_laid_down_in_the_nearest_way(stored, tmp_path, angle, mirror):
    def turned(degrees):
        c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
        return c * mirror, s * mirror, -s, c

    data, x = stored
    (tmp_path / 'x.mp4').write_bytes(with_matrix(data, *turned(angle)))
    nearest = [round(k) for k in turned(round(angle / 90) * 90)]
    assert np.array_equal(first(tmp_path / 'x.mp4'), put(x, *nearest))


@pytest.mark.parametrize('name, mirrored', [('mx_hflip', lambda x: x[:, :, ::-1]), ('mx_vflip', lambda x: x[:, ::-1])])
def test_mirrored_files_are_shown_as_their_matrix_says(real_data, tmp_path, name, mirrored):
    "The same file without its matrix, mirrored."
    f = real_data / 'faults' / f'{name}.mp4'
    (tmp_path / 'flat.mp4').write_bytes(with_matrix(f.read_bytes(), 1, 0, 0, 1))
    flat, c = (read_clip(p, 1, 1, 10) for p in (tmp_path / 'flat.mp4', f))
    assert np.array_equal(c.frames, mirrored(flat.frames)) and not np.array_equal(c.frames, flat.frames)


@pytest.mark.parametrize('ending', ['mkv', 'mp4'])
@pytest.mark.parametrize(
    'order, way',
    [
        ('flip=horizontal', (-1, 0, 0, 1)),
        ('flip=vertical', (1, 0, 0, -1)),
        ('rotate=90', (0, -1, 1, 0)),
        ('rotate=180', (-1, 0, 0, -1)),
    ],
)
def test_orientation_inside_the_h264_stream(tmp_path, order, way, ending):
    "Some cameras write it among the pictures (SEI): once, with the first, for all; also after a seek."
    flat, f = tmp_path / 'flat.mp4', tmp_path / f'sei.{ending}'
    x = np.random.default_rng(0).integers(0, 255, (48, 3, 5, 3), dtype=np.uint8).repeat(16, 1).repeat(16, 2)
    write_clip(flat, x, None, 16)
    with av.open(str(flat)) as source, av.open(str(f), 'w') as c:
        v = source.streams.video[0]
        s = c.add_stream_from_template(v)
        note = av.bitstream.BitStreamFilterContext('h264_metadata=display_orientation=insert:' + order, v)
        for p in source.demux(v):
            for q in note.filter(p if p.size else None):
                q.stream = s
                c.mux(q)
    for start in (2.21, 0.01, 1.135, 0.26):  # between frames: Matroska rounds their times to 1 ms
        got, plain = (read_clip(p, start, 0.5, 16).frames for p in (f, flat))
        assert all(np.array_equal(a, put(b, *way)) for a, b in zip(got, plain)), start


@pytest.mark.parametrize('orientation, turns', [(1, 0), (8, 1), (3, 2), (6, 3)])
def test_a_still_picture_that_its_camera_turned(tmp_path, orientation, turns):
    "A JPEG says so in its EXIF data, whose presence makes PyAV unable to list a frame's side data."
    from PIL import Image

    x = np.random.default_rng(1).integers(0, 255, (3, 5, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
    note, f = Image.Exif(), tmp_path / 'x.jpg'
    note[0x112] = orientation
    Image.fromarray(x).save(f, exif=note, quality=95)
    got, want = read_clip(f, 0, 1, 1, audio=False).frames[0], np.rot90(x, turns)
    assert np.abs(got.astype(int) - want).mean() < 12 and (probe(f)['height'], probe(f)['width']) == want.shape[:2]


# ---- colours

PLAY = """async ([uri, n]) => {
    const v = document.createElement('video'), c = document.createElement('canvas'), g = c.getContext('2d')
    v.muted = true; v.src = uri
    await new Promise((done, fail) => { v.onloadeddata = done; v.onerror = () => fail(v.error.message) })
    v.currentTime = 0.4; await new Promise(done => v.onseeked = done)
    c.width = v.videoWidth; c.height = v.videoHeight; g.drawImage(v, 0, 0)
    const pixel = k => [...g.getImageData((k + .5) * c.width / n, c.height / 2, 1, 1).data].slice(0, 3)
    return [...Array(n).keys()].map(pixel) }"""


@pytest.mark.parametrize('made_by', ['write_clip', 'film'])
def test_a_browser_shows_the_colours_that_were_written(page, tmp_path, made_by):
    "720 lines: from there on browsers take a film that says nothing for BT.709."
    from avnb.film import write_film

    x, f = bars(720, 1280), tmp_path / 'x.mp4'
    if made_by == 'write_clip':
        write_clip(f, x[None].repeat(8, 0), None, 8)
    else:
        write_film(f, lambda t: x, 1.0, 8.0)
    uri = 'data:video/mp4;base64,' + base64.b64encode(f.read_bytes()).decode()
    shown = page.evaluate(PLAY, [uri, len(COLOURS)])
    assert np.abs(np.array(shown) - COLOURS).max() <= 3, shown
    assert np.abs(first(f)[360, 80::160].astype(int) - COLOURS).max() <= 3


def test_what_is_written_says_its_colours_and_keeps_its_pixels(tmp_path):
    "Matrix, range, primaries and transfer are in the file, and the pixels are those of the encoder's own conversion."
    f = tmp_path / 'x.mp4'
    x = np.random.default_rng(2).integers(0, 255, (9, 6, 8, 3), dtype=np.uint8).repeat(8, 1).repeat(8, 2)
    write_clip(f, x, None, 16, crf=0)
    plain = av.VideoFrame.from_ndarray(x[0], format='rgb24').reformat(format='yuv420p').to_ndarray()
    with av.open(str(f)) as c:
        y = next(c.decode(video=0))
    assert (y.colorspace, y.color_range, y.color_primaries, y.color_trc) == (6, 1, 1, 1) and b'colr' in f.read_bytes()
    assert np.array_equal(y.to_ndarray(), plain)
    video, _ = squeeze(x, np.zeros(9000, np.float32), 16, 16000, crf=0)
    assert np.array_equal(picture_of(video, [0])[0], first(f))


RED_BLUE = {
    1: (0.2126, 0.0722),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}  # of H.273


def coded(x, matrix, full):
    "Brightness and differences of colour, uint16 [H,W,3], of RGB in [0, 1]: H.273's formula, number by number."
    red, blue = RED_BLUE.get(matrix, RED_BLUE[5])
    r, g, b = np.moveaxis(x, 2, 0)
    y = red * r + (1 - red - blue) * g + blue * b
    parts = y, (b - y) / (1 - blue) / 2, (r - y) / (1 - red) / 2
    if full:
        codes = [parts[0] * 255, *(p * 255 + 128 for p in parts[1:])]
    else:
        codes = [parts[0] * 219 + 16, *(p * 224 + 128 for p in parts[1:])]
    return (np.stack(codes, 2) * 256).round().clip(0, 65535).astype(np.uint16)


def colour_film(path, x, matrix, full=False, primaries=2, transfer=2, pixels='yuv444p'):
    "Two lossless frames of RGB in [0, 1]; the numbers are H.273's. A usual matrix is not only written, but used."
    with av.open(str(path), 'w') as c:
        v = c.add_stream('libx264', rate=8, width=x.shape[1], height=x.shape[0], pix_fmt=pixels, options=dict(crf='0'))
        k = v.codec_context
        k.colorspace, k.color_range, k.color_primaries, k.color_trc = matrix, 1 + full, primaries, transfer
        f = av.VideoFrame.from_ndarray(coded(x, matrix, full), format='yuv444p16le').reformat(format=pixels)
        for n in range(2):
            f.pts, f.time_base = n, Fraction(1, 8)
            c.mux(v.encode(f))
        c.mux(v.encode(None))
    return path


@pytest.mark.parametrize('full', [False, True])
@pytest.mark.parametrize(
    'matrix, pixels', [(1, 'yuv420p'), (5, 'yuv444p'), (6, 'yuv420p'), (7, 'yuv444p'), (9, 'yuv422p')]
)
def test_colours_are_read_as_the_file_says(tmp_path, matrix, pixels, full):
    "Within 4 levels of what was meant (the scaler itself darkens grey by 2), and within 3 of the same film in BT.601."
    f = colour_film(tmp_path / 'x.mkv', bars(96, 256) / 255, matrix, full, pixels=pixels)
    usual = colour_film(tmp_path / 'usual.mkv', bars(96, 256) / 255, 5, full, pixels=pixels)
    for size, step in ((None, 32), (48, 16)):
        got, as_601 = (first(p, size=size)[step, step // 2 :: step].astype(int) for p in (f, usual))
        assert np.abs(got - COLOURS).max() <= 4 and np.abs(got - as_601).max() <= 3, (size, got.tolist())


def test_full_range_of_an_old_kind(tmp_path):
    "yuvj420p of a camera's MJPEG: the range is in the name of the format."
    with av.open(str(tmp_path / 'x.avi'), 'w') as c:
        v = c.add_stream('mjpeg', rate=8, width=256, height=96, pix_fmt='yuvj420p', options=dict(qmin='1', qmax='1'))
        f = av.VideoFrame.from_ndarray(bars(96, 256), format='rgb24')
        f = f.reformat(format='yuvj420p', dst_color_range='JPEG')
        f.pts, f.time_base = 0, Fraction(1, 8)
        c.mux([*v.encode(f), *v.encode(None)])
    got = first(tmp_path / 'x.avi')[48, 16::32]
    assert np.abs(got.astype(int) - COLOURS).max() <= 4, got


@pytest.mark.parametrize('matrix', [8, 10, 14])
def test_colours_that_cannot_be_converted_are_named(tmp_path, matrix):
    "YCgCo, BT.2020 with constant luminance, ICtCp: FFmpeg's scaler refuses them."
    f = colour_film(tmp_path / 'x.mkv', bars(96, 256) / 255, matrix)
    with pytest.raises(MediaError, match=f'matrix {matrix} of H.273.* transcode') as e:
        first(f, size=32)
    assert e.value.path == str(f) and probe(f)['width'] == 256


# ---- HDR


def pq(light):
    "PQ's code in [0, 1] of light in cd/m2 (SMPTE ST 2084), number by number."
    y = (light / 10000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * y) / (1 + 2392 / 128 * y)) ** (2523 / 32)


def hlg(light):
    "HLG's code of the scene's light in [0, 1] (ITU-R BT.2100)."
    a = 0.17883277
    return (3 * light) ** 0.5 if light <= 1 / 12 else a * np.log(12 * light - (1 - 4 * a)) + 0.5 - a * np.log(4 * a)


GREYS = [0, 5, 50, 203, 600, 1000, 4000]  # cd/m2


def shown(light):
    "Grey level on an ordinary screen: paper of 203 cd/m2 comes to 74 %, 1000 cd/m2 to white."
    x = light / 203
    return 255 * min(1, x * (1 + x / (1000 / 203) ** 2) / (1 + x)) ** (1 / 2.2)


@pytest.mark.parametrize('transfer', [16, 18])
def test_greys_of_an_hdr_film(tmp_path, transfer):
    code = [pq(x) if transfer == 16 else hlg(min(1, (x / 1000) ** (1 / 1.2))) for x in GREYS]
    x = np.array(code)[None, :, None].repeat(3, 2).repeat(64, 0).repeat(32, 1)
    f = colour_film(tmp_path / 'x.mkv', x, 9, primaries=9, transfer=transfer, pixels='yuv420p10le')
    got = first(f)[32, 16::32]
    assert np.abs(got - np.array([[shown(y)] for y in GREYS])).max() <= 3, got.tolist()


def test_hdr_colours_keep_their_hue(tmp_path):
    "BT.709's own red, green, blue and orange, put into BT.2020 and PQ at 200 cd/m2, come back as such."
    linear = np.array([(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0.4, 0.05)])
    to_2020 = np.array(
        [[0.6274, 0.0691, 0.0164], [0.3293, 0.9195, 0.0880], [0.0433, 0.0114, 0.8956]]
    )  # BT.2087, for rows
    x = np.vectorize(pq)(linear @ to_2020 * 200)[None].repeat(64, 0).repeat(32, 1)
    f = colour_film(tmp_path / 'x.mkv', x, 9, primaries=9, transfer=16, pixels='yuv444p10le')
    got = first(f)[32, 16::32].astype(float)
    want = np.array([[shown(200 * y.max()) * (y[k] / y.max()) ** (1 / 2.2) for k in range(3)] for y in linear])
    assert np.abs(got - want).max() <= 20, got.tolist()  # 10 bits: near black a step is 18 levels


def test_an_hdr_film_is_not_washed_out(real_data):
    f = real_data / 'odd' / 'media_mp4_hdr10-av1.mp4'
    x = read_clip(f, 1.3, 0.1, 30, size=(160, 90)).frames[0].astype(int)
    with av.open(str(f)) as c:
        frame = [y for y, _ in zip(c.decode(video=0), range(40))][-1]
    flat = frame.to_ndarray(format='rgb24', width=90, height=160).astype(int)
    contrast = lambda x: np.percentile(x, 95) - np.percentile(x, 5)
    assert np.ptp(x, axis=2).mean() > 2 * np.ptp(flat, axis=2).mean() and contrast(x) > 1.4 * contrast(flat)


# ---- interlaced frames

FIELDS = dict(flags='+ilme+ildct')


def woven(path, codec, options, top_first, size=(96, 160), speed=4, matrix=None):
    "A bar that moves between the two fields of a frame; which lines come first is noted in each frame."
    h, w = size
    g = av.filter.Graph()
    source = g.add_buffer(width=w, height=h, format=av.VideoFormat('yuv420p', w, h), time_base=Fraction(1, 25))
    g.link_nodes(source, g.add('setfield', 'tff' if top_first else 'bff'), g.add('buffersink')).configure()
    with av.open(str(path), 'w') as c:
        v = c.add_stream(codec, rate=25, width=w, height=h, pix_fmt='yuv420p', options=options)
        if matrix:
            v.codec_context.colorspace = matrix
        for k in range(10):
            x = np.full((h, w, 3), 40, np.uint8)
            for line, moment in ((1 - top_first, 2 * k), (int(top_first), 2 * k + 1)):
                x[line::2, speed * moment + 8 : speed * moment + 24] = (60, 220, 90)
            f = av.VideoFrame.from_ndarray(x, format='rgb24')
            f = VideoReformatter().reformat(f, format='yuv420p', dst_colorspace=matrix or 5, dst_color_range=1)
            f.pts, f.time_base = k, Fraction(1, 25)
            g.vpush(f)
            c.mux(v.encode(g.vpull()))
        c.mux(v.encode(None))
    return path


@pytest.mark.parametrize(
    'name, codec, options, size, top_first',
    [
        ('x.mkv', 'mpeg2video', dict(FIELDS, b='6M'), (96, 160), True),
        ('x.mkv', 'mpeg2video', dict(FIELDS, b='6M'), (96, 160), False),
        ('x.mpg', 'mpeg2video', dict(FIELDS, b='6M', bf='2'), (96, 160), True),
        ('x.mp4', 'libx264', dict(FIELDS, crf='8'), (96, 160), True),
        ('x.mp4', 'libx264', dict(FIELDS, crf='8'), (96, 160), False),
        ('x.avi', 'dvvideo', {}, (576, 720), False),
    ],
)
def test_an_interlaced_frame_is_the_picture_of_its_time(tmp_path, name, codec, options, size, top_first):
    f = woven(tmp_path / name, codec, options, top_first, size)
    with av.open(str(f)) as c:
        assert next(c.decode(video=0)).interlaced_frame, "the test's file is not interlaced"
    for k in (0, 3, 7):
        x = read_clip(f, k / 25 + 0.001, 0.04, 25).frames[0]
        green = x[4:-4, :, 1] > 130
        edges = np.array([np.flatnonzero(line)[[0, -1]] for line in green]) * size[1] / x.shape[1]
        assert x.shape[0] == size[0] and np.abs(edges - (8 * k + 8, 8 * k + 23)).max() <= 2, (k, edges[:4])
    assert np.array_equal(read_clip(f, 0.2, 0.2, 25, size=48).frames[0], read_clip(f, 0, 0.5, 25, size=48).frames[5])


@pytest.mark.parametrize('matrix', [1, 5])
def test_the_colours_of_interlaced_frames_are_those_of_the_file(tmp_path, matrix):
    f = woven(tmp_path / 'x.mkv', 'mpeg2video', dict(FIELDS, b='8M'), True, speed=0, matrix=matrix)
    assert np.abs(first(f)[48, 16].astype(int) - (60, 220, 90)).max() <= 6, first(f)[48, 16]


def test_nothing_is_printed(tmp_path, stored):
    "In a process of its own: what FFmpeg says goes past Python's sys.stderr."
    woven(tmp_path / 'a.mkv', 'mpeg2video', dict(FIELDS, b='6M'), True, matrix=1)
    colour_film(tmp_path / 'b.mkv', bars(96, 256) / 255, 9, primaries=9, transfer=16, pixels='yuv420p10le')
    (tmp_path / 'c.mp4').write_bytes(with_matrix(stored[0], 0, 1, 1, 0))
    code = (
        'import sys\nfrom avnb.media import probe, read_clip\n'
        'for f in sys.argv[1:]: probe(f), read_clip(f, 0.1, .1, 16, size=32)'
    )
    command = [sys.executable, '-c', code, *map(str, sorted(tmp_path.iterdir()))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')

"""The right sound: the track that is meant, channels mixed so that all is heard, nothing cut off.

From the file to the batch. Every file is made here, or is a known fault."""

from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile

from avnb.media import MediaError, probe, read_clip, write_clip

NOISE = np.random.default_rng(3).normal(size=(1, 32000)).clip(-3, 3) / 10


def decibel(x):
    return float(10 * np.log10(np.square(x.astype(float)).mean() + 1e-15))


LOUD = decibel(NOISE)


def tone(seconds=0.5, pitch=440):
    return np.sin(2 * np.pi * pitch * np.arange(round(seconds * 16000)) / 16000) / 4


def heard(path, start=0.0, seconds=0.5, **how):
    return read_clip(path, start, seconds, video=False, **how).waveform


def sound_stream(c, x, layout, codec='pcm_s16le', format='s16'):
    "One more track of an open container for samples [C, n] at 16 kHz, and what writes it."
    s = c.add_stream(codec, rate=16000, layout=layout)
    if format == 's16':
        x = np.round(x * 32767).astype(np.int16)
    if format == 'fltp':
        x = x.astype(np.float32)
    packed = x if format.endswith('p') else x.T.reshape(1, -1)

    def write():
        s.codec_context.open(strict=False)
        n, step = s.codec_context.frame_size or 1024, packed.shape[1] // x.shape[1]
        for i in range(0, x.shape[1], n):
            part = np.ascontiguousarray(packed[:, i * step : (i + n) * step])
            f = av.AudioFrame.from_ndarray(part, format=format, layout=layout)
            f.sample_rate, f.pts, f.time_base = 16000, i, Fraction(1, 16000)
            c.mux(s.encode(f))
        c.mux(s.encode(None))

    return s, write


def sound_file(path, x, layout='stereo', **how):
    with av.open(str(path), 'w') as c:
        sound_stream(c, x, layout, **how)[1]()
    return path


def with_tracks(path, levels=(-60, -20, -40), default=(1,), films=1, sound=NOISE, layout='mono'):
    "A film of 2 s with sound tracks of these levels (dB below the noise); of several pictures the last is default."
    kind = ('aac', 'fltp') if path.suffix == '.mp4' else ('pcm_s16le', 's16')
    marked = lambda yes: av.stream.Disposition.default if yes else 0
    with av.open(str(path), 'w') as c:
        pictures = [c.add_stream('libx264', rate=16, width=64, height=48, pix_fmt='yuv420p') for _ in range(films)]
        sounds = [sound_stream(c, sound * 10 ** (db / 20), layout, *kind) for db in levels]
        for k, v in enumerate(pictures):
            v.disposition = marked(k == films - 1)
        for k, (s, _) in enumerate(sounds):
            s.disposition = marked(k in default)
        for k, v in enumerate(pictures):
            for n in range(32):
                f = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 40 + 50 * k + n, np.uint8), format='rgb24')
                f.pts, f.time_base = n, Fraction(1, 16)
                c.mux(v.encode(f))
            c.mux(v.encode(None))
        for _, write in sounds:
            write()
    return path


# ---- which track


@pytest.mark.parametrize('name', ['x.mkv', 'x.mov', 'x.mp4'])
@pytest.mark.parametrize('default', [0, 1, 2])
def test_the_track_marked_as_default_is_heard_unless_another_is_named(tmp_path, name, default):
    f, levels = with_tracks(tmp_path / name, default=(default,)), (-60, -20, -40)
    assert decibel(read_clip(f, 0.2, 1, 8).waveform) == pytest.approx(LOUD + levels[default], abs=1)
    assert (probe(f)['audio_tracks'], probe(f)['audio_taken'], probe(f, 2)['audio_taken']) == (3, default, 2)
    for k in range(3):
        for sight in (True, False):
            x = read_clip(f, 0.2, 1, 8, track=k, video=sight).waveform
            assert decibel(x) == pytest.approx(LOUD + levels[k], abs=1)
    for wrong in (3, -1, 1.5, 'x'):
        with pytest.raises(MediaError, match='one of its 3 sound tracks, counted from 0'):
            read_clip(f, track=wrong)


def test_tracks_of_sound_files_count_too(tmp_path):
    f = tmp_path / 'x.wav'
    soundfile.write(f, NOISE[0], 16000)
    assert np.array_equal(heard(f, track=0), heard(f))
    with pytest.raises(MediaError, match='one of its 1 sound tracks'):
        heard(f, track=1)
    pictures = np.random.default_rng(0).integers(0, 255, (8, 32, 32, 3), np.uint8)
    mute = write_clip(tmp_path / 'mute.mp4', pictures, None, 8)
    with pytest.raises(MediaError, match='one of its 0 sound tracks'):
        read_clip(mute, track=0)


def test_two_sounds_without_a_picture_have_lengths_of_their_own(tmp_path):
    f = tmp_path / 'two.mka'
    with av.open(str(f), 'w') as c:
        tracks = [sound_stream(c, x, 'mono') for x in (NOISE[:, :8000] / 100, NOISE)]
        for s, _ in tracks:
            s.disposition = 0
        for _, write in tracks:
            write()
    assert [probe(f, k)['duration_s'] for k in (0, 1)] == pytest.approx([0.5, 2], abs=0.07)
    assert [decibel(heard(f, track=k)) for k in (0, 1)] == pytest.approx([LOUD - 40, LOUD], abs=1)


def test_of_several_pictures_the_default_one_is_seen(tmp_path):
    f = with_tracks(tmp_path / 'x.mkv', films=2)
    assert read_clip(f, 0, 0.1, 16).frames.mean() == pytest.approx(90, abs=3)


def test_the_default_track_of_a_known_file(real_data):
    "0.1 s of tone at each whole second, where the first track is silent."
    f = real_data / 'faults' / 'two_tracks.mkv'
    x = read_clip(f, 0, 5, 8).waveform
    assert min(decibel(x[k * 16000 + 200 : k * 16000 + 1400]) for k in range(5)) > -25 and decibel(x[4000:15000]) < -80
    assert not read_clip(f, 0, 5, 8, track=0).waveform.any()


# ---- mono

FRONT, BACK = [0.7071, 0.7071], [0.5, 0.5]


@pytest.mark.parametrize(
    'layout, weights',
    [
        ('mono', [1]),
        ('stereo', [1, 1]),
        ('quad', FRONT + BACK),
        ('5.0', [*FRONT, 1, *BACK]),
        ('5.1', [*FRONT, 1, 0, *BACK]),
        ('7.1', [*FRONT, 1, 0, *BACK, *BACK]),
    ],
)
@pytest.mark.parametrize('ending, codec', [('mkv', 'flac'), ('mov', 'pcm_s16le')])
def test_each_channel_has_its_published_weight(tmp_path, layout, weights, ending, codec):
    "ITU-R BS.775, divided by the sum: one channel after the other, and all at once without clipping."
    f, share = tmp_path / f'x.{ending}', np.array(weights) / sum(weights)
    for k in range(len(weights)):
        x = np.zeros((len(weights), 8000))
        x[k] = 3 * tone()
        got = heard(sound_file(f, x, layout, codec=codec))
        assert np.abs(got - share[k] * x[k])[50:-50].max() < 1e-3, (k, np.abs(got).max())
    got = heard(sound_file(f, np.ones((len(weights), 1)) * 3.99 * tone(), layout, codec=codec))
    assert 0.99 < np.abs(got).max() <= 1


def test_the_bass_effects_of_two_and_one(tmp_path):
    x = np.stack([tone(), tone(pitch=300), 3 * tone(pitch=50)])
    got = heard(sound_file(tmp_path / 'x.mkv', x, '2.1', codec='flac'))
    assert np.abs(got - x[:2].mean(0))[50:-50].max() < 1e-3


def test_channels_that_nobody_names_are_alike(tmp_path):
    "A wav of six channels need not say which is which; one that says so is mixed as it says."
    x = np.zeros((6, 8000))
    x[2] = 2 * tone()
    soundfile.write(tmp_path / 'x.wav', x.T, 16000)
    sound_file(tmp_path / 'named.wav', x, '5.1')
    for name, share in (('x.wav', 6), ('named.wav', 3.4142)):
        assert np.abs(heard(tmp_path / name) - x[2] / share)[50:-50].max() < 1e-3, name


@pytest.mark.parametrize('ending', ['wav', 'mkv'])
def test_stereo_stays_the_mean_to_the_bit(tmp_path, ending):
    x, f = np.random.default_rng(4).normal(size=(2, 8000)).clip(-3, 3) / 4, tmp_path / f'x.{ending}'
    sound_file(f, x)
    want = (np.round(x * 32767).astype(np.int16) / np.float32(32768)).astype(np.float32).mean(0)
    c = read_clip(f, 0, 0.5, video=False)
    assert np.array_equal(c.waveform, want) and c.out_of_phase == 0


@pytest.mark.parametrize('ending', ['wav', 'mkv'])
def test_channels_out_of_phase_are_heard(tmp_path, ending):
    "As loud as one channel, the same sample in whichever window, and said."
    x = np.random.default_rng(5).normal(size=48000).clip(-3, 3) / 8
    f = sound_file(tmp_path / f'x.{ending}', np.stack([x, -x]))
    for start, seconds in ((0, 3), (0.7, 1), (1.33, 0.2), (2.9, 0.5)):
        c = read_clip(f, start, seconds, video=False)
        part = x[round(start * 16000) :][: len(c.waveform)]
        assert c.out_of_phase == 1 and np.abs(c.waveform[: len(part)] - part).max() < 2e-4


def test_from_in_phase_to_out_of_phase_without_a_jump(tmp_path):
    "The more left and right cancel, the more of left is taken: windows that overlap never differ by a switch."
    r, levels = np.random.default_rng(6), []
    left, other = r.normal(size=16000) / 10, r.normal(size=16000) / 10
    for likeness in np.linspace(0, -1, 41):
        right = likeness * left + (1 - likeness**2) ** 0.5 * other
        levels.append(decibel(heard(sound_file(tmp_path / 'x.mkv', np.stack([left, right])), seconds=1)))
    assert levels[-1] == pytest.approx(decibel(left), abs=0.1) and min(levels) > decibel(left) - 12
    assert np.abs(np.diff(levels)).max() < 4 and np.abs(np.diff(levels[:28])).max() < 0.5


@pytest.mark.parametrize('left, right', [(0, 0), (1, 0), (0, 1), (1, 1), (1, -0.3)])
def test_silence_and_sound_on_one_side_are_not_out_of_phase(tmp_path, left, right):
    x = np.stack([left * tone(), right * tone()])
    c = read_clip(sound_file(tmp_path / 'x.mkv', x), 0, 0.5, video=False)
    assert c.out_of_phase == 0 and np.abs(c.waveform - x.mean(0)).max() < 1e-3


def test_a_known_file_out_of_phase(real_data):
    c = read_clip(real_data / 'faults' / 'phase.mp4', 0, 2, 8)
    assert c.out_of_phase == 1 and decibel(c.waveform) == pytest.approx(-19, abs=1)


# ---- the same sound from wherever it is read


@pytest.mark.parametrize('subtype, most', [('VORBIS', 1e-4), ('OPUS', 5e-3)])
def test_windows_of_ogg_are_parts_of_the_whole(tmp_path, subtype, most):
    """After a seek libsndfile shifts the last page of Vorbis by up to one block. Opus is decoded at 48 kHz and
    resampled."""
    f, n = tmp_path / 'x.ogg', 96123
    walk = np.cumsum(np.random.default_rng(0).normal(size=n))
    sound = walk - np.convolve(walk, np.ones(64) / 64, 'same')
    soundfile.write(f, 0.7 * sound / np.abs(sound).max(), 16000, format='OGG', subtype=subtype)
    whole = soundfile.read(f, dtype='float32')[0]
    for start in (0.0, 0.5, 3.0, 5.5, 5.625):  # s; the last page begins at 5.6
        part, first = heard(f, start, 0.25), round(start * 16000)
        assert np.abs(part - whole[first : first + len(part)]).max() < most, start


def test_sound_alone_is_read_alike_the_first_time_and_the_second(tmp_path):
    f = sound_file(tmp_path / 'x.aac', NOISE, 'mono', codec='aac', format='fltp')
    first, second = (heard(f, 0, 1.0) for _ in range(2))
    assert first.any() and np.array_equal(first, second)


# ---- beyond full scale

FLOATS = dict(FLOAT=('pcm_f32le', 'flt', np.float32), DOUBLE=('pcm_f64le', 'dbl', np.float64))


@pytest.mark.parametrize('subtype', FLOATS)
@pytest.mark.parametrize('ending', ['wav', 'mkv'])
def test_floats_beyond_full_scale_are_scaled_as_a_file(tmp_path, subtype, ending):
    "No tip is cut, and a sample is the same in whichever window."
    x, f = np.stack([tone(2) * np.linspace(0, 40, 32000), tone(2, pitch=300)]), tmp_path / f'x.{ending}'
    codec, format, kind = FLOATS[subtype]
    if ending == 'wav':
        soundfile.write(f, x.T, 16000, subtype)
    else:
        sound_file(f, x.astype(kind), codec=codec, format=format)
    for start, seconds in ((0, 2), (0, 0.5), (0.4, 1), (1.8, 0.2)):
        got = heard(f, start, seconds)
        want = x.mean(0)[round(start * 16000) :][: len(got)] / np.abs(x).max()
        assert np.abs(got - want)[30:-30].max() < 2e-3


def test_floats_within_full_scale_stay_and_changed_files_are_looked_through_anew(tmp_path):
    f = tmp_path / 'x.wav'
    soundfile.write(f, tone(1), 16000, 'FLOAT')
    assert np.abs(heard(f, 0, 1) - tone(1)).max() < 1e-6
    soundfile.write(f, 20 * tone(1), 16000, 'DOUBLE')
    assert np.abs(heard(f, 0, 1)).max() == pytest.approx(1, abs=1e-3)


def test_a_damaged_float_costs_its_packet_and_not_the_file(tmp_path):
    x = 2 * tone(1).astype(np.float32)
    x[5000] = np.nan
    f = sound_file(tmp_path / 'x.mkv', x[None], 'mono', codec='pcm_f32le', format='flt')
    got = heard(f, 0, 1)
    assert np.isfinite(got).all() and np.abs(got - x)[8000:-30].max() < 1e-3


# ---- from the table to the batch

HOW = dict(seconds=1.0, fps=8, size=32, rate=16000)


@pytest.fixture
def films(tmp_path):
    "Three films, indexed: one with three sound tracks, one as usual, one whose channels cancel each other."
    from avnb.index import index_folder

    folder = tmp_path / 'films'
    folder.mkdir()
    with_tracks(folder / 'many.mkv')
    with_tracks(folder / 'one.mkv', levels=(-10,), default=(0,))
    both = np.concatenate([NOISE, -NOISE])
    with_tracks(folder / 'phase.mkv', levels=(0,), default=(0,), sound=both, layout='stereo')
    return index_folder(folder, workers=1)


def named(m, number, **more):
    "The table with a sound track named for the film that has several."
    from avnb.manifest import Manifest

    track = [number if i == 'many' else '' for i in m.table['id']]
    return Manifest(m.folder, m.table.assign(audio_track=track, **more))


def row_of(m, column, x):
    return int(np.flatnonzero(m.table[column] == x)[0])


def level(m, i):
    "How loud a row is when it is read for training, dB."
    from avnb.packed import read_pair

    return decibel(read_pair(*m.locate(i), **HOW).waveform)


def test_the_doctor_names_tracks_and_phase(films):
    from avnb.index import doctor

    t, text = films.table.set_index('id'), doctor(films)
    assert t['loudness_db'].to_dict() == pytest.approx(dict(many=LOUD - 20, phase=LOUD, one=LOUD - 10), abs=1)
    found = text.flagged.set_index('id')['complaint'].to_dict()
    assert found == dict(many='sound track 1 of 0 to 2', phase='out of phase')
    assert '1 several sound tracks' in text and '1 out of phase' in text


def test_a_named_track_is_kept_and_measured_by_another_index(films):
    from avnb.index import doctor, index_folder
    from avnb.manifest import ManifestError

    one, k = named(films, '2'), row_of(films, 'id', 'many')
    one.save(films.folder / 'manifest.csv', overwrite=True)
    back = index_folder(films.folder, workers=1)
    assert back.table['audio_track'].equals(one.table['audio_track']) and back.hash == one.hash != films.hash
    assert back.table['loudness_db'][k] == pytest.approx(LOUD - 40, abs=1) and back.table['audio_taken'][k] == 2
    assert doctor(back).flagged['id'].tolist() == ['phase']
    named(films, '3').save(films.folder / 'manifest.csv', overwrite=True)
    with pytest.raises(ManifestError, match='row many, audio_track 3: expected one of its 3 sound tracks'):
        index_folder(films.folder, workers=1)
    with pytest.raises(ManifestError, match='no whole number from 0 as audio_track'):
        named(films, 'second')
    assert named(films, 2.0).table['audio_track'].tolist() == one.table['audio_track'].tolist()


def test_a_named_track_is_heard_everywhere(films, tmp_path):
    from avnb.packed import ClipError, pack, read_pair
    from avnb.player import ClipMedia

    one, k = named(films, '2'), row_of(films, 'id', 'many')
    assert [level(m, k) for m in (films, one)] == pytest.approx([LOUD - 20, LOUD - 40], abs=1)
    assert np.array_equal(read_pair(*one.locate(k), **HOW).frames, read_pair(*films.locate(k), **HOW).frames)
    packed = pack(one, tmp_path / 'packed', workers=0, **HOW)
    assert decibel(packed.audio[k] / 32767) == pytest.approx(LOUD - 40, abs=1)
    with pytest.raises(ClipError, match='many, is another file or place'):
        packed.slots(films)
    (tmp_path / 'film.mp4').write_bytes(ClipMedia(one).video(k))
    assert decibel(read_clip(tmp_path / 'film.mp4', 0.1, 0.8, 8).waveform) == pytest.approx(LOUD - 40, abs=1.5)


def test_injected_noise_carries_the_donors_track(films, tmp_path):
    from avnb.clips import ClipDataset
    from avnb.core import DataConfig, ViewConfig
    from avnb.manifest import Manifest, inject_noise

    one = named(films, '2', split='train', label=films.table['id'])
    noisy = inject_noise(one, 1.0, seed=1)
    plain = inject_noise(Manifest(one.folder, one.table.drop(columns='audio_track')), 1.0, seed=1)
    back = Manifest.load(noisy.save(tmp_path / 'noisy.csv'))
    assert back.table['track'].tolist() == plain.table['track'].tolist() and back.hash == noisy.hash != plain.hash
    i, own = row_of(back, 'track', 'many'), row_of(back, 'id', 'many')
    assert (back.soundtrack(i)[2], back.soundtrack(own)[2]) == (
        2,
        None,
    )  # what has three tracks hears the only one of another
    assert [level(m, i) for m in (back, plain)] == pytest.approx([LOUD - 40, LOUD - 20], abs=1)
    data, view = DataConfig(seconds=2.0, fps=8, size=32, rate=16000), ViewConfig(frames=4, stride=1, audio_seconds=1.0)
    x = ClipDataset(back, data, view, senses='audio', train=False, aligned=False).read_one(
        int(back.rows[i]), np.arange(4), 0
    )[1]
    assert decibel(x) == pytest.approx(LOUD - 40, abs=1)

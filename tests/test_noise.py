"Injected noise: properties of who is wrong and whose sound is heard, and that every reader hears exactly the donor's."

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from avnb.clips import ClipDataset
from avnb.core import DataConfig, ViewConfig
from avnb.index import index_folder
from avnb.manifest import Manifest, ManifestError, inject_noise
from avnb.media import write_clip
from avnb.packed import PackedSet, pack, verify


def table(labels, windows, split='train'):
    "A manifest of files with some windows each; `labels` [files] may be empty strings."
    rows = [
        dict(
            id=f'f{k}w{w}',
            path=f'f{k}.mp4',
            start_s=2.0 * w,
            seconds=2.0,
            split=split,
            label=x,
            content_hash=f'hash{k}',
        )
        for k, (x, n) in enumerate(zip(labels, windows))
        for w in range(n)
    ]
    return Manifest('.', pd.DataFrame(rows))


sets = st.lists(
    st.tuples(st.sampled_from(['', 'dog', 'cat', 'rain', 'drum']), st.integers(1, 5)), min_size=2, max_size=40
).map(lambda x: table(*zip(*x)))
doses = st.floats(0, 1)


def noisy(m, *args):
    "The noisy manifest, or None where there is nobody to trade with."
    try:
        return inject_noise(m, *args)
    except ManifestError as e:
        assert 'only one' in str(e)
        return None


def wrong(m):
    return set(m.table['id'][m.table['track'] != '']) if 'track' in m.table else set()


@settings(max_examples=80, deadline=None)
@given(sets, doses, st.integers(0, 9))
def test_a_wrong_sound_comes_from_another_class_and_file(m, fraction, seed):
    n = noisy(m, fraction, seed)
    if n is None:
        return
    t, before = n.table, m.table.set_index('id')
    bad = t[t['id'].isin(wrong(n))]
    for _, r in bad.iterrows():
        donor = before.loc[r['track']]
        assert donor['path'] == r['track_path'] != r['path'] and donor['start_s'] == r['track_start_s']
        assert donor['label'] != r['label'] or not r['label']
    assert (bad['faulty_kind'] == 'wrong_track').all() and set(bad['content_hash']).isdisjoint(before['content_hash'])
    rest = t[~t['id'].isin(wrong(n))]
    assert rest[list(m.table)].equals(m.table.loc[rest.index]) and (n.hash == m.hash) == (not len(bad))


@settings(max_examples=60, deadline=None)
@given(sets, doses, doses, st.integers(0, 9))
def test_doses_are_nested_and_fair_to_each_class(m, f, g, seed):
    less, more = noisy(m, min(f, g), seed), noisy(m, max(f, g), seed)
    if less is None or more is None:
        return
    assert wrong(less) <= wrong(more)
    share = m.table['id'].isin(wrong(more)).groupby(m.table['label']).agg(['sum', 'size'])
    assert ((share['sum'] - max(f, g) * share['size']).abs() < 1).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 6), st.integers(1, 8), doses, st.integers(0, 9))
def test_sounds_change_places(classes, each, fraction, seed):
    "With equal classes the wrong rows exchange their sounds among themselves: each is heard once, none is lost."
    m = table([f'c{k % classes}' for k in range(classes * each)], [2] * (classes * each))
    n = inject_noise(m, fraction, seed)
    if not wrong(n):
        return
    heard, sizes = n.table['track'][n.table['track'] != ''], n.table[n.table['track'] != ''].groupby('label').size()
    if sizes.max() * 2 <= sizes.sum():
        assert set(heard) == wrong(n) and heard.is_unique


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sets, doses, st.integers(0, 9))
def test_the_same_seed_the_same_noise_also_from_a_file(tmp_path, m, fraction, seed):
    n = noisy(m, fraction, seed)
    if n is None:
        return
    assert n.table.equals(inject_noise(m, fraction, seed).table)
    n.save(tmp_path / 'there' / 'm.csv', overwrite=True)
    back = Manifest.load(tmp_path / 'there' / 'm.csv')
    assert back.hash == n.hash and [
        back.soundtrack(k) and (back.soundtrack(k)[0].resolve(), back.soundtrack(k)[1]) for k in range(len(n))
    ] == [n.soundtrack(k) and (n.soundtrack(k)[0].resolve(), n.soundtrack(k)[1]) for k in range(len(n))]
    back.save(tmp_path / 'again.csv', overwrite=True)
    assert (
        Manifest.load(tmp_path / 'again.csv')
        .table.drop(columns=['path', 'track_path'], errors='ignore')
        .equals(back.table.drop(columns=['path', 'track_path'], errors='ignore'))
    )


def test_seeds_differ_and_big_sets_are_quick():
    m = table([f'c{k % 2}' for k in range(20000)], [1] * 20000)
    a, b = inject_noise(m, 0.5, 0), inject_noise(m, 0.5, 1)
    assert len(wrong(a)) == 10000 and 4000 < len(wrong(a) & wrong(b)) < 6000
    one = table(['a'] * 900 + ['b'] * 100, [1] * 1000)
    n = inject_noise(one, 1.0)  # more than half of one class: sounds are heard again
    assert len(wrong(n)) == 1000 and set(n.table['track'][n.table['label'] == 'a']) <= set(
        n.table['id'][n.table['label'] == 'b']
    )


@pytest.mark.parametrize(
    'm, fraction, say',
    [
        (table(['a', 'b'], [2, 2]), -0.1, 'between 0 and 1'),
        (table(['a'], [3]), 1.0, 'only one'),
        (table(['a', 'a'], [1, 1]), 1.0, 'only one'),
        (table(['a', 'b'], [2, 2], 'test'), 0.5, 'no clean, usable row'),
        (inject_noise(table(['a', 'b'], [2, 2]), 1.0), 0.5, 'already'),
    ],
)
def test_what_cannot_be_done_is_said(m, fraction, say):
    with pytest.raises(ManifestError, match=say):
        inject_noise(m, fraction)


def test_other_splits_and_known_faults_are_left_alone():
    m = table(['a', 'b', 'c', 'd'] * 5, [1] * 20)
    t = m.table
    t.loc[:4, 'split'], t.loc[5:6, 'faulty_kind'], t.loc[7, 'error'] = 'test', 'off_screen', 'cannot be read'
    n = inject_noise(m, 1.0)
    assert set(n.table.index[n.table['track'] != '']) == set(range(8, 20)) and set(n.table['track']) - {''} <= set(
        t['id'][8:]
    )


@pytest.fixture(scope='module')
def clips(tmp_path_factory):
    "Eight files of 4 s, two windows each; every file has its own pitch and grey, so that who is heard can be told."
    d, g = tmp_path_factory.mktemp('noise') / 'videos', np.random.default_rng(0)
    d.mkdir()
    for k in range(8):
        s = np.arange(4 * 8000) / 8000
        write_clip(
            d / f'{k}.mp4',
            np.full((32, 32, 32, 3), 20 + 25 * k, np.uint8),
            (0.3 * np.sin(2 * np.pi * (200 + 90 * k) * s) + 0.02 * g.normal(size=len(s))).astype(np.float32),
            fps=8,
            rate=8000,
        )
    m = index_folder(d, d.parent / 'm.csv', seconds=2.0, workers=1)
    return Manifest(m.folder, m.table.assign(split='train'))


@pytest.mark.parametrize('layout', ['raw', 'shards'])
def test_a_packed_set_with_noise_holds_exactly_the_donors_sounds(clips, tmp_path, layout):
    n = inject_noise(clips, 0.6, 3)
    how = dict(seconds=2.0, fps=8.0, size=32, rate=8000, workers=1, layout=layout, chunk=5)
    clean, loud = pack(clips, tmp_path / 'clean', **how), pack(n, tmp_path / 'noisy', **how)
    at = {x: k for k, x in enumerate(clips.table['id'])}
    donor = np.array([at[x] if x else k for k, x in enumerate(n.table['track'])])
    assert (donor != np.arange(16)).sum() == len(wrong(n)) > 5
    frames, whole = (
        np.arange(16),
        lambda p, k: (
            p.read_one(k, frames, 0, 16000)
            if layout == 'shards'
            else [x[0] for x in p.read(np.array([k]), frames[None], np.array([0]), 16000)]
        ),
    )
    for k in range(16):
        for have, want in zip(whole(loud, k), (whole(clean, k)[0], whole(clean, int(donor[k]))[1])):
            assert np.array_equal(have, want)
    assert verify(loud, 1) == [] and pack(n, tmp_path / 'noisy', **how).keys == loud.keys
    with pytest.raises(Exception, match='another manifest'):
        loud.slots(clips)
    data, view = (
        DataConfig(seconds=2.0, fps=8.0, size=32, rate=8000),
        ViewConfig(frames=4, stride=1, audio_seconds=1.0, size=32),
    )
    from_pack, from_files = (ClipDataset(n, data, view, packed=p) for p in (PackedSet.load(tmp_path / 'noisy'), ''))
    a, b, c = (
        from_pack.fetch(range(16), 1),
        from_files.fetch(range(16), 1),
        ClipDataset(clips, data, view, packed='').fetch(range(16), 1),
    )
    assert (a.waveform - b.waveform).abs().max() < 2e-3 and a.index.equal(b.index)
    own = (b.waveform - c.waveform).abs().amax(1) == 0
    assert own.numpy().tolist() == (donor == np.arange(16)).tolist() and b.frames.equal(c.frames)


def test_a_part_of_the_table_still_hears_it(clips):
    "The donor's row need not be there: an explorer or an evaluation takes a few rows."
    n = inject_noise(clips, 1.0, 0)
    one = Manifest(n.folder, n.table.iloc[[3]])
    whole = ClipDataset(n, *settings_of(), packed='')
    assert (
        ClipDataset(one, *settings_of(), packed='', train=False)
        .fetch([3], 0)
        .waveform.equal(ClipDataset(n, *settings_of(), packed='', train=False).fetch([3], 0).waveform)
    )
    assert len(whole) == 16


def settings_of():
    return DataConfig(seconds=2.0, fps=8.0, size=32, rate=8000), dataclasses.replace(
        ViewConfig(), frames=4, stride=1, size=32
    )


def test_a_short_donor_is_not_heard_beyond_its_end(tmp_path):
    m = table(['a', 'b'] * 4, [1] * 8)
    m.table.loc[0, 'seconds'] = 1.2
    n = inject_noise(m, 1.0, 0)
    from avnb.clips import clip_lengths

    assert (
        clip_lengths(n, 2.0)[n.table['track'] == 'f0w0'].tolist() == [1.2]
        and np.isclose(clip_lengths(n, 2.0), 1.2).sum() == 2
    )


def test_explorers_play_the_sound_that_is_heard(clips, tmp_path):
    from avnb.attention_explorer import AttentionExplorer
    from avnb.media import read_clip
    from avnb.player import ClipMedia

    n = inject_noise(clips, 1.0, 0)
    at = list(clips.table['id'])
    k = 4
    donor = at.index(n.table['track'].iloc[k])
    tone = lambda w: int(np.abs(np.fft.rfft(w[:4000])).argmax())
    shown = AttentionExplorer(clips=n, first=k, seconds=2.0).clip
    want = read_clip(clips.path(donor), clips.table['start_s'].iloc[donor], 2.0, rate=shown.rate)
    assert tone(shown.waveform) == tone(want.waveform) != tone(read_clip(clips.path(k), rate=shown.rate).waveform)
    films = []
    for m in (clips, n):
        (tmp_path / 'film.mp4').write_bytes(ClipMedia(m).video(k))
        films.append(read_clip(tmp_path / 'film.mp4', rate=8000))
    assert tone(films[1].waveform) == tone(read_clip(clips.path(donor), rate=8000).waveform) != tone(films[0].waveform)
    assert abs(films[0].frames.astype(int).mean() - films[1].frames.mean()) < 2

"""Folders and tables as people really have them: empty, silent, locked, half indexed, changed, copied, moved."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from avnb import index as room
from avnb.index import Diagnosis, doctor, index_folder
from avnb.manifest import COLUMNS, Manifest, ManifestError, split_by_file
from avnb.media import write_clip


def scene(seconds=4, seed=0):
    r = np.random.default_rng(seed)
    frames = r.integers(0, 256, (seconds * 8, 8, 8, 3), dtype=np.uint8).repeat(4, 1).repeat(4, 2)
    return frames, (r.normal(size=seconds * 8000) * 0.1).clip(-1, 1).astype(np.float32)


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    "Three good videos in two folders."
    folder = tmp_path_factory.mktemp('made')
    for i, name in enumerate(('a.mp4', 'b.mp4', 'deep/c.mp4')):
        write_clip(folder / name, *scene(4 + i, i), 8, 8000)
    return folder


@pytest.fixture
def zoo(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / 'zoo'))


# ---- folders that are no data set


def test_folders_that_cannot_be_indexed(tmp_path, zoo):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'papers').mkdir()
    (tmp_path / 'papers' / 'a.pdf').touch()
    for f, says in (
        (tmp_path / 'empty', 'is empty'),
        (tmp_path / 'papers', 'holds 1 files but no video'),
        (zoo / 'a.mp4', 'is a file'),
        (tmp_path / 'none', 'there is no folder'),
    ):
        with pytest.raises(ManifestError, match=says):
            index_folder(f)
    assert not list((tmp_path / 'empty').iterdir()) and len(list((tmp_path / 'papers').iterdir())) == 1


def test_a_folder_without_sound_is_refused_clearly(tmp_path):
    for i in range(2):
        write_clip(tmp_path / f'{i}.mp4', scene(seed=i)[0], None, 8)
    with pytest.raises(ManifestError, match='none of the 2 readable clips .* has a sound track'):
        index_folder(tmp_path, workers=1)
    assert not (tmp_path / 'manifest.csv').exists()


def test_a_folder_in_which_nothing_opens(tmp_path):
    (tmp_path / 'x.mp4').write_text('no video')
    with pytest.raises(ManifestError, match='none of the 1 videos .* can be read; the first, x.mp4: does not open'):
        index_folder(tmp_path, workers=1)


def test_one_file_is_a_data_set(tmp_path):
    write_clip(tmp_path / 'only.mp4', *scene(), 8, 8000)
    m = index_folder(tmp_path)
    assert len(m) == 1 and m.table['id'].tolist() == ['only'] and len(m.usable()) == 1
    with pytest.raises(ManifestError, match='only 1 usable file'):
        split_by_file(m)


@pytest.mark.skipif(os.geteuid() == 0, reason='root may read and write everything')
def test_permissions(zoo):
    (zoo / 'deep').chmod(0)
    try:
        with pytest.raises(ManifestError, match='cannot look into'):
            index_folder(zoo)
    finally:
        (zoo / 'deep').chmod(0o755)
    (zoo / 'a.mp4').chmod(0)
    m = index_folder(zoo, workers=1)
    assert 'ermission' in m.table.set_index('id')['error']['a'] and len(m.usable()) == 2


def test_permissions_by_any_user(zoo, monkeypatch):
    "The same without needing to be an ordinary user: the system says no."
    real = room.sha256_file

    def locked(f):
        if str(f).endswith('a.mp4'):
            raise PermissionError(13, 'Permission denied', str(f))
        return real(f)

    monkeypatch.setattr(room, 'sha256_file', locked)
    m = index_folder(zoo, workers=1)
    assert (
        m.table.set_index('id')['error']['a'] == 'cannot be read: Permission denied'
        and len(m) == 3
        and len(m.usable()) == 2
    )

    def no(*a, **k):
        raise PermissionError(13, 'Permission denied')

    monkeypatch.setattr(room, 'open', no, raising=False)
    with pytest.raises(ManifestError, match='cannot write beside .*choose another place with out='):
        index_folder(zoo, zoo / 'other.csv', workers=1)


# ---- what the table says


def test_table_columns_and_measurements(zoo):
    frames, sound = scene()
    write_clip(zoo / 'silent.mp4', frames, 0 * sound, 8, 8000)
    write_clip(zoo / 'still.mp4', frames[:1].repeat(32, 0), sound, 8, 8000)
    write_clip(zoo / 'mute.mp4', frames, None, 8)
    shutil.copy(zoo / 'a.mp4', zoo / 'twin.mp4')
    (zoo / 'bad.mp4').write_bytes((zoo / 'a.mp4').read_bytes()[:3000])
    m = index_folder(zoo, workers=2)
    t = m.table.set_index('id')
    assert tuple(m.table.columns) == COLUMNS and m.table['path'].is_monotonic_increasing and len(t) == 8
    assert t.loc['a', ['duration_s', 'fps', 'width', 'height', 'rate', 'channels']].tolist() == [4, 8, 32, 32, 8000, 1]
    assert t.loc['a', 'loudness_db'] == pytest.approx(-20, abs=0.5) and t.loc[
        'a', ['silence_ratio', 'still_ratio']
    ].tolist() == [0, 0]
    assert (
        t.loc['silent', 'silence_ratio'] == 1
        and t.loc['still', 'still_ratio'] > 0.9
        and t.loc['still', 'silence_ratio'] == 0
    )
    assert (
        t.loc['mute', 'audio_codec'] == ''
        and np.isnan(t.loc['mute', 'loudness_db'])
        and t.loc['bad', 'error'].startswith('does not open')
    )
    assert sorted(m.usable().table['id']) == ['a', 'b', 'deep__c', 'silent', 'still', 'twin']
    d = doctor(m)
    assert isinstance(d, Diagnosis)
    said = d.flagged.set_index('id')['complaint'].to_dict()
    assert said == {
        'silent': 'silent',
        'still': 'still',
        'mute': 'no sound track',
        'bad': 'unreadable',
        'twin': 'copy of a.mp4',
    }
    for word in ('8 clips of 8 files', '6 clips can train', '1 unreadable', '1 copy', 'copy of a.mp4'):
        assert word in d, word
    assert str(d) == d and isinstance(d, str)


def test_a_file_that_breaks_off_has_its_true_length(tmp_path):
    "The header promises twelve seconds; the pictures end earlier."
    frames, sound = scene(12)
    f = write_clip(tmp_path / 'a.mp4', frames, None, 8)
    data = bytearray(f.read_bytes())
    a, b = data.index(b'mdat') + 4, data.index(b'moov') - 4
    data[a + (b - a) // 2 : b] = bytes(b - a - (b - a) // 2)
    f.write_bytes(data)
    write_clip(tmp_path / 'b.mp4', *scene(), 8, 8000)
    t = index_folder(tmp_path, seconds=1, workers=1).table
    assert 4 < t[t['path'] == 'a.mp4']['duration_s'].iloc[0] < 8 and (t[t['path'] == 'a.mp4']['start_s'] < 7).all()


def test_windows(zoo):
    m = index_folder(zoo, seconds=2, hop=0.5, workers=1)
    t = m.table[m.table['path'] == 'a.mp4']
    assert (
        t['id'].tolist() == ['a_000000.0', 'a_000000.5', 'a_000001.0', 'a_000001.5', 'a_000002.0']
        and (t['seconds'] == 2).all()
    )
    assert t['start_s'].tolist() == [0, 0.5, 1, 1.5, 2] and m.rows.tolist() == list(range(len(m)))
    fine = index_folder(zoo, zoo / 'fine.csv', seconds=2, hop=0.125, workers=1).table['id']
    assert fine.is_unique and fine[1] == 'a_000000.125'
    long = index_folder(zoo, zoo / 'long.csv', seconds=60, workers=1).table
    assert long['start_s'].tolist() == [0, 0, 0] and long['seconds'].tolist() == [4, 5, 6]
    for bad in (dict(seconds=0), dict(seconds=2, hop=-1)):
        with pytest.raises(ManifestError, match='must be above 0'):
            index_folder(zoo, zoo / 'x.csv', **bad)


def test_include_and_exclude(zoo):
    ids = lambda **k: index_folder(zoo, zoo / 'x.csv', workers=1, overwrite=True, **k).table['id'].tolist()
    assert (
        ids(include=['deep/*']) == ['deep__c']
        and ids(exclude='a') == ['b', 'deep__c']
        and ids(include=['?.mp4'], exclude=['b']) == ['a']
    )
    (zoo / 'list.txt').write_text('# not these\na.mp4\ndeep__c   # too loud\n\n')
    assert ids(exclude=zoo / 'list.txt') == ['b']
    assert ids(seconds=2, exclude=['a_*', 'b_000002.0', 'deep/*']) == ['b_000000.0']
    for bad in ('../*', '/etc/*', 'deep/../../x'):
        with pytest.raises(ManifestError, match='leads out of'):
            ids(include=[bad])
    with pytest.raises(ManifestError, match=r"include: 'nothing\*' fits no file"):
        ids(include=['nothing*'])


def test_names_that_would_be_alike(zoo):
    shutil.copy(zoo / 'b.mp4', zoo / 'a.m4v')
    shutil.copy(zoo / 'b.mp4', zoo / 'name with spaces, and comma.mp4')
    shutil.copy(zoo / 'b.mp4', zoo / 'größe.mp4')
    (zoo / '.hidden.mp4').touch()
    (zoo / '.cache').mkdir()
    shutil.copy(zoo / 'b.mp4', zoo / '.cache' / 'x.mp4')
    m = index_folder(zoo, workers=1)
    assert m.table['id'].tolist() == ['a.m4v', 'a.mp4', 'b', 'deep__c', 'größe', 'name with spaces, and comma']
    assert all(m.path(i).exists() for i in range(len(m))) and Manifest.load(zoo).hash == m.hash


# ---- one table, many ways to it


def test_workers_do_not_change_the_table(zoo):
    tables = [index_folder(zoo, zoo / f'{n}.csv', seconds=1, workers=n) for n in (1, 2, 3)]
    assert (
        all((zoo / f'{n}.csv').read_bytes() == (zoo / '1.csv').read_bytes() for n in (2, 3))
        and len({m.hash for m in tables}) == 1
    )


def test_a_killed_index_goes_on(zoo):
    "Killed for good after some files: the next run examines only the rest, and the table is the same."
    for i in range(5):
        write_clip(zoo / f'x{i}.mp4', *scene(4, 10 + i), 8, 8000)
    whole = index_folder(zoo, zoo / 'whole.csv', workers=1).hash
    code = (
        'import sys, os, signal\nfrom avnb import index as m\nreal = m.examine\nseen = []\n'
        'def dies(*a):\n    seen.append(a)\n    if len(seen) == 5: os.kill(os.getpid(), signal.SIGKILL)\n'
        '    return real(*a)\n'
        'm.examine = dies\nm.index_folder(sys.argv[1], workers=1)'
    )
    done = subprocess.run([sys.executable, '-c', code, str(zoo)], capture_output=True, timeout=120)
    partial = zoo / '.manifest.csv.partial'
    assert done.returncode == -9 and partial.exists() and not (zoo / 'manifest.csv').exists()
    assert len(partial.read_text().splitlines()) == 4
    with open(partial, 'a') as f:
        f.write('{"key": "half a li')  # the line it was writing
    write_clip(zoo / 'a.mp4', *scene(4, 77), 8, 8000)  # and one file has changed since
    seen = []
    real = room.examine
    try:
        room.examine = lambda *a: (seen.append(a[1]), real(*a))[1]
        m = index_folder(zoo, workers=1)
    finally:
        room.examine = real
    assert sorted(seen) == ['a.mp4', 'x1.mp4', 'x2.mp4', 'x3.mp4', 'x4.mp4'] and not partial.exists()
    assert m.hash != whole and m.hash == index_folder(zoo, zoo / 'again.csv', workers=2).hash


def test_other_settings_do_not_use_the_interrupted_run(zoo, monkeypatch):
    (zoo / '.manifest.csv.partial').write_text(
        json.dumps(dict(key='of other settings', path='a.mp4', stamp=room._stamp(zoo, 'a.mp4'), rows=[])) + '\n'
    )
    assert len(index_folder(zoo, workers=1)) == 3


def test_a_second_run_decodes_nothing_and_keeps_what_was_typed(zoo, monkeypatch):
    m = index_folder(zoo, workers=1)
    m.table.loc[0, 'label'] = 'dog'
    m.save(zoo / 'manifest.csv', overwrite=True)
    monkeypatch.setattr(room, 'examine', lambda *a: pytest.fail('decoded again'))
    assert index_folder(zoo).table['label'].tolist() == ['dog', '', ''] and index_folder(zoo).hash == m.hash


def test_an_existing_table_is_not_replaced_in_silence(zoo):
    index_folder(zoo, workers=1)
    before = (zoo / 'manifest.csv').read_bytes()
    write_clip(zoo / 'new.mp4', *scene(4, 9), 8, 8000)
    with pytest.raises(ManifestError, match=r'1 new files \(new.mp4\)'):
        index_folder(zoo)
    (zoo / 'new.mp4').unlink()
    write_clip(zoo / 'a.mp4', *scene(4, 9), 8, 8000)
    with pytest.raises(ManifestError, match=r'1 files changed \(a.mp4\)'):
        index_folder(zoo)
    with pytest.raises(ManifestError, match='1 files changed'):
        index_folder(zoo, seconds=2)
    (zoo / 'a.mp4').unlink()
    with pytest.raises(ManifestError, match=r'1 files gone \(a.mp4\)'):
        index_folder(zoo)
    assert (zoo / 'manifest.csv').read_bytes() == before
    assert len(index_folder(zoo, overwrite=True, workers=1)) == 2


def test_a_worker_that_dies_is_named(zoo, monkeypatch):
    monkeypatch.setattr(room, '_examine_one', die)
    with pytest.raises(ManifestError, match='a worker process died; it was at .*.mp4'):
        index_folder(zoo, workers=2)


def die(job):
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)


# ---- tables

GOOD = dict(id=['a', 'b'], path=['a.mp4', 'deep/c.mp4'], start_s=['0', '1.5'], seconds=['2', '2.0'])


@pytest.mark.parametrize(
    'change,says',
    [
        (dict(id=None), 'columns missing: id;'),
        (dict(start_s=None, seconds=None), 'columns missing: start_s, seconds;'),
        (dict(id=['a', 'a']), 'row 1 .* has the same id as another'),
        (dict(id=['a', ' ']), 'has no id'),
        (dict(path=['', 'x']), 'has no path'),
        (dict(path=['/etc/passwd', 'x']), 'absolute path'),
        (dict(path=['C:\\x.mp4', 'x']), 'absolute path'),
        (dict(path=['http://x/y.mp4', 'x']), 'absolute path'),
        (dict(start_s=['soon', '0']), 'no number as start_s'),
        (dict(start_s=['-1', '0']), 'no number as start_s'),
        (dict(seconds=['2', '']), 'no number as seconds'),
    ],
)
def test_tables_that_are_wrong(tmp_path, change, says):
    pd.DataFrame({k: v for k, v in {**GOOD, **change}.items() if v is not None}).to_csv(
        tmp_path / 'manifest.csv', index=False
    )
    with pytest.raises(ManifestError, match=says):
        Manifest.load(tmp_path / 'manifest.csv')


def test_files_that_are_no_table(tmp_path):
    (tmp_path / 'empty.csv').touch()
    (tmp_path / 'head.csv').write_text('id,path,start_s,seconds\n')
    (tmp_path / 'b.csv').write_bytes(bytes(range(256)) * 9)
    for name, says in (
        ('empty.csv', 'not a CSV'),
        ('head.csv', 'has no rows'),
        ('b.csv', 'not a CSV|lacks'),
        ('none.csv', 'there is no'),
    ):
        with pytest.raises(ManifestError, match=says):
            Manifest.load(tmp_path / name)


def test_four_columns_by_hand_are_enough(tmp_path):
    pd.DataFrame(dict(GOOD, mood=['calm', 'NA'])).to_csv(tmp_path / 'manifest.csv', index=False)
    m = Manifest.load(tmp_path)
    assert (
        len(m.usable()) == 2
        and m.table['mood'].tolist() == ['calm', 'NA']
        and m.row(1)['start_s'] == 1.5
        and 'not measured' in doctor(m)
    )
    assert m.path(1) == tmp_path / 'deep' / 'c.mp4'


def test_round_trip_and_moving(zoo, tmp_path):
    m = index_folder(zoo, seconds=1, hop=1 / 3, workers=1)
    copy = Manifest.load(m.save(tmp_path / 'runs' / 'one' / 'manifest.csv'))
    assert (
        copy.hash == m.hash
        and all(copy.path(i).exists() for i in range(len(copy)))
        and copy.table.drop(columns='path').equals(m.table.drop(columns='path'))
    )
    with pytest.raises(ManifestError, match='exists and is different'):
        m.where(path='a.mp4').save(copy.folder / 'manifest.csv')
    m.save(copy.folder / 'manifest.csv')  # the same again is fine
    moved = Manifest.load(shutil.move(str(zoo), str(tmp_path / 'elsewhere')) + '/manifest.csv')
    assert moved.hash == m.hash and moved.path(0).exists()


def test_hash_is_of_the_clips_and_their_order():
    t = pd.DataFrame(dict(GOOD, content_hash=['x', 'y']))
    h = lambda **k: Manifest('.', t.assign(**k)).hash
    assert (
        h() == h(split='train', label='dog', path=['q', 'r'])
        and len({h(), h(content_hash=['x', 'z']), h(start_s=['0', '1.6']), h(id=['b', 'a']), h(seconds=[3, 3])}) == 5
    )
    assert Manifest('.', t.iloc[::-1]).hash != h()


def test_parts_keep_their_rows(zoo):
    m = index_folder(zoo, seconds=1, workers=1)
    part = m.where(path=['b.mp4', 'deep/c.mp4']).where(start_s=1.0)
    assert (
        part.rows.tolist() == [5, 10]
        and [part.row(i)['row'] for i in range(2)] == [5, 10]
        and part.row(0)['id'] == m.row(5)['id']
    )


def test_split_keeps_files_and_copies_together(zoo):
    for i in range(8):
        write_clip(zoo / f'x{i}.mp4', *scene(4, 10 + i), 8, 8000)
    shutil.copy(zoo / 'x0.mp4', zoo / 'twin.mp4')
    m = index_folder(zoo, seconds=2, hop=1, workers=1)
    seen = set()
    for seed in range(6):
        s = split_by_file(m, 0.25, seed)
        sides = s.table.groupby('content_hash')['split'].unique()
        assert (
            (sides.str.len() == 1).all() and s.hash == m.hash and sum(x[0] == 'test' for x in sides) == round(0.25 * 11)
        )
        assert s.table['split'].equals(split_by_file(m, 0.25, seed).table['split'])
        seen.add(tuple(s.table['split']))
        shuffled = split_by_file(Manifest(m.folder, m.table.sample(frac=1, random_state=seed)), 0.25, seed).table
        assert shuffled.sort_index()['split'].equals(s.table['split'])
    assert len(seen) > 3
    for bad in (0, 1, -1):
        with pytest.raises(ManifestError, match='between 0 and 1'):
            split_by_file(m, bad)


def test_real_clips(real_data, tmp_path):
    "All of them get a row without an error; some files of the odd folder get a reason."
    t = time.perf_counter()
    m = index_folder(real_data / 'odd', tmp_path / 'odd.csv', seconds=2, workers=2)
    bad = m.table[m.table['error'] != '']
    assert sorted(bad['path'].map(lambda p: Path(p).name)) == [
        'empty.mp4',
        'text-not-video.mp4',
        'truncated-no-moov.mp4',
    ]
    assert set(m.table[m.table['audio_codec'] == '']['path'].map(lambda p: Path(p).name)) - set(
        bad['path'].map(lambda p: Path(p).name)
    ) == {'no-audio-flute.mp4', 'no-audio-indeo4.avi', 'no-audio-corrupted.mp4'}
    assert all(m.path(i).exists() for i in range(len(m))) and time.perf_counter() - t < 180
    clips = index_folder(real_data / 'clips', tmp_path / 'clips.csv', include=['d*', 'grid*'], workers=2)
    assert len(clips) > 15 and len(clips.usable()) == len(clips)

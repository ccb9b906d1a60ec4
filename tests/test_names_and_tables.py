"Names, links, times and labels as people's folders and published lists hold them: each is read right, or named."

import os
import random
import shutil
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
from hypothesis import given, settings, strategies as st

from avnb.cli import main
from avnb.core import atomic_write, escape_name, unescape_name
from avnb.datasets import READERS, _clock_seconds, from_audioset, from_csv, from_folder, from_vggsound
from avnb.index import doctor, index_folder
from avnb.manifest import Manifest, ManifestError, inject_noise, join_labels, split_by_file, split_labels
from avnb.media import write_clip

needs_bytes = pytest.mark.skipif(os.name == 'nt', reason='file names are not bytes here')


@pytest.fixture(scope='module')
def media(tmp_path_factory):
    "A video of 3 s and one of 45 s, and a sound."
    folder, g = tmp_path_factory.mktemp('media'), np.random.default_rng(0)
    for name, frames, fps in (('short', 24, 8), ('long', 45, 1)):
        sound = (0.1 * g.normal(size=8000 * frames // fps)).clip(-1, 1).astype(np.float32)
        write_clip(folder / f'{name}.mp4', g.integers(0, 256, (frames, 16, 16, 3), np.uint8), sound, fps, 8000)
    sf.write(folder / 'sound.wav', 0.1 * g.normal(size=8000), 8000)
    return folder


@pytest.fixture
def put(media, tmp_path):
    "Put a video (or a sound) under names, each with other bytes at its end, and texts under theirs."
    made = []

    def go(*names, kind='short', **texts):
        for n in names:
            path = tmp_path / 'set' / n
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == '.wav':
                shutil.copy(media / 'sound.wav', path)
            else:
                path.write_bytes((media / f'{kind}.mp4').read_bytes() + len(made) * b'\0\0\0\x08free')
            made.append(n)
        for n, text in texts.items():
            path = tmp_path / 'set' / n.replace('__', '/').replace('_csv', '.csv').replace('_txt', '.txt')
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path / 'set'

    return go


def index(folder, **how):
    return index_folder(folder, workers=1, overwrite=True, **how)


# ---- links


def linked(folder, far, name='elsewhere'):
    "Everything of a folder moved away, and a link in its place."
    far.mkdir(parents=True)
    for p in list(folder.iterdir()):
        if p.suffix in ('.mp4', '.wav') or p.is_dir():
            shutil.move(p, far / p.name)
    (folder / name).symlink_to(far)
    return folder


def test_an_index_follows_links_and_ends(put, tmp_path):
    root = linked(put('a.mp4', 'deep/b.mp4'), tmp_path / 'far')
    put('c.mp4')
    (root / 'twin.mp4').symlink_to('c.mp4')
    (root / 'round').symlink_to('.')
    (tmp_path / 'far' / 'back').symlink_to(root)
    (tmp_path / 'far' / 'up').symlink_to('..')
    m = index(root)
    assert m.table['path'].tolist() == ['c.mp4', 'elsewhere/a.mp4', 'elsewhere/deep/b.mp4', 'twin.mp4']
    assert (m.table['error'] == '').all() and all(m.path(i).exists() for i in range(4))
    assert 'copy of c.mp4' in doctor(m) and Manifest.load(root).hash == m.hash
    assert index_folder(root).hash == m.hash  # known, links or not
    moved = Manifest.load(m.save(tmp_path / 'runs' / 'manifest.csv'))
    assert 'twin.mp4' in moved.table['path'].iloc[3] and all(moved.path(i).exists() for i in range(4))


def test_links_to_each_other_end_too(put):
    root = put('a/a.mp4', 'b/b.mp4')
    for k in range(4):
        (root / 'a' / f'to_b{k}').symlink_to('../b')
    for k in range(4):
        (root / 'b' / f'to_a{k}').symlink_to('../a')
    files = index(root).table['path'].tolist()
    assert {'a/a.mp4', 'b/b.mp4'} < set(files) and len(files) == len(set(files)) == 10  # each link once


def test_broken_links_are_named(put):
    root = put('a.mp4')
    (root / 'gone.mp4').symlink_to('/nowhere/gone.mp4')
    (root / 'more').symlink_to('/nowhere')
    m = index(root)
    assert (
        m.table.set_index('id')['error']['gone']
        == 'a broken link: it leads to /nowhere/gone.mp4, which cannot be reached'
    )
    assert m.missing[['path', 'why']].values.tolist() == [
        ['more', 'a broken link: it leads to /nowhere, which cannot be reached']
    ]


def test_a_pipe_does_not_stop_an_index(put):
    root = put('a.mp4')
    os.mkfifo(root / 'pipe.mp4')
    done = []
    t = threading.Thread(target=lambda: done.append(index(root)), daemon=True)
    t.start()
    t.join(60)
    assert done and 'not a plain file' in done[0].table.set_index('id')['error']['pipe']


def test_two_names_of_a_file_stay_on_one_side(put):
    root = put(*(f'dog/{k}.mp4' for k in range(6)))
    (root / 'cat').mkdir()
    for k in range(6):
        (root / 'cat' / f'other{k}.mp4').symlink_to(f'../dog/{k}.mp4')
    m = from_folder(root)
    assert len(m) == 12 and set(m.table['label']) == {'dog', 'cat'}
    for seed in range(5):
        side = split_by_file(m, 0.3, seed).table.set_index('path')['split']
        assert all(side[f'dog/{k}.mp4'] == side[f'cat/other{k}.mp4'] for k in range(6)) and side.nunique() == 2


LISTS = dict(
    ucf101=(
        ['UCF-101/A/v_A_g01_c01.avi', 'UCF-101/A/v_A_g02_c01.avi'],
        dict(
            ucfTrainTestlist__classInd_txt='1 A\n',
            ucfTrainTestlist__trainlist01_txt='A/v_A_g01_c01.avi 1\n',
            ucfTrainTestlist__testlist01_txt='A/v_A_g02_c01.avi\n',
        ),
    ),
    hmdb51=(['hmdb51_org/wave/x_1.avi'], dict(testTrainMulti_7030_splits__wave_test_split1_txt='x_1.avi 1\n')),
    kinetics=(
        ['val/abc_000001_000011.mp4'],
        dict(val_csv='label,youtube_id,time_start,time_end,split\nrun,abc,1,11,val\n'),
    ),
    vggsound=(['video/abc_000001.mp4'], dict(vggsound_csv='abc,1,"dog, barking",train\n')),
    audioset=(
        ['video/abc.mp4'],
        dict(
            class_labels_indices_csv='index,mid,display_name\n0,/m/1,"Bark, yip"\n',
            eval_segments_csv='# x\nabc, 0.000, 10.000, "/m/1"\n',
        ),
    ),
    esc50=(
        ['audio/1-1-A-0.wav'],
        dict(meta__esc50_csv='filename,fold,target,category,esc10,src_file,take\n1-1-A-0.wav,1,0,dog,True,1,A\n'),
    ),
    csv=(['clips/a.mp4'], dict(t_csv='file,start,end,label\nclips/a.mp4,1,2.5,dog\n')),
)


def read(name, root):
    return READERS[name](root / 't.csv' if name == 'csv' else root)


@pytest.mark.parametrize('name', LISTS)
def test_every_reader_follows_links(name, put, tmp_path):
    files, texts = LISTS[name]
    root, top = put(*files, **texts), files[0].split('/')[0]
    plain = read(name, root)
    shutil.move(root / top, tmp_path / 'far')
    (root / top).symlink_to(tmp_path / 'far')
    m = read(name, root)
    assert len(m) == len(files) == len(plain) and m.table.equals(plain.table)
    shutil.rmtree(tmp_path / 'far')
    with pytest.raises(ManifestError, match=r'1 links there lead nowhere .*; repair them$'):
        read(name, root)


# ---- names in lists

NAMES = ['My clip [dQw4].mp4', 'My clip d.mp4', 'take #3.mp4', '#1 hit.mp4', 'b/plain.mp4']


@pytest.mark.parametrize(
    'entries, kept',
    [
        (['My clip [dQw4].mp4'], ['My clip [dQw4].mp4']),
        (['My clip [dQw4]'], ['My clip [dQw4].mp4']),
        (['My clip [d].mp4'], ['My clip d.mp4']),
        (['take #3.mp4 # loud'], ['take #3.mp4']),
        (['#1 hit.mp4'], ['#1 hit.mp4']),
        (['# a remark', '', 'b/* # all of b'], ['b/plain.mp4']),
        (['plain.mp4'], ['b/plain.mp4']),
        (['b__plain'], ['b/plain.mp4']),
        (['*'], sorted(NAMES)),
    ],
)
def test_entries_are_names_before_they_are_patterns(put, tmp_path, monkeypatch, entries, kept):
    root = put(*NAMES)
    (tmp_path / 'list.txt').write_text('\n'.join(entries) + '\n', encoding='utf-8-sig')
    for given_as in (entries, tmp_path / 'list.txt', *(entries if len(entries) == 1 else ())):
        assert index(root, include=given_as).table['path'].tolist() == kept
        if len(kept) < len(NAMES):
            assert index(root, exclude=given_as).table['path'].tolist() == sorted(set(NAMES) - set(kept))
    monkeypatch.chdir(tmp_path)
    told = ['index', 'set', '--out', 'cli.csv', '--workers', '1', '--include', 'list.txt']
    if len(kept) > 1:
        assert main(told) == 0 and sorted(Manifest.load('cli.csv').table['path']) == [f'set/{x}' for x in kept]


def test_a_path_that_the_shell_completed(put, tmp_path, monkeypatch):
    root = put(*NAMES)
    monkeypatch.chdir(tmp_path)
    for x in ('set/b/plain.mp4', str(root / 'b' / 'plain.mp4'), Path('set/b/plain.mp4')):
        assert index(root, include=x).table['path'].tolist() == ['b/plain.mp4']


@pytest.mark.parametrize('what', ['include', 'exclude'])
@pytest.mark.parametrize('entry', ['nobody.mp4', 'x*', 'My clip [xyz].mp4', 'take #4.mp4', 'plain_000000.0'])
def test_an_entry_that_fits_nothing_is_named(put, tmp_path, capsys, what, entry):
    root = put(*NAMES)
    (tmp_path / 'list.txt').write_text(f'b/plain.mp4\n{entry}\n')
    for x in (['b/plain.mp4', entry], tmp_path / 'list.txt'):
        with pytest.raises(ManifestError, match=f"{what}: '.*' fits no file or window"):
            index(root, **{what: x})
    capsys.readouterr()
    assert main(['index', str(root), '--out', str(tmp_path / 'x.csv'), f'--{what}', str(tmp_path / 'list.txt')]) == 2
    assert repr(entry.split(' #')[0]) in capsys.readouterr().err


def test_windows_by_name(put):
    root = put(*NAMES)
    ids = lambda **k: index(root, seconds=1, **k).table['id'].tolist()
    assert ids(include=['My clip [dQw4]_000001.0', 'b__plain']) == [
        'My clip [dQw4]_000001.0',
        *(f'b__plain_00000{k}.0' for k in range(3)),
    ]
    assert ids(include=['*_000002.0'], exclude=['b/*', 'take #3', '*hit*']) == [
        'My clip [dQw4]_000002.0',
        'My clip d_000002.0',
    ]
    with pytest.raises(ManifestError, match="'b__plain_000009.0' fits no file or window"):
        ids(exclude=['b__plain_000009.0'])


def test_ids_are_distinct_whatever_the_names(put):
    root = put(
        'a/b.mp4',
        'a__b.mp4',
        'c.mp4',
        'c.mov',
        'c.mp4.mkv',
        ' d.mp4',
        'd .mp4',
        '~e.mp4',
        'ü' * 120 + '.mp4',
        'C:/f.mp4',
    )
    m = index(root)
    assert m.table['id'].is_unique and (m.table['error'] == '').all() and len(m) == 10
    assert m.table['id'].map(lambda x: len(x.encode())).max() <= 200 and all(m.path(i).exists() for i in range(10))


# ---- names that are not UTF-8, long names, other endings


@given(st.binary(min_size=1, max_size=12).filter(lambda b: b'/' not in b and b'\0' not in b))
def test_every_name_has_a_text_and_comes_back(raw):
    name = os.fsdecode(raw)
    text = escape_name(name)
    assert (
        unescape_name(text) == name
        and text.encode().decode() == text
        and not set(text) & set(map(chr, [*range(32), 127]))
    )


@given(st.lists(st.binary(min_size=1, max_size=4), min_size=2, max_size=8, unique=True))
def test_two_names_have_two_texts(names):
    assert len({escape_name(os.fsdecode(x)) for x in names}) == len(names)


AWKWARD = [
    b'caf\xe9.mp4',
    b'two\nlines.mp4',
    b'back\rto.mp4',
    b'\x1b[31mred.mp4',
    b'\xff\xfe/x\xe9.mp4',
    rb'literal \xe9.mp4',
]


@needs_bytes
def test_names_that_are_not_utf8_stay_in_the_table(put, tmp_path, media):
    root = put('a.mp4', *map(os.fsdecode, AWKWARD))
    m = index(root, seconds=1)
    assert (
        len(m) == 3 * 7
        and (m.table['error'] == '').all()
        and {str(m.path(i)) for i in range(21)} >= {os.path.join(root, os.fsdecode(raw)) for raw in AWKWARD}
    )
    back = Manifest.load(m.save(tmp_path / 'runs' / 'manifest.csv'))
    assert back.hash == m.hash and all(back.path(i).exists() for i in range(21))
    assert (tmp_path / 'runs' / 'manifest.csv').read_text(encoding='utf-8').count('\n') == 22
    assert index_folder(root, seconds=1).hash == m.hash
    noisy = inject_noise(Manifest(m.folder, m.table.assign(split='train')), 1.0)
    assert all(noisy.soundtrack(i)[0].exists() for i in range(21))
    (tmp_path / 'list.txt').write_bytes(b'caf\xe9.mp4\n')
    assert index(root, include=tmp_path / 'list.txt').table['path'].tolist() == [r'caf\xe9.mp4']
    (tmp_path / 'set' / 't.csv').write_bytes(b'file,label\ncaf\xe9.mp4,dog\n')
    assert from_csv(root / 't.csv').path(0).exists()
    (tmp_path / 'set' / 't.csv').write_bytes(b'file,label\na.mp4,caf\xe9\n')
    with pytest.raises(ManifestError, match="line 2: the cell in 'label' is not UTF-8"):
        from_csv(root / 't.csv')


@needs_bytes
def test_a_set_in_a_folder_that_is_not_utf8(tmp_path, media, capsys):
    root = Path(tmp_path, os.fsdecode(b'videos-\xe9'))
    root.mkdir()
    for k, name in enumerate(('short', 'long', 'short')):
        shutil.copy(media / f'{name}.mp4', root / f'{k}.mp4')
    assert main(['index', str(root), '--out', str(tmp_path / 'm.csv'), '--workers', '1']) == 0
    m = Manifest.load(tmp_path / 'm.csv')
    assert len(m) == 3 and all(m.path(i).exists() for i in range(3)) and m.table['path'][0].startswith(r'videos-\xe9/')
    with pytest.raises(ManifestError, match=r'videos-\\xe9'):
        index(root, include='nobody')
    m.path(0).unlink()
    with pytest.raises(ManifestError, match='1 files gone'):
        index_folder(root, tmp_path / 'm.csv')


@pytest.mark.parametrize('name', ['x' * 251 + '.csv', 'ü' * 125 + '.json', 'a', '漢' * 84 + '.x'])
def test_files_are_written_whole_up_to_the_longest_name(tmp_path, name):
    for text in ('one', 'two'):
        with atomic_write(tmp_path / name, 'w') as f:
            f.write(text)
        assert (tmp_path / name).read_text() == text and len(list(tmp_path.iterdir())) == 1
    (tmp_path / 'plain').touch()
    assert (tmp_path / name).stat().st_mode == (tmp_path / 'plain').stat().st_mode
    with pytest.raises(KeyboardInterrupt):
        with atomic_write(tmp_path / name, 'w') as f:
            raise KeyboardInterrupt
    assert (tmp_path / name).read_text() == 'two' and len(list(tmp_path.iterdir())) == 2


def test_an_index_may_have_the_longest_name(put, tmp_path):
    out = tmp_path / ('m' * 251 + '.csv')
    assert (
        len(index_folder(put('a.mp4', 'b.mp4'), out, workers=1)) == 2
        and out.exists()
        and len(list(tmp_path.iterdir())) == 2
    )


def test_a_video_is_read_whatever_its_ending(put):
    """Every ending that FFmpeg knows, and some that nobody knows; only what says that it is something else is passed
    over."""
    import av

    known = {
        x
        for f in av.formats_available
        for x in (av.ContainerFormat(f).extensions if av.ContainerFormat(f).is_input else ())
    }
    from avnb.index import _OTHERS, AUDIOS

    odd = [
        'MOD',
        'TOD',
        'qt',
        'm2v',
        'dv',
        'mpv',
        'rmvb',
        'amv',
        'mjpeg',
        'gif',
        'unknown_video',
        'mp4~',
        'bak',
        '',
        'ogg',
        '1',
    ]
    ends = sorted({e for e in {*known, *odd} if f'.{e}' not in (AUDIOS | _OTHERS) - {'.ogg'}})
    m = index(put(*(f'v{k}' + (f'.{e}' if e else '') for k, e in enumerate(ends))))
    assert len(m) == len(ends) > 200 and (m.table['error'] == '').all()


def test_what_is_no_video_is_counted(put, capsys):
    from PIL import Image

    root = put('a.mp4', 's.wav', 'later.mp4.part', notes_txt='x', odd='no video\n' * 99)
    Image.new('RGB', (32, 32)).save(root / 'picture.png')
    shutil.copy(root / 'picture.png', root / 'picture.odd')
    m = index(root)
    assert m.table['path'].tolist() == ['a.mp4'] and m.missing[['path', 'why']].values.tolist() == [
        ['later.mp4.part', 'an unfinished download']
    ]
    said = capsys.readouterr().out
    for word in (
        '1 files are read, 6 left out',
        '1 .wav',
        '1 .txt',
        '1 .png',
        '1 .odd',
        '1 without ending',
        'later.mp4.part',
    ):
        assert word in said


# ---- times

TIMES = [
    ('0', 0),
    ('2.5', 2.5),
    ('2,5', 2.5),
    ('.5', 0.5),
    ('1:02.25', 62.25),
    ('00:00:02.5', 2.5),
    ('00:00:02,500', 2.5),
    ('1:00:00', 3600),
    ('90:00', 5400),
    (' 7 ', 7),
    ('1e-3', 0.001),
    ('3.', 3),
    ('0,125', 0.125),
]
NO_TIMES = [
    '',
    'soon',
    '-1',
    '2s',
    '1:60',
    '1:2:3:4',
    '1:60:00',
    'nan',
    'inf',
    '1_0',
    '0x10',
    '1,234',
    '1.2.3',
    '00:00:02:12',
    '１２',
    '1:',
    ':5',
    '--',
]


@pytest.mark.parametrize('text, seconds', TIMES)
def test_times_are_understood(text, seconds):
    assert _clock_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize('text', NO_TIMES)
def test_other_times_are_none(text):
    assert np.isnan(_clock_seconds(text))


def spell(seconds, how):
    "A number of milliseconds' worth of seconds, as one of the ways to write it."
    h, m, s = int(seconds // 3600), int(seconds // 60), seconds % 60
    return [
        f'{seconds:.3f}',
        f'{seconds:.3f}'.rstrip('0').rstrip('.'),
        f'{m}:{s:06.3f}',
        f'{h:02d}:{m % 60:02d}:{s:06.3f}',
        f'{seconds:.2f}'.replace('.', ','),
    ][how]


HEADS = [
    ('start', 'end'),
    ('time_start', 'time_end'),
    ('start_time', 'stop_time'),
    ('Onset', 'Offset'),
    ('begin', 'end'),
    ('start_seconds', 'end_seconds'),
    ('start (s)', 'end (s)'),
    ('startTimestamp', 'stopTimestamp'),
    ('start_s', 'duration'),
    ('start', 'length'),
    ('start_ms', 'end_ms'),
    ('t_start', 't_end'),
]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 200), st.integers(1, 90), st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=5
    ),
    st.sampled_from(HEADS),
    st.sampled_from(',;\t|'),
)
def test_windows_in_every_spelling(tmp_path_factory, windows, head, sep):
    folder = tmp_path_factory.mktemp('times')
    lines = [sep.join(['label', *head, 'file'])]
    for k, (a, n, one, two) in enumerate(windows):
        a, n = a / 100, n / 100
        other = n if head[1] in ('duration', 'length') else a + n
        cells = [f'{1000 * x:.0f}' for x in (a, other)] if head[0] == 'start_ms' else [spell(a, one), spell(other, two)]
        lines.append(sep.join(['"dog; cat"', *(f'"{c}"' if sep in c else c for c in cells), f'{k}.mp4']))
        (folder / f'{k}.mp4').write_text('three seconds of a video that cannot be opened')
    (folder / 't.csv').write_text('\n'.join(lines) + '\n', encoding='utf-8-sig')
    t = from_csv(folder / 't.csv').table
    for (a, n, *_), start, error in zip(windows, t['start_s'], t['error']):
        assert start == pytest.approx(a / 100, abs=0.006) and 'does not open' in error
    assert (t['label'] == 'cat; dog').all()


def test_published_tables(real_data, put):
    "`faults/tables`: what is right is in `faults/expected.csv`."
    root = put('a.mp4', 'b.mp4', kind='long')
    for name, want in (('hms', [[2.5, 2], [1, 2]]), ('kin', [[2, 2], [1, 2]])):
        shutil.copy(real_data / 'faults' / 'tables' / f'{name}.csv', root)
        assert from_csv(root / f'{name}.csv').table[['start_s', 'seconds']].values.tolist() == want


@pytest.mark.parametrize(
    'table, says',
    [
        ('file,start\na.mp4,0\nb.mp4,00:00:2s\n', "line 3: expected a time in start, .* got '00:00:2s'"),
        (
            'file,time_start,time_end\na.mp4,2,1\n',
            "line 2: expected an end after the start, got time_start '2', time_end '1'",
        ),
        ('file,onset,duration\na.mp4,1,0\n', 'line 2: expected a length above 0'),
        ('file,start,end,duration\na.mp4,1,2,1.5\n', 'line 2: expected a duration of the window, or of a file'),
        ('file,start,onset\na.mp4,1,2\n', 'line 2: start says 1 s and onset says 2 s'),
        ('file,offset\na.mp4,1\n', 'a column offset without onset may be a start or an end'),
        ('file,start_frame,end_frame\na.mp4,1,2\n', 'start_frame is not a time'),
        ('file,start,length\na.mp4,0,2,5\n', 'line 2: expected 3 cells as in the first line, got 4'),
        ('file,start\na.mp4,"1,234"\n', 'line 2: expected a time in start, .*point'),
        ('file,start_ms\na.mp4,0:02\n', "line 2: expected a time in start_ms.* milliseconds, got '0:02'"),
        ('file,file\na.mp4,b.mp4\n', "two columns are called 'file'"),
        ('', 'is empty'),
        ('file,start\n"a.mp4,1\n', 'CSV|cells'),
    ],
)
def test_what_is_not_understood_names_line_and_cell(put, table, says):
    root = put('a.mp4', 'b.mp4', t_csv=table)
    with pytest.raises(ManifestError, match=says):
        from_csv(root / 't.csv')


def test_windows_that_a_file_does_not_hold(put, capsys):
    root = put('a.mp4', t_csv='file,start,end\na.mp4,1,2\na.mp4,2.5,9\na.mp4,9,10\n')
    t = from_csv(root / 't.csv').table
    assert (
        t['seconds'].tolist() == [1, 0.5, 0]
        and t['error'][2] == 'the listed window begins at 9 s, and the file ends at 3 s'
    )
    put(t_csv='file,start\na.mp4,1\n')
    assert (
        from_csv(root / 't.csv').table['seconds'].tolist() == [2]
        and 'goes on to the end of its file' in capsys.readouterr().out
    )
    put(t_csv='file,start,end,duration\na.mp4,1,2,3\n')  # of the video, not of the window
    assert from_csv(root / 't.csv').table[['start_s', 'seconds']].values.tolist() == [[1, 1]]


@pytest.mark.parametrize('name', LISTS)
@pytest.mark.parametrize('seed', range(6))
def test_a_damaged_list_is_a_sentence(name, seed, put):
    """Cells, lines and bytes of the lists replaced at random: readers read them or say what is wrong, in words of their
    own."""
    r, (files, texts) = random.Random(seed), LISTS[name]
    root = put(*files, **texts)
    for target, text in texts.items():
        for _ in range(12):
            if r.random() < 0.6:
                parts = text.replace('\n', '\n\0').replace(',', ',\0').replace(' ', ' \0').split('\0')
                k = r.randrange(len(parts))
                parts[k] = r.choice(
                    ['', 'x', '1:2', '-3', 'nan', '"', ',', '\n', '#', '"a,b"', '9' * 30, '１', parts[k] * 2]
                ) + parts[k][-1:] * r.randint(0, 1)
                put(**{target: ''.join(parts)})
            else:
                raw = bytearray(text.encode())
                raw[r.randrange(len(raw))] = r.randrange(256)
                put(**{target: bytes(raw)})
            try:
                assert isinstance(read(name, root), Manifest)
            except ManifestError as e:
                assert len(str(e)) > 20
        put(**{target: text})


# ---- labels

names = st.text(st.characters(codec='utf-8', exclude_categories=['C', 'Z']), min_size=1, max_size=6)
sets = st.frozensets(names | st.sampled_from(['a;b', 'Bark, yip', '\\', 'a\\;', ';', '\\\\;;']), max_size=4)


@given(sets, st.randoms())
def test_a_label_is_the_set_of_its_names(s, r):
    text = join_labels(s)
    order = [join_labels([x]) for x in s]
    r.shuffle(order)
    assert split_labels(text) == s == split_labels(';'.join(order)) and join_labels(split_labels(text)) == text


def test_the_order_of_labels_means_nothing():
    label = ['Music; Speech', 'Speech;Music', ' Speech ; Music; Music ', 'Music', '', ';']
    m = Manifest('.', pd.DataFrame(dict(id=list('abcdef'), path='x', start_s=0, seconds=1, label=label)))
    assert (
        m.table['label'].tolist() == ['Music; Speech'] * 3 + ['Music', '', '']
        and m.classes == ['Music', 'Speech']
        and m.multi_label
    )
    assert m.labels == [{'Music', 'Speech'}] * 3 + [{'Music'}, set(), set()]
    ids = lambda **k: ''.join(m.where(**k).table['id'])
    assert (
        ids(label='Music') == 'abcd'
        and ids(label='Speech;Music') == 'abc'
        and ids(label='') == 'ef'
        and ids(label=['Speech', '']) == 'abcef'
    )


tagged = st.lists(
    st.tuples(st.frozensets(st.sampled_from('abcde'), max_size=3), st.integers(1, 3)), min_size=2, max_size=30
)


@settings(max_examples=80, deadline=None)
@given(tagged, st.floats(0, 1), st.integers(0, 9))
def test_a_wrong_sound_shares_no_class(files, fraction, seed):
    rows = [
        dict(
            id=f'f{k}w{w}',
            path=f'f{k}.mp4',
            start_s=2.0 * w,
            seconds=2.0,
            split='train',
            label=join_labels(s),
            content_hash=f'h{k}',
        )
        for k, (s, n) in enumerate(files)
        for w in range(n)
    ]
    m = Manifest('.', pd.DataFrame(rows))
    try:
        n = inject_noise(m, fraction, seed)
    except ManifestError as e:
        assert 'only one' in str(e)
        return
    of = dict(zip(m.table['id'], m.labels))
    wrong = n.table[n.table['track'] != ''] if 'track' in n.table else n.table[:0]
    for r in wrong.itertuples():
        assert not of[r.id] & of[r.track] and r.path != r.track_path
    share = m.table['id'].isin(wrong['id']).groupby(m.table['label']).agg(['sum', 'size'])
    assert ((share['sum'] - fraction * share['size']).abs() < 1).all()


def test_noise_on_a_large_set_with_many_classes_is_quick():
    g = np.random.default_rng(0)
    names = np.array([f'class {k}' for k in range(200)])
    label = [
        join_labels(g.choice(names, g.integers(1, 4), p=g.dirichlet(np.ones(200) / 20) * 0.5 + 0.5 / 200))
        for _ in range(20000)
    ]
    t = pd.DataFrame(
        dict(
            id=np.arange(20000).astype(str),
            path=np.arange(20000).astype(str),
            start_s=0.0,
            seconds=2.0,
            split='train',
            label=label,
        )
    )
    m = Manifest('.', t)
    n = inject_noise(m, 0.5)
    own = dict(zip(m.table['id'], m.labels))
    wrong = n.table[n.table['track'] != '']
    assert abs(len(wrong) - 10000) < 300 and not any(own[a] & own[b] for a, b in zip(wrong['id'], wrong['track']))


def test_audioset_as_published(real_data, put):
    "`faults/audioset`: a label is a set, its order means nothing."
    root = put(*(f'video/{10 * s}{k}.mp4' for s in 'ab' for k in (1, 2, 3, 4)))
    for f in (real_data / 'faults' / 'audioset').iterdir():
        shutil.copy(f, root)
    m = from_audioset(root, check=False)
    of = {i.rsplit('_', 1)[0]: s for i, s in zip(m.table['id'], m.labels)}
    assert len(m) == 8 and m.classes == ['Bark, yip', 'Dog', 'Music', 'Speech'] and m.multi_label
    assert of['aaaaaaaaaa1'] == of['bbbbbbbbbb1'] == {'Speech', 'Music'} and of['aaaaaaaaaa3'] == of['bbbbbbbbbb2'] == {
        'Dog',
        'Bark, yip',
    }


# ---- files named by recording and second

STORED = [
    '{y}_000005.mp4',
    '{y}_5.mp4',
    '{y}_5.0.mp4',
    '{y}_5000_15000.mp4',
    '{y}_5_15.mp4',
    '{y}_5.000_15.000.mp4',
    '{y}_000005_000015.mp4',
    '{y}_5000.mp4',
    'Y{y}_5.000_15.000.mp4',
    '{y}.mp4',
    'Y{y}.mkv',
    '{y}_5.MOD',
    '{y}_000005',
]
VGG = [
    '{y},5,"dog, barking",train\n',
    'YouTube ID,start seconds,label,split\n{y},5,"dog, barking",train\n',
    '{y}, 5.0, "dog, barking", train\n',
    '\ufeff{y},0:05,"dog, barking",Train\n',
]


@pytest.mark.parametrize('stored', STORED)
@pytest.mark.parametrize('line', VGG)
def test_vggsound_as_people_have_it(put, stored, line):
    y = '-a_1_2-bcd_'
    root = put(
        'video/' + stored.format(y=y),
        f'video/{y}_6000_16000.mp4',
        f'video/{y}_000006.mp4',
        'video/x' + stored.format(y=y),
        vggsound_csv=line.format(y=y),
    )
    m = from_vggsound(root)
    assert m.table[['id', 'path', 'label', 'split', 'recording', 'start_s', 'seconds']].values.tolist() == [
        [f'{y}_000005', 'video/' + stored.format(y=y), 'dog, barking', 'train', y, 0, 3]
    ]


@pytest.mark.parametrize('second, want', [(30, (30, 10)), (0, (0, 10)), (35, (35, 10)), (40, None), (300, None)])
def test_a_whole_recording_under_its_name(put, second, want):
    "45 s under the bare name: the ten seconds that are listed, or a reason; never the first ten."
    root = put(
        'video/abc.mp4',
        kind='long',
        vggsound_csv=f'abc,{second},x,test\n',
        class_labels_indices_csv='index,mid,display_name\n0,/m/1,Dog\n',
        eval_segments_csv=f'abc, {second}.000, {second + 10}.000, "/m/1"\n',
    )
    for m in (from_vggsound(root), from_audioset(root)):
        r = m.row(0)
        if want:
            assert (r['start_s'], r['seconds'], r['error']) == (*want, '')
        else:
            assert f'nor a recording that reaches second {second + 10}' in r['error']


@pytest.mark.parametrize(
    'line, says',
    [
        ('abc,5,dog\n', 'line 1: expected four columns'),
        ('abc,x,dog,train\n', "line 1: expected a second such as 30 .* got 'x'"),
        ('abc,5,dog,train\nabd,,dog,test\n', 'line 2: expected a second'),
        ('abc,5,dog,held out\n', "got '5' and 'held out'"),
    ],
)
def test_a_wrong_line_of_vggsound_is_named(put, line, says):
    with pytest.raises(ManifestError, match=says):
        from_vggsound(put('video/abc_000005.mp4', vggsound_csv=line))


# ---- the same name in other signs


@pytest.mark.parametrize('stored, listed', [('NFC', 'NFD'), ('NFD', 'NFC')])
def test_accents_are_one_sign_or_two(put, stored, listed):
    import unicodedata

    on_disk, in_list = (lambda x, n=n: unicodedata.normalize(n, x) for n in (stored, listed))
    root = put(on_disk('Šárka/bébé.mp4'), 'plain.mp4', t_csv=in_list('file,label\nŠárka/bébé.mp4,dog\n'))
    assert from_csv(root / 't.csv').path(0).exists()
    for entry in ('Šárka/bébé.mp4', 'bébé.mp4', 'Šárka__bébé'):
        assert index(root, include=[in_list(entry)]).table['path'].tolist() == [on_disk('Šárka/bébé.mp4')]
    put(testTrainMulti_7030_splits__Šárka_test_split1_txt=in_list('bébé.mp4 1\n'))
    (lists,) = (root / 'testTrainMulti_7030_splits').iterdir()
    lists.rename(lists.with_name(in_list(lists.name)))
    assert len(READERS['hmdb51'](root)) == 1


def test_a_list_from_windows(put):
    root = put('clips/a.mp4', r'odd\name.mp4', t_csv='file,start,end\r\nclips\\a.mp4,1,2\r\nodd\\name.mp4,0,1\r\n')
    m = from_csv(root / 't.csv')
    assert m.table['path'].tolist() == ['clips/a.mp4', r'odd\name.mp4'] and m.table['seconds'].tolist() == [1, 1]


def test_the_sound_of_a_still_moves_with_the_table(put, tmp_path):
    from PIL import Image

    root = put('audio/abc_000001.wav', vggss_json='[{"file": "abc_000001", "class": "x", "bbox": [[0, 0, 1, 1]]}]')
    (root / 'vggss_json').rename(root / 'vggss.json')
    (root / 'frames').mkdir()
    Image.new('RGB', (32, 32)).save(root / 'frames' / 'abc_000001.jpg')
    m = READERS['vggss'](root)
    back = Manifest.load(m.save(tmp_path / 'runs' / 'm.csv'))
    assert (back.folder / back.table['audio_path'][0]).exists() and back.path(0).exists()


def test_the_doctor_says_what_was_left_out(put):
    root = put('a.mp4', 'later.mp4.part')
    assert 'left out     1, the first: later.mp4.part (an unfinished download' in doctor(index(root))

"Readers of published data sets, on small trees in the published layout, and on real recordings."

import json
import random
import shutil

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

from avnb.datasets import (
    _SCENES,
    READERS,
    Boxes,
    boxes_of,
    from_audioset,
    from_csv,
    from_dcase2014,
    from_esc50,
    from_flickr_soundnet,
    from_folder,
    from_hmdb51,
    from_kinetics,
    from_ucf101,
    from_vggsound,
    from_vggss,
)
from avnb.manifest import Manifest, ManifestError
from avnb.media import write_clip
from avnb.probes import folds_of

IDS = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_'


@pytest.fixture(scope='module')
def media(tmp_path_factory):
    "A half-second video, a sound and a picture."
    d = tmp_path_factory.mktemp('media')
    write_clip(
        d / 'v.mp4',
        np.random.default_rng(0).integers(0, 255, (8, 32, 32, 3), np.uint8),
        np.zeros(8000, np.float32) + 0.1,
        16,
    )
    sf.write(d / 'a.wav', np.zeros(12000, np.float32) + 0.1, 16000)
    from PIL import Image

    Image.new('RGB', (32, 32)).save(d / 'p.jpg')
    return {'.mp4': d / 'v.mp4', '.avi': d / 'v.mp4', '.wav': d / 'a.wav', '.flac': d / 'a.wav', '.jpg': d / 'p.jpg'}


@pytest.fixture
def put(media, tmp_path):
    "Put files of the right kind, or texts, into a tree."

    def go(*names, **texts):
        for n in names:
            p = tmp_path / n
            p.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(media[p.suffix], p)
        for n, text in texts.pop('texts', {}).items():
            p = tmp_path / n
            p.parent.mkdir(parents=True, exist_ok=True)
            p.write_bytes(text.encode())
        return tmp_path

    return go


def names(n, rng):
    return [''.join(rng.choice(IDS) for _ in range(11)) for _ in range(n)]


@pytest.mark.parametrize('seed,ending,eol', [(0, '.avi', '\r\n'), (1, '.mp4', '\n')])
def test_ucf101_splits_as_listed(put, seed, ending, eol):
    rng = random.Random(seed)
    classes = ['ApplyEyeMakeup', 'HandstandPushups', 'YoYo']
    stem = lambda c, g, k: (
        f'v_{c.replace("Handstand", "HandStand")}_g{g:02d}_c{k:02d}'
    )  # as published: the files' S is large
    clips = [(c, stem(c, g, k)) for c in classes for g in range(1, 6) for k in (1, 2)]
    texts = {'ucfTrainTestlist/classInd.txt': ''.join(f'{i} {c}{eol}' for i, c in enumerate(classes, 1))}
    side = {s: {(c, g): rng.random() < 0.4 for c in classes for g in range(1, 6)} for s in (1, 2, 3)}
    for s in side:
        side[s]['YoYo', 1], side[s]['YoYo', 2] = True, False
    at = lambda s, c, n: side[s][c, int(n.split('_g')[1][:2])]
    for s in side:
        texts[f'ucfTrainTestlist/testlist{s:02d}.txt'] = ''.join(f'{c}/{n}.avi{eol}' for c, n in clips if at(s, c, n))
        texts[f'ucfTrainTestlist/trainlist{s:02d}.txt'] = ''.join(
            f'{c}/{n}.avi {classes.index(c) + 1}{eol}' for c, n in clips if not at(s, c, n)
        )
    gone = rng.sample(clips, 4)
    root = put(*(f'UCF-101/{c}/{n}{ending}' for c, n in clips if (c, n) not in gone), texts=texts)
    for s in side:
        m = from_ucf101(root, s)
        t = m.table.set_index('id')
        assert len(m) == len(clips) - 4 and m.listed == len(clips) and set(m.missing['id']) == {n for _, n in gone}
        assert {i: x == 'test' for i, x in t['split'].items()} == {
            n: at(s, c, n) for c, n in clips if (c, n) not in gone
        }
        assert (t['class_index'] == t['label'].map(lambda c: str(classes.index(c) + 1))).all() and (
            t['seconds'] == 0.5
        ).all()
        assert m.table.groupby('recording')['split'].nunique().max() == 1
        assert m.where(split='test').listed == sum(at(s, *c) for c in clips)


def test_hmdb51_numbers_and_awkward_names(put):
    files = ['wave/#1_Gum (a&b)_wave_u_nm_np1_fr_med_0', 'wave/x;y_wave_1', 'wave/z_2', 'eat/x;y_wave_1']
    texts = {
        f'testTrainMulti_7030_splits/wave_test_split{s}.txt': ''.join(
            f'{f[5:]}.avi {(k + s) % 3} \n' for k, f in enumerate(files[:3])
        )
        for s in (1, 2, 3)
    }
    texts['testTrainMulti_7030_splits/eat_test_split1.txt'] = 'x;y_wave_1.avi 2 \n'
    root = put(*(f'hmdb51_org/{f}.avi' for f in files), texts=texts)
    for s in (1, 2, 3):
        t = from_hmdb51(root, s).table
        want = {f'wave__{f[5:]}': ('', 'train', 'test')[(k + s) % 3] for k, f in enumerate(files[:3]) if (k + s) % 3}
        assert dict(zip(t['id'], t['split'])) == want | ({'eat__x;y_wave_1': 'test'} if s == 1 else {})
        assert all(f'/{l}/' in p for l, p in zip(t['label'], t['path']))
    put(texts={'testTrainMulti_7030_splits/wave_test_split1.txt': 'z_2.avi 3\n'})
    with pytest.raises(ManifestError, match='expected .NAME.avi 0'):
        from_hmdb51(root, 1)


@pytest.mark.parametrize(
    'lists',
    [
        ('annotations/train.csv', 'annotations/val.csv', 'annotations/test.csv'),
        ('train.csv', 'validate.csv', 'test.csv'),
        ('kinetics-400_train.csv', 'kinetics-400_val.csv'),
    ],
)
def test_kinetics_names_and_parts(put, lists):
    rng = random.Random(7)
    rows = {f: [(y, rng.randrange(900)) for y in names(3, rng)] for f in lists}
    texts = {
        f: 'label,youtube_id,time_start,time_end,split\n'
        + ''.join(f'"pour, then drink",{y},{s},{s + 10},x\n' for y, s in r)
        for f, r in rows.items()
    }
    root = put(*(f'any/{y}_{s:06d}_{s + 10:06d}.mp4' for r in rows.values() for y, s in r), texts=texts)
    m = from_kinetics(root)
    assert m.listed == len(m) == 3 * len(lists) and set(m.table['label']) == {'pour, then drink'}
    assert dict(m.table['split'].value_counts()) == dict(zip(('train', 'test', 'held_out'), [3] * len(lists)))
    assert (m.table['seconds'] == 0.5).all() and (from_kinetics(root, check=False).table['seconds'] == 10).all()


def test_vggsound_and_vggss_share_names(put):
    rng = random.Random(3)
    ys = names(6, rng)
    put(
        *(f'video/{y}_{k:06d}.mp4' for k, y in enumerate(ys[:5])),
        texts={
            'vggsound.csv': ''.join(
                f'{y},{k},"donkey, ass braying",{("train", "test")[k % 2]}\n' for k, y in enumerate(ys)
            ),
            'vggss.json': json.dumps(
                [
                    dict(
                        file=f'{ys[1]}_000001',
                        **{'class': 'donkey, ass braying'},
                        bbox=[[-0.01, 0.2, 0.5, 1.2], [0, 0, 0.1, 0.1]],
                    )
                ]
            ),
        },
    )
    root = put('frames/pic_000009.jpg')
    m, g = from_vggsound(root), from_vggss(root)
    assert (
        m.listed == 6
        and list(m.missing['id']) == [f'{ys[5]}_000005']
        and list(m.table['split']) == ['train', 'test', 'train', 'test', 'train']
    )
    assert g.row(0)['recording'] == ys[1] and g.path(0) == m.path(1)
    b = boxes_of(g, 0)
    assert isinstance(b, Boxes)
    np.testing.assert_allclose(b.xyxy, [[0, 0.2, 0.5, 1], [0, 0, 0.1, 0.1]])
    assert (b.votes, b.time_s) == (1, 5)
    with pytest.raises(ManifestError, match='no boxes'):
        boxes_of(m, 0)


def test_audioset_multi_labels_and_stored_names(put):
    mids = {'/m/09x0r': 'Speech', '/t/dd00088': 'Gush, spout', '/m/04rlf': 'Music'}
    stored = ['-abc', 'Ydef', 'ghi_30', 'jkl_30.000_40.000', 'mno_30000_40000', 'pqr_000030']
    ys = ['-abc', 'def', 'ghi', 'jkl', 'mno', 'pqr', 'gone']
    head = '# Segments csv created\n# num_ytids\n# YTID, start_seconds, end_seconds, positive_labels\n'
    line = lambda y: f'{y}, 30.000, 40.000, "/m/09x0r,/t/dd00088"\n'
    root = put(
        *(f'video/{s}.mp4' for s in stored),
        texts={
            'class_labels_indices.csv': 'index,mid,display_name\n'
            + ''.join(f'{i},{a},"{b}"\n' for i, (a, b) in enumerate(mids.items())),
            'balanced_train_segments.csv': head + ''.join(map(line, ys[:4])),
            'eval_segments.csv': head + ''.join(map(line, ys[4:])),
        },
    )
    m = from_audioset(root)
    assert len(m) == 6 and list(m.missing['id']) == ['gone_30'] and set(m.table['label']) == {'Gush, spout; Speech'}
    assert set(zip(m.table['published_split'], m.table['split'])) == {('balanced_train', 'train'), ('eval', 'test')}


def test_esc50_folds(put):
    rows = [(f, 1000 * f + c * 10 + k, 'AB'[k], c) for f in range(1, 6) for c in range(3) for k in range(2)]
    root = put(
        *(f'audio/{f}-{s}-{t}-{c}.wav' for f, s, t, c in rows),
        texts={
            'meta/esc50.csv': 'filename,fold,target,category,esc10,src_file,take\n'
            + ''.join(f'{f}-{s}-{t}-{c}.wav,{f},{c},c{c},False,{s},{t}\n' for f, s, t, c in rows)
        },
    )
    for fold in range(1, 6):
        t = from_esc50(root, fold).table
        assert (
            ((t['split'] == 'test') == (t['published_fold'] == str(fold))).all()
            and len(t) == 30
            and t['protocol'][0].startswith(f'ESC-50 fold {fold}')
            and list(folds_of(t)) == ['test']
        )
    whole = from_esc50(root).table
    assert (
        list(folds_of(whole)) == list('12345')
        and whole['protocol'][0].startswith('ESC-50, five folds')
        and all(len(te) == 6 for _, te in folds_of(whole).values())
    )
    with pytest.raises(ManifestError, match='1 to 5'):
        from_esc50(root, 6)


@pytest.mark.parametrize('seed', range(3))
def test_esc50_part_is_split_by_recording(real_data, seed):
    m = from_esc50(real_data / 'esc50', None, seed)
    t = m.table
    assert (
        m.listed == 310
        and len(m.missing) == 12
        and m.missing['label'].nunique() == 2
        and m.missing['why'].str.contains('only recording').all()
    )
    assert (
        t.groupby('recording')['split'].nunique().max() == 1
        and (t.groupby('label')['split'].nunique() == 2).all()
        and t['label'].nunique() == 48
    )
    assert (
        t['protocol'].str.contains('not the published protocol').all()
        and (t['seconds'] == 5).all()
        and (t['error'] == '').all()
    )
    assert not t['split'].equals(from_esc50(real_data / 'esc50', None, seed + 10).table['split'])


def test_esc50_real_fold(real_data):
    m = from_esc50(real_data / 'esc50', 4)
    assert dict(m.table['split'].value_counts()) == dict(test=302, train=8) and 'part of 310' in m.table['protocol'][0]


def test_dcase2014_is_listed_by_construction(put):
    with pytest.raises(
        ManifestError,
        match=r'scenes_stereo_testset\.zip \(archive\.org/details/dcase2013_scene_classification_testset\)',
    ):
        from_dcase2014(put())
    root = put(
        *(f'scenes_stereo/{c}{k:02d}.wav' for c in _SCENES for k in range(1, 11)),
        *(f'scenes_stereo_testset/{c}01.wav' for c in _SCENES),
    )
    m = from_dcase2014(root)
    assert (
        m.listed == 200
        and dict(m.table['split'].value_counts()) == dict(train=100, test=10)
        and set(m.table['label']) == set(_SCENES)
    )
    assert m.table['seconds'].eq(0.75).all() and m.missing['split'].eq('test').all()


def test_flickr_soundnet_votes_pictures_and_test_list(put):
    xml = lambda *b: (
        '<a>' + ''.join(f'<p><bbox><name>x</name>{"".join(f"<v>{v}</v>" for v in x)}</bbox></p>' for x in b) + '</a>'
    )
    ids = ['101', '102', '103', '104']
    root = put(
        *(f'Data/{i}/{i}.jpg' for i in ids),
        *(f'Data/{i}/{i}.wav' for i in ids[1:]),
        texts={
            **{f'Annotations/{i}.xml': xml((0, 64, 128, 256), (32, 64, 128, 192)) for i in ids[:3]},
            'flickr_test.csv': '101,7\n102,0\n104,3\n',
        },
    )
    m = from_flickr_soundnet(root)
    assert list(m.table['id']) == ['102'] and dict(zip(m.missing['id'], m.missing['why'])) == {
        '101': 'a picture without its sound',
        '104': 'no annotation',
    }
    b = boxes_of(m, 0)
    np.testing.assert_allclose(b.xyxy, [[0, 0.25, 0.5, 1], [0.125, 0.25, 0.5, 0.75]])
    assert b.votes == 2 and np.isnan(b.time_s)
    assert m.row(0)['audio_path'] == 'Data/102/102.wav' and m.row(0)['seconds'] == 0.75 and m.row(0)['audio_codec']
    (root / 'flickr_test.csv').unlink()
    assert list(from_flickr_soundnet(root).table['id']) == ['102', '103']
    put(texts={'Annotations/102.xml': '<a><p><bbox>'})
    with pytest.raises(ManifestError, match='102.xml'):
        from_flickr_soundnet(root)
    put(texts={'Annotations/102.xml': '<a><bbox><name>k</name><xmin>8</xmin><ymin>8</ymin></bbox></a>'})
    with pytest.raises(ManifestError, match='102.xml: expected boxes'):
        from_flickr_soundnet(root)


def test_a_broken_file_keeps_its_row(put):
    root = put('dog/a.mp4', 'cat/b.mp4', texts={'dog/broken.mp4': 'no video'})
    t = from_folder(root).table.set_index('id')
    assert t['error'].ne('').sum() == 1 and t.loc['dog__broken', 'error'] and t.loc['dog__broken', 'seconds'] == 0
    assert len(from_folder(root).usable()) == 2


def test_windows_of_a_table_stay_and_are_cut_to_the_file(put):
    root = put(
        'a.mp4',
        texts={
            't.csv': 'id,filename,start,duration,class\none,a.mp4,0.125,0.25,x\ntwo,a.mp4,0.25,9,x\nthree,a.mp4,,,y\n'
        },
    )
    t = from_csv(root / 't.csv').table
    assert list(zip(t['start_s'], t['seconds'])) == [(0.125, 0.25), (0.25, 0.25), (0, 0.5)] and list(t['label']) == [
        'x',
        'x',
        'y',
    ]


@pytest.mark.parametrize('boxes', ['10,20,30,40', '0.5,0.1,0.2,0.3', '0.1,0.2,,0.4', 'a,0.1,0.2,0.3', 'inf,0,1,1'])
def test_boxes_must_be_four_fractions(put, boxes):
    root = put('a.mp4', texts={'t.csv': f'file,x0,y0,x1,y1\na.mp4,0,0,1,1\na.mp4,{boxes}\n'})
    with pytest.raises(ManifestError, match='a.mp4: expected boxes .* fractions'):
        from_csv(root / 't.csv')


def test_boxes_of_two_moments_are_two_rows(put):
    lines = [
        'a.mp4,.25,0,0,.5,.5',
        'a.mp4,.125,.5,0,1,1',
        'a.mp4,.25,.5,.5,1,1',
        'b.mp4,0,,,,',
        'b.mp4,.5,nan,nan,nan,nan',
    ]
    root = put('a.mp4', 'b.mp4', texts={'t.csv': '\n'.join(['file,time_s,x0,y0,x1,y1', *lines])})
    m = from_csv(root / 't.csv')
    b = [boxes_of(m, i) for i in range(len(m))]
    assert list(m.table['id']) == ['a@1', 'a@2', 'b@1', 'b@2'] and [(x.time_s, len(x.xyxy)) for x in b] == [
        (0.25, 2),
        (0.125, 1),
        (0, 0),
        (0.5, 0),
    ]
    put(texts={'t.csv': 'file,time_s,x0,y0,x1,y1\na.mp4,soon,0,0,1,1\n'})
    with pytest.raises(ManifestError, match="a.mp4: expected the moment .* got 'soon'"):
        from_csv(root / 't.csv')


@pytest.mark.parametrize(
    'bbox',
    [
        [[10, 20, 200, 180]],
        [[0.1, 0.2, 0.3]],
        [[0.1, 0.2, None, 0.4]],
        [0.1, 0.2, 0.3, 0.4],
        5,
        [[0.1, float('nan'), 0.3, 0.4]],
        [[0.5, 0.1, 0.2, 0.3]],
    ],
)
def test_a_damaged_entry_of_vggss_is_left_out_by_name(put, bbox):
    entry = lambda f, b: dict(file=f'{f}_000001', **{'class': 'x'}, bbox=b)
    root = put(
        'v/aaa_000001.mp4',
        'v/bbb_000001.mp4',
        texts={'vggss.json': json.dumps([entry('aaa', [[0, 0, 1, 1]]), entry('bbb', bbox)])},
    )
    m = from_vggss(root)
    assert (
        m.listed == 2
        and list(m.table['id']) == ['aaa_000001']
        and 'bbb_000001: expected boxes' in m.missing['why'].iloc[0]
    )


@pytest.mark.parametrize('text', ['[{"file": "a_000001"', '[{"file": "a_000001"}]', '5', '[5]'])
def test_a_damaged_list_of_vggss_is_named(put, text):
    root = put('v/a_000001.mp4', texts={'vggss.json': text})
    with pytest.raises(ManifestError, match='vggss.json is not the list of VGG-SS'):
        from_vggss(root)


def test_real_tables(real_data):
    m = from_csv(real_data / 'clips.csv')
    assert (
        len(m) == m.listed == 111
        and (m.table['error'] == '').all()
        and m.table['seconds'].between(1, 61).all()
        and (m.table['label'] != '').all()
    )
    assert len(from_folder(real_data / 'clips')) == 111
    t, b = pd.read_csv(real_data / 'boxes.csv'), from_csv(real_data / 'boxes.csv')
    assert set(b.table['path']) == set(t['file']) and len(b) == t['file'].nunique() and not len(b.missing)
    for i in range(len(b)):
        want = t[t['file'] == b.row(i)['path']]
        np.testing.assert_allclose(
            boxes_of(b, i).xyxy, want[['x0', 'y0', 'x1', 'y1']].dropna().to_numpy().reshape(-1, 4)
        )
        assert boxes_of(b, i).time_s == want['time_s'].iloc[0]


def test_missing_rows_survive_saving_elsewhere(put, tmp_path):
    root = put('v/a_000001.mp4', texts={'vggsound.csv': 'a,1,x,train\nb,2,y,test\n'})
    m = from_vggsound(root)
    m.save(tmp_path / 'runs' / 'manifest.csv')
    back = Manifest.load(tmp_path / 'runs' / 'manifest.csv')
    assert (
        back.listed == 2
        and back.missing.equals(m.missing)
        and back.path(0).exists()
        and '1 of 2 listed missing' in repr(back)
    )
    put('v/b_000002.mp4')
    full = from_vggsound(root)
    full.save(tmp_path / 'runs' / 'manifest.csv', overwrite=True)
    assert Manifest.load(tmp_path / 'runs' / 'manifest.csv').listed == 2 == len(full) and not list(
        (tmp_path / 'runs').glob('*missing*')
    )


@pytest.mark.parametrize('name', sorted(set(READERS) - {'csv', 'folder'}))
def test_an_empty_folder_says_what_to_get_and_where_it_goes(name, tmp_path):
    with pytest.raises(ManifestError, match=r'(?s)[Gg]et .*(go|goes) there as'):
        READERS[name](tmp_path)
    with pytest.raises(ManifestError):
        READERS[name](tmp_path / 'nowhere')


def test_other_readers_of_nothing(tmp_path):
    with pytest.raises(ManifestError, match='named by their class'):
        from_folder(tmp_path)
    with pytest.raises(ManifestError, match='cannot be read'):
        from_csv(tmp_path / 'no.csv')
    (tmp_path / 't.csv').write_text('a,b\n1,2\n')
    with pytest.raises(ManifestError, match='no column names the files'):
        from_csv(tmp_path / 't.csv')
    (tmp_path / 't.csv').write_text('file\nx.mp4\n')
    with pytest.raises(ManifestError, match='none of the 1 listed'):
        from_csv(tmp_path / 't.csv')

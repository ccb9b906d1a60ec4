"""The six protocols on small sets: what goes in, what is refused, what is kept on disk, and that an interrupted one
goes on as if nothing had happened."""

import json
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from toys import config, toy_set

import avnb.features as features
import avnb.finetune as finetune
import avnb.protocols as protocols
from avnb.cli import main
from avnb.clips import ClipDataset
from avnb.core import AvnbError, replace
from avnb.datasets import from_ucf101
from avnb.encoders import AVModel, EncoderError
from avnb.evaluate import PROTOCOLS, run_protocol
from avnb.features import Features, compute_features, feature_key
from avnb.manifest import Manifest
from avnb.media import write_clip
from avnb.metrics import EvaluationError, Score
from avnb.network import Network, NetworkError, weights_key
from avnb.packed import PackedSet
from avnb.protocols import ClassifierConfig, EvalConfig, EvalTask, recipe, refuse_overlap, uncut
from avnb.views import views_from

QUICK = EvalConfig(
    windows=2,
    seeds=1,
    draws=3,
    shots='1,4',
    batch=8,
    linear=ClassifierConfig(epochs=2, milestones='1', batch=8, lr=1e-2, random_clips=2),
    finetune=ClassifierConfig(
        warmup=1, epochs=1, milestones='', batch=8, lr=1e-3, dropout=0.5, clips=2, random_clips=2
    ),
)


@pytest.fixture(scope='module')
def toy(tmp_path_factory):
    "(manifest with both splits, packed set, config, network) of 48 toy clips of four kinds, 12 of them faulty."
    folder = toy_set(tmp_path_factory.mktemp('toy') / 'set')
    m = Manifest.load(folder / 'manifest.csv')
    m = Manifest(folder, m.table.assign(split=np.where(m.table.index < 32, 'train', 'test')))
    cfg = config(folder, 'unused')
    return m, PackedSet.load(folder), cfg, Network.from_config(cfg, seed=7)


def changed(m, **columns):
    return Manifest(m.folder, m.table.assign(**columns))


@pytest.mark.parametrize('protocol', ['fewshot', 'retrieval', 'audio', 'linear', 'finetune'])
def test_report_has_company(toy, tmp_path, protocol):
    m, packed, cfg, net = toy
    report = run_protocol(protocol, net, m, QUICK, tmp_path, packed)
    assert report == json.loads((tmp_path / f'report-{protocol}.json').read_text())
    about = report.pop('about')
    assert about['trained on'] == 'not known' and about['test clips'] == ('12 of 16 in the list')
    assert (
        about['clips'].startswith('36 of 48')
        and 'faulty' in about['clips']
        and about['seconds'] > 0
        and 'seed 0' in about['seeds']
    )
    for s in report.values():
        assert (
            0 <= s['value'] <= 1
            and 0 < s['chance'] <= 1
            and s['n'] == 12
            and 'untrained' in s['baselines']
            and s['spread']['untrained'][1] == 1
        )
    assert (tmp_path / f'report-{protocol}.tex').read_text().count(r'\\') == len(report) + 1
    assert recipe(str(tmp_path / f'evaluate-{protocol}.toml')) == QUICK


def test_labels_missing(toy, tmp_path):
    m, packed, cfg, net = toy
    for bad in (changed(m, label=''), changed(m, split=''), changed(m, split='train')):
        with pytest.raises(EvaluationError, match='label and split'):
            run_protocol('fewshot', net, bad, QUICK, tmp_path, packed)


def test_test_clips_in_training_are_refused_unless_told(toy, tmp_path):
    m, packed, cfg, net = toy
    clean = m.table[m.table['faulty_kind'] == 'none']
    for seen in (clean.assign(content_hash=''), clean.assign(id='other_' + clean['id'])):  # by id, by content
        with pytest.raises(EvaluationError, match="12 of 12 test clips are in the network's training"):
            run_protocol('fewshot', net, m, QUICK, tmp_path, packed, trained=seen)
    told = run_protocol('fewshot', net, m, replace(QUICK, dict(overlap=True)), tmp_path, packed, trained=clean)
    assert 'memory' in told['about']['trained on']
    twice = changed(
        m,
        content_hash=['x' * 64 if i in (1, 40) else h for i, h in enumerate(m.table['content_hash'])],
        faulty_kind='none',
    )
    with pytest.raises(EvaluationError, match='training split'):
        refuse_overlap(
            twice.table[twice.table['split'] == 'test'],
            twice.table[twice.table['split'] == 'train'],
            "this manifest's training split",
        )


def test_the_same_file_under_another_name_is_found():
    """`video__ID_000030` in an index of one's own is `ID_000030` of the published list; short names, and files whose
    contents are known to differ, are not the same."""
    t = lambda i, path, h='': pd.DataFrame(dict(id=[i], path=[path], content_hash=[h]))
    test = t('abcdefghijk_000030', 'video/abcdefghijk_000030.mp4')
    for seen in (
        t('video__abcdefghijk_000030', 'x/video/abcdefghijk_000030.mkv'),
        t('v', 'abcdefghijk_000030.mp4', 'hash'),
    ):
        with pytest.raises(EvaluationError, match='1 of 1 test clips'):
            refuse_overlap(test, seen, 'training', names=True)
        assert (
            refuse_overlap(test, seen, 'training') == 0
            and refuse_overlap(test, seen, 'training', True, names=True) == 1
        )
    assert refuse_overlap(t('a', 'a/0001.mp4'), t('b', 'b/0001.mp4'), 'training', names=True) == 0
    assert (
        refuse_overlap(t('a', 'a/recording_1.mp4', 'one'), t('b', 'b/recording_1.mp4', 'two'), 'training', names=True)
        == 0
    )


def test_one_class_alone_is_refused(toy, tmp_path):
    m, packed, cfg, net = toy
    for bad in (changed(m, label='dog'), changed(m, label=np.where(m.table['split'] == 'train', 'dog', 'cat'))):
        for p in PROTOCOLS:
            with pytest.raises(EvaluationError, match="two classes or more to train on, got 'dog' alone"):
                run_protocol(p, net, bad, QUICK, tmp_path, packed)


@pytest.mark.parametrize('seconds', [1.5, 7.0])
def test_dense_prediction_looks_at_the_whole_file(seconds):
    "Ten starts from the first frame to the last half second, as AVID's; sound is heard as before."
    from avnb.encoders import avid_config

    cfg = avid_config()
    m = Manifest('.', pd.DataFrame(dict(id=['a'], path=['a.mp4'], start_s=0.0, seconds=seconds)))
    for sense in ('video', 'both'):
        data = ClipDataset(m, uncut(cfg), cfg.view, packed='', train=False, windows=10, senses=sense, aligned=False)
        starts = [int(data.moments([0], w)[0][0, 0]) for w in range(10)]
        assert starts == np.round(np.linspace(0, seconds - 0.5, 10) * 16).astype(int).tolist()
        heard = [int(data.moments([0], w)[1][0]) for w in range(10)]
        assert heard == [int(x) for x in np.linspace(0, max(seconds - 2, 0), 10) * 24000]
    data = ClipDataset(m, uncut(cfg), cfg.view, packed='', train=True, senses='video')
    drawn = np.array([data.moments([0], w)[0][0, 0] for w in range(300)]) / 16
    assert (
        drawn.min() < 0.1 * seconds
        and drawn.max() > 0.9 * (seconds - 0.5) - 0.1
        and drawn.max() <= seconds - 0.5 + 1 / 16
    )


def test_class_with_one_sample(toy, tmp_path):
    m, packed, cfg, net = toy
    first = m.table.index[(m.table['faulty_kind'] == 'none') & (m.table['split'] == 'train')][0]
    label = m.table['label'].where(m.table.index != first, 'rare')
    report = run_protocol('fewshot', net, changed(m, label=label), QUICK, tmp_path, packed)
    assert '1 classes have fewer than 4' in report['fewshot_4']['note'] and report['fewshot_4'][
        'chance'
    ] == pytest.approx(1 / 5)
    for p in ('audio', 'linear'):
        assert run_protocol(p, net, changed(m, label=label), QUICK, tmp_path, packed)
    last = m.table.index[(m.table['faulty_kind'] == 'none') & (m.table['split'] == 'test')][
        0
    ]  # the only one is a test clip
    report = run_protocol(
        'audio',
        net,
        changed(m, label=m.table['label'].where(m.table.index != last, 'rare')),
        QUICK,
        tmp_path,
        packed,
    )
    assert '1 test clips' in report['about']['classes without a training clip']


def write_wav(path, x):
    import soundfile

    soundfile.write(path, x, 4000)


def test_silent_clips_and_absent_files(toy, tmp_path):
    _, _, cfg, net = toy
    for i in range(12):
        write_wav(tmp_path / f'{i}.wav', np.zeros(8000, np.float32))
    (tmp_path / 'broken.wav').write_bytes(b'RIFFxxxx')
    names = [f'{i}.wav' for i in range(12)] + ['broken.wav', 'absent.wav']
    m = Manifest(
        tmp_path,
        pd.DataFrame(
            dict(
                id=names,
                path=names,
                start_s=0.0,
                seconds=2.0,
                label=[f'k{i % 3}' for i in range(14)],
                split=['train'] * 6 + ['test'] * 8,
            )
        ),
    )
    report = run_protocol('audio', net, m, QUICK, tmp_path / 'out')
    assert report['about']['silent clips'] == '12 of 12 are below -60 dB' and report['about']['clips'].startswith(
        '12 of 14'
    )
    assert all(s['value'] <= 0.5 for k, s in report.items() if k != 'about')  # nothing to hear, nothing above chance
    lost = pd.read_csv(tmp_path / 'out' / 'missing-audio.csv').set_index('id')['why']
    assert report['about']['test clips'] == '6 of 8 in the list'
    tex = (tmp_path / 'out' / 'report-audio.tex').read_text()
    assert any('test clips: 6 of 8 in the list' in x and not x.startswith('%') for x in tex.splitlines())
    assert set(lost.index) == {'broken.wav', 'absent.wav'} and 'no such file' in lost['absent.wav']
    run_protocol('audio', net, Manifest(tmp_path, m.table[:12]), QUICK, tmp_path / 'out')
    assert not (tmp_path / 'out' / 'missing-audio.csv').exists()  # nothing is missing now
    with pytest.raises(EvaluationError, match='none of 1 clips'):
        run_protocol('audio', net, Manifest(tmp_path, m.table[13:]), QUICK, tmp_path / 'out')


def test_ucf101_without_sound_three_splits(toy, tmp_path):
    "The published layout: silent videos, 1-based classes, a list that names an absent file."
    _, _, cfg, net = toy
    g, lists = np.random.default_rng(0), tmp_path / 'set' / 'ucfTrainTestlist'
    lists.mkdir(parents=True)
    lists.joinpath('classInd.txt').write_text('1 Archery\n2 Biking\n')
    names = [f'{c}/v_{c}_g{k:02}_c01.avi' for c in ('Archery', 'Biking') for k in range(1, 7)]
    for n in names:
        p = tmp_path / 'set' / 'UCF-101' / n
        p.parent.mkdir(parents=True, exist_ok=True)
        write_clip(p.with_suffix('.mp4'), g.integers(0, 255, (32, 32, 32, 3), np.uint8), None, 16.0, 4000)
        p.with_suffix('.mp4').rename(p)
    for s in (1, 2, 3):
        test = [n for i, n in enumerate(names) if i % 3 == s - 1]
        lists.joinpath(f'testlist0{s}.txt').write_text('\n'.join(test) + '\n')
        train = [f'{n} {1 if n[0] == "A" else 2}' for n in names if n not in test] + ['Biking/v_Biking_g99_c01.avi 2']
        lists.joinpath(f'trainlist0{s}.txt').write_text('\n'.join(train) + '\n')
    splits = [from_ucf101(tmp_path / 'set', k) for k in (1, 2, 3)]
    report = run_protocol('finetune', net, splits, QUICK, tmp_path / 'out')
    assert report['finetune_video1']['n'] == 12 and report['finetune_video1']['spread']['value'][1] == 3
    assert (
        report['about']['clips'] == ['12 of 13 in the list'] * 3
        and 'g99' in (tmp_path / 'out' / 'missing-finetune.csv').read_text()
    )


def test_frozen_is_frozen(toy, tmp_path):
    """Batch norm too: running statistics and weights after a linear protocol are bit by bit those before, with and
    without batch norm in training mode."""
    m, packed, cfg, net = toy
    assert any(isinstance(x, torch.nn.modules.batchnorm._BatchNorm) for x in net.model.modules())
    before = weights_key(net.model.train())
    report = run_protocol('linear', net, m, QUICK, tmp_path, packed)
    assert weights_key(net.model) == before and 'frozen' in report['about']['batch norm']
    c = finetune._new_classifier(net, cfg, 4, True, 0.0, 0)
    stats = weights_key(c.encoder)
    for _ in range(3):
        c.train()(torch.randn(4, 3, cfg.view.frames, 32, 32))
    assert weights_key(c.encoder) == stats
    c = finetune._new_classifier(net, cfg, 4, False, 0.0, 0)
    stats = weights_key(c.encoder)
    c.train()(torch.randn(4, 3, cfg.view.frames, 32, 32))
    assert weights_key(c.encoder) != stats  # the test can fail


def test_a_classifier_that_diverges_says_so(toy, tmp_path):
    "No score of a network of NaN, and none is kept for the next call."
    m, packed, cfg, net = toy
    wild = replace(QUICK, dict(seeds=0, finetune=dict(lr=1e30)))
    with pytest.raises(EvaluationError, match="the classifier's loss is (nan|inf) at step .* 1e.30.*lower finetune.lr"):
        run_protocol('finetune', net, m, wild, tmp_path, packed)
    assert not list(tmp_path.glob('finetune-*.pt')) and not list(tmp_path.glob('report*'))


def test_interrupted_fine_tuning_is_the_same(toy, tmp_path, monkeypatch):
    m, packed, cfg, net = toy
    monkeypatch.setattr(finetune, '_SAVE_SECONDS', 0)
    steps, step = [], finetune.ClassifierTrainer.step

    def dying(self, *a):
        steps.append(1)
        if len(steps) == 4:
            raise KeyboardInterrupt
        return step(self, *a)

    opts = replace(QUICK, dict(seeds=0))
    whole = run_protocol('finetune', net, m, opts, tmp_path / 'whole', packed)
    monkeypatch.setattr(finetune.ClassifierTrainer, 'step', dying)
    with pytest.raises(KeyboardInterrupt):
        run_protocol('finetune', net, m, opts, tmp_path / 'cut', packed)
    steps.append(1)
    cut = run_protocol('finetune', net, m, opts, tmp_path / 'cut', packed)
    for r in (whole, cut):
        del r['about']['seconds']
    assert cut == whole
    a, b = (torch.load(next((tmp_path / d).glob('finetune-*.pt')), weights_only=True)['net'] for d in ('whole', 'cut'))
    assert all(torch.equal(a[k], b[k]) for k in a)
    n = len(steps)
    run_protocol('finetune', net, m, opts, tmp_path / 'cut', packed)
    assert len(steps) == n  # a finished one is not trained again


def test_interrupted_prediction_is_the_same(toy, tmp_path, monkeypatch):
    m, packed, cfg, net = toy
    labels = {int(i): int(i) % 4 for i in m.table.index}
    see = views_from(cfg, False)[0]
    classifier = finetune._new_classifier(net, cfg, 4, True, 0.0, 0).eval()
    data = ClipDataset(m, cfg.data, cfg.view, packed=packed, train=False, windows=3, senses='video')
    whole = finetune._predict_videos(classifier, data, 3, labels, see)
    sizes, loader = [], finetune.clip_loader

    def dying(d, batch, w, **k):
        if w == 2 and not sizes.count('again'):
            sizes.append('again')
            raise KeyboardInterrupt
        sizes.append(batch)
        return loader(d, batch, w, **k)

    monkeypatch.setattr(finetune, 'clip_loader', dying)
    with pytest.raises(KeyboardInterrupt):
        finetune._predict_videos(classifier, data, 3, labels, see, batch=7, file=tmp_path / 'sums.npz')
    again = finetune._predict_videos(classifier, data, 3, labels, see, batch=7, file=tmp_path / 'sums.npz')
    assert sizes == [7, 7, 'again', 7] and set(again) == set(whole)  # two passes were kept
    for n in whole:
        assert (again[n][0] == whole[n][0]).all() and (again[n][1] == whole[n][1]).all()


def test_interrupted_localization_is_the_same(toy, tmp_path, monkeypatch):
    import avnb.published_boxes as L

    m, packed, cfg, net = toy
    m = Manifest(m.folder, m.table[:20])
    boxes = changed(m, boxes=['[[0.1, 0.1, 0.6, 0.7]]'] * len(m), votes='1', boxes_at_s='', faulty_kind='none')

    def run(folder, **kw):
        return run_protocol(
            'localization',
            net,
            kw.get('manifest', boxes),
            replace(QUICK, dict(batch=4)),
            folder,
            packed,
            make=L.localization_protocol,
            senses='both',
            sides=False,
        )

    whole, calls, make = run(tmp_path / 'whole'), [], L._batch_outcomes

    def dying(*a):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return make(*a)

    monkeypatch.setattr(L, '_batch_outcomes', dying)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / 'cut')
    cut = run(tmp_path / 'cut')
    for x in (whole, cut):
        del x['about']['seconds']
    assert cut == whole and len(calls) == 3 + 3  # of five batches two were kept
    run(tmp_path / 'cut')
    assert len(calls) == 6
    moved = changed(boxes, boxes=['[[0.2, 0.1, 0.6, 0.7]]'] * len(m))
    run(tmp_path / 'cut', manifest=moved)
    assert len(calls) == 11


def test_features_are_kept_and_keyed(toy, tmp_path, monkeypatch):
    m, packed, cfg, net = toy
    monkeypatch.setattr(features, '_BATCHES_PER_FILE', 2)
    views = views_from(cfg, False)
    data = lambda windows=2: ClipDataset(
        m, cfg.data, cfg.view, packed=packed, train=False, windows=windows, aligned=False
    )
    read = []
    fetch = ClipDataset.fetch

    def noted(self, rows, epoch):
        read.append(len(rows))
        if len(read) == stop:
            raise KeyboardInterrupt
        return fetch(self, rows, epoch)

    stop = 0
    fresh = compute_features(dict(a=net), data(), None, 8)
    monkeypatch.setattr(ClipDataset, 'fetch', noted)
    stop = 7
    with pytest.raises(KeyboardInterrupt):
        compute_features(dict(a=net), data(), tmp_path, 8)
    done = len(list(tmp_path.rglob('window-*.npz')))
    stop = -1
    read.clear()
    kept = compute_features(dict(a=net), data(), tmp_path, 8)
    assert 0 < done and sum(read) < 96  # what was there is not read again
    for key in ('video', 'audio_pooled', 'video_selavi_max'):
        assert (kept['a'].each(key) == fresh['a'].each(key)).all()
    read.clear()
    compute_features(dict(a=net), data(), tmp_path, 8)
    assert not read
    other = Network.from_config(cfg, seed=8)
    compute_features(dict(a=other), data(), tmp_path, 8)
    assert sum(read) == 96  # other weights
    read.clear()
    compute_features(dict(a=net), data(3), tmp_path, 8)
    assert sum(read) == 144  # other windows
    keys = {feature_key('w', data(), views, 8)}
    view = cfg.view.__class__(**{**vars(cfg.view), 'frames': 3})
    for d in (
        ClipDataset(m, cfg.data, view, packed=packed, train=False, windows=2, aligned=False),
        ClipDataset(m.where(split='test'), cfg.data, cfg.view, packed=packed, train=False, windows=2, aligned=False),
    ):
        keys.add(feature_key('w', d, views, 8))
    keys.add(
        feature_key(
            'w', ClipDataset(m, cfg.data, cfg.view, packed=packed, train=False, windows=2, senses='audio'), views, 8
        )
    )
    assert len(keys) == 4


def test_both_senses_in_one_pass_and_shared(toy, tmp_path, monkeypatch):
    _, _, cfg, net = toy
    m = Manifest.load(Path(__file__).parents[1] / 'data_samples' / 'manifest.csv')
    few = Manifest(m.folder, m.table[:12])
    subject = lambda: EvalTask(net, few, QUICK, tmp_path)
    read, fetch = [], ClipDataset.fetch
    monkeypatch.setattr(
        ClipDataset, 'fetch', lambda self, rows, w: (read.append((self.senses, len(rows))), fetch(self, rows, w))[1]
    )
    both = subject().features('both')
    assert {s for s, _ in read} == {'both'} and sum(
        n for _, n in read
    ) == 12 + 24  # once to settle the untrained network, then two windows
    read.clear()
    subject().features('video')
    subject().features('audio')
    assert sum(n for _, n in read) == 24  # the untrained networks; no feature is computed again
    read.clear()
    EvalTask(net, few, QUICK).features('video')
    alone = EvalTask(net, few, QUICK).features('video')
    for n in both:
        assert (
            both[n].each('video_pooled' if n != 'trivial' else 'colour')
            == alone[n].each('video_pooled' if n != 'trivial' else 'colour')
        ).all()
    (tmp_path / 'half').mkdir()
    half = lambda sense: EvalTask(net, few, replace(QUICK, dict(seeds=0)), tmp_path / 'half').features(sense)
    half('video')
    read.clear()
    half('both')
    assert {s for s, _ in read} == {'audio'}  # only what is missing


def test_shards_serve_one_sense_too(toy, tmp_path, monkeypatch):
    "A protocol on pictures alone reads the shards, not the files they were made from, and sees what retrieval sees."
    import avnb.clips as clips
    from avnb.packed import pack

    _, _, cfg, _ = toy
    m = Manifest.load(Path(__file__).parents[1] / 'data_samples' / 'manifest.csv')
    few = Manifest(m.folder, m.table[:4])
    d = cfg.data
    shards = pack(few, tmp_path / 'shards', 2.0, d.fps, d.size, d.rate, layout='shards')
    monkeypatch.setattr(clips, 'read_clip', None)
    got = {
        s: ClipDataset(few, d, cfg.view, packed=shards, train=False, windows=3, senses=s, aligned=False).fetch(
            few.rows, 1
        )
        for s in ('both', 'video', 'audio')
    }
    assert (
        (got['video'].frames == got['both'].frames).all()
        and got['video'].frames.any()
        and (got['audio'].waveform == got['both'].waveform).all()
    )


def test_selavi_pooling_is_theirs(toy):
    """Their recipe by hand: kernel 2, stride 2 on the last map (1 where it has one cell), length one for each clip,
    then the mean; Euclidean."""
    g = torch.Generator().manual_seed(0)
    maps = torch.rand(3, 5, 1, 4, 5, generator=g)
    got = features._selavi(maps)
    for name, how in (('max', np.max), ('avg', np.mean)):
        x = maps.numpy()
        cells = how(np.stack([x[:, :, :, a:4:2, b:4:2] for a in (0, 1) for b in (0, 1)]), 0).reshape(3, -1)
        np.testing.assert_allclose(
            got[f'video_selavi_{name}'].float().numpy(), cells / np.linalg.norm(cells, axis=1, keepdims=True), atol=2e-4
        )
    x = np.array([[[3.0, 4.0], [0.0, 1.0]]]) / np.array([[5.0], [1.0]])
    assert Features(lambda key, w: x[:, w], 2).mean('x', False).tolist() == [
        [pytest.approx(0.3), pytest.approx(0.9)]
    ] and set(protocols._POOLINGS) == {'global', 'selavi_max', 'selavi_avg', 'embedding'}


def test_the_front_end_is_read_and_keyed(tmp_path):
    """A file of mean and std per frequency: chosen for weights that have none, refused for log-mel ones, part of the
    key by content and not by name."""
    from avnb.core import TrainConfig

    cfg = replace(
        TrainConfig(),
        dict(model=dict(width=8, dim=16), view=dict(front='linear', n_fft=256, hop=240, frames=2, size=32)),
    )
    net = Network.from_config(cfg).model
    net.save_pretrained(tmp_path / 'net', cfg)
    keys, table = [], pd.DataFrame(dict(id=['a'], path=['a.mp4'], start_s=0.0, seconds=2.0))
    for name, mean in (('one', -20.0), ('two', -21.0), ('copy', -20.0)):
        np.savez(tmp_path / f'{name}.npz', mean=np.full(65, mean), std=np.full(65, 9.0))
        its = Network.open(tmp_path / 'net', front=str(tmp_path / f'{name}.npz')).cfg
        assert its.view.front.endswith(f'{name}.npz')
        data = ClipDataset(Manifest(tmp_path, table), its.data, its.view, packed='', train=False, aligned=False)
        keys.append(feature_key('w', data, views_from(its, False), 8))
    assert keys[0] != keys[1] and Network.open(tmp_path / 'net').cfg.view.front == 'linear'
    assert keys[0] == keys[2]
    log = AVModel.from_config(replace(cfg, dict(view=dict(front='logmel'))))
    log.save_pretrained(tmp_path / 'log', replace(cfg, dict(view=dict(front='logmel'))))
    with pytest.raises(NetworkError, match='log-mel'):
        Network.open(tmp_path / 'log', front=str(tmp_path / 'one.npz'))


def test_maps_with_a_mean_and_std_per_frequency(tmp_path):
    """Localization hears through the file's norm, and what is loudest is asked of decibels, not of what the norm made
    of them."""
    from avnb.clips import Batch
    from avnb.core import TrainConfig
    from avnb.localization import _time_frequency_maps, batch_maps
    from avnb.views import linear_spectrogram

    np.savez(tmp_path / 'stats.npz', mean=np.linspace(10, -60, 65), std=np.linspace(5, 25, 65))
    cfg = replace(
        TrainConfig(),
        dict(
            model=dict(width=8, dim=16),
            view=dict(front=str(tmp_path / 'stats.npz'), n_fft=256, hop=240, frames=2, size=32),
        ),
    )
    t = np.arange(16000) / 16000
    wave = torch.tensor(
        np.stack([np.sin(2 * np.pi * f * t) for f in (500, 3000)]).astype('f') * 0.3
        + np.random.default_rng(0).normal(0, 1e-3, (2, 16000)).astype('f')
    )
    see, hear = views_from(cfg, False)
    torch.testing.assert_close(
        hear.to_decibels(hear(wave, 0, 0, [0, 1]))[:, 0], linear_spectrogram(wave, 256, 240), atol=1e-3, rtol=1e-4
    )
    b = Batch(torch.arange(2), torch.zeros(2, 3, 2, 32, 32, dtype=torch.uint8), wave, audio_start=torch.zeros(2))
    network = Network.from_config(cfg)
    _, audio, hz = batch_maps(network, b, ['a', 'b'])
    assert [abs(hz[int(a['loudest_band'].argmax())] - f) < 130 for a, f in zip(audio, (500, 3000))] == [True, True]
    grid = _time_frequency_maps(network, b, ['a', 'b'])[0][1]['loudest_cell']
    assert abs(hz[int(grid.max(0).argmax())] - 3000) < 130


def test_weights_go_to_the_device(toy, tmp_path, monkeypatch):
    import avnb.network as network

    _, _, cfg, net = toy
    net.model.save_pretrained(tmp_path / 'net', cfg)
    monkeypatch.setattr(network, 'device_of', lambda cfg: torch.device('meta'))  # stands for a GPU
    assert Network.open(tmp_path / 'net').device.type == 'meta'


def test_networks_that_are_none(toy, tmp_path):
    _, _, cfg, net = toy
    (tmp_path / 'evil.pth').write_bytes(pickle.dumps(dict(model=print), 2))
    with pytest.raises(EncoderError, match='refused'):
        Network.open(tmp_path / 'evil.pth')
    torch.save(dict(model={f'module.{k}': v for k, v in net.model.state_dict().items()}), tmp_path / 'tiny.pth.tar')
    with pytest.raises(EncoderError) as e:
        Network.open(tmp_path / 'tiny.pth.tar')
    assert 'video_model.' in str(e.value)  # which tensors
    with pytest.raises(NetworkError, match='there is no'):
        Network.open(tmp_path / 'nothing')
    net.model.save_pretrained(tmp_path / 'good', cfg)
    back = Network.open(tmp_path / 'good')
    assert back.trained_on is None and back.cfg.model == cfg.model


def test_unknown_names_teach():
    with pytest.raises(EvaluationError, match='hmdb51_32'):
        recipe('hmdb')
    with pytest.raises(EvaluationError, match='retrieval'):
        run_protocol('retrieve', None, None)
    with pytest.raises(AvnbError, match='finetune'):
        replace(EvalConfig(), dict(finetun=dict(epochs=2)))


def test_from_the_command_line(toy, tmp_path, capsys):
    m, _, cfg, net = toy
    net.model.save_pretrained(tmp_path / 'net', cfg)
    say = lambda *words: main(['evaluate', *map(str, words)])
    assert say('fewshot', tmp_path / 'net') == 2 and 'brings no clips' in capsys.readouterr().err
    assert say('fewshot', tmp_path / 'net', '--data', f'ucf={tmp_path}') == 2 and 'ucf101' in capsys.readouterr().err
    assert (
        say('fewshot', tmp_path / 'net', '--data', f'ucf101={tmp_path}') == 2
        and 'UCF101TrainTestSplits' in capsys.readouterr().err
    )
    for i in range(12):
        write_wav(tmp_path / f'{i}.wav', np.sin(np.arange(8000) * (0.2 + 0.3 * (i % 2))).astype(np.float32) * 0.3)
    table = pd.DataFrame(
        dict(
            id=[f'c{i}' for i in range(12)],
            path=[f'{i}.wav' for i in range(12)],
            start_s=0.0,
            seconds=2.0,
            label=[f'k{i % 2}' for i in range(12)],
            split=['train'] * 6 + ['test'] * 6,
        )
    )
    table.to_csv(tmp_path / 'm.csv', index=False)
    assert (
        say(
            'audio',
            tmp_path / 'net',
            '--manifest',
            tmp_path / 'm.csv',
            '--out',
            tmp_path / 'out',
            '--set',
            'windows=2',
            '--set',
            'seeds=1',
        )
        == 0
    )
    assert (
        'audio_svm' in capsys.readouterr().out
        and json.loads((tmp_path / 'out' / 'report-audio.json').read_text())['audio_svm']['value'] == 1.0
    )


@pytest.mark.slow
def test_esc50_part_as_distributed(real_data, tmp_path):
    """The real fold: 298 clips in two halves by recording; the shipped network and three untrained ones hear clearly
    more than chance."""
    from avnb.datasets import from_esc50

    net = Network.open()
    report = run_protocol(
        'audio', net, from_esc50(real_data / 'esc50', fold=None), EvalConfig(windows=3, seeds=1), tmp_path
    )
    assert (
        report['about']['clips'] == '298 of 310 in the list' and 'not the published protocol' in report['about']['data']
    )
    assert report['audio_svm']['value'] > 5 * report['audio_svm']['chance'] and report['audio_svm']['n'] > 120


def test_benchmark_rows_say_what_they_were_measured_on(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / 'benchmarks')
    from evaluate import COLUMNS, Table

    t = Table('esc50', 'not the published protocol')
    t.test['audio'] = '149 of 155 in the list'
    t.scores('audio', 'real', 'xid', 0, dict(svm=Score(0.5, 0.1, 0.02, 149, dict(majority=0.1))))
    assert [dict(zip(COLUMNS, r, strict=True))['test_clips'] for r in t.rows] == ['149 of 155 in the list'] * 2 and {
        r[-1] for r in t.rows
    } == {'not the published protocol'}


@pytest.mark.slow
def test_a_released_checkpoint_from_end_to_end(tmp_path, capsys):
    """A file as the authors' (random weights under their names) with their mean and std per frequency: retrieval and
    localization, as typed, and again from what is kept."""
    from avnb.encoders import avid_config

    torch.manual_seed(0)
    state = AVModel.from_config(avid_config()).state_dict()
    torch.save(dict(model={f'module.{k}': v for k, v in state.items()}), tmp_path / 'AVID.pth.tar')
    np.savez(tmp_path / 'stats.npz', mean=np.linspace(-20, -40, 257), std=np.linspace(15, 20, 257))
    m = Manifest.load(Path(__file__).parents[1] / 'data_samples' / 'manifest.csv')
    t = m.table[m.table['faulty_kind'] == 'none'].sort_values('label')[:6]
    t = t.assign(
        path=[str(m.folder / p) for p in t['path']],
        label=['a', 'b'] * 3,
        split=['train'] * 4 + ['test'] * 2,
        boxes='[[0.1, 0.2, 0.6, 0.7]]',
        votes='1',
        boxes_at_s='1.0',
    )
    for i, p in enumerate(t['path']):
        (tmp_path / f'{i}.mp4').write_bytes(Path(p).read_bytes())
    Manifest(tmp_path, t.assign(path=[f'{i}.mp4' for i in range(6)]).reset_index(drop=True)).save(
        tmp_path / 'manifest.csv'
    )

    def say(protocol):
        words = [f'front={tmp_path}/stats.npz', 'windows=2', 'seeds=1', 'batch=6']
        code = main(
            [
                'evaluate',
                protocol,
                str(tmp_path / 'AVID.pth.tar'),
                '--manifest',
                str(tmp_path / 'manifest.csv'),
                '--out',
                str(tmp_path / 'out'),
                *(x for w in words for x in ('--set', w)),
            ]
        )
        assert code == 0, capsys.readouterr().err
        return json.loads((tmp_path / 'out' / f'report-{protocol}.json').read_text())

    found, places = say('retrieval'), say('localization')
    assert (
        found['retrieval_video_selavi_max_r1']['n'] == 2
        and found['about']['trained on'] == 'not known'
        and places['ciou50_adaptive']['n'] == 6
    )
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / 'out' / 'cache').rglob('*.npz')}
    again = say('localization')
    del again['about']['seconds'], places['about']['seconds']
    assert again == places and kept == {p: p.stat().st_mtime_ns for p in (tmp_path / 'out' / 'cache').rglob('*.npz')}

"""Published data sets from their layout on the disk to a printed report, by the command a user types: small trees with
real pictures and sounds, one listed file of each absent."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
import torch
from PIL import Image
from toys import config

from avnb.cli import main
from avnb.datasets import _SCENES
from avnb.media import read_clip, write_clip
from avnb.network import Network

SAMPLES = Path(__file__).parents[1] / 'data_samples'
FAST = [f'{k}={v}' for k, v in dict(windows=2, seeds=1, draws=3, shots='1,2', batch=8).items()]
LEARN = [
    f'{p}.{k}={v}'
    for p in ('finetune', 'linear')
    for k, v in dict(warmup=0, epochs=2, milestones='1', clips=1, random_clips=2, batch=8, lr=0.003).items()
]


@pytest.fixture(scope='module')
def network(tmp_path_factory):
    "Weights of a small network on the disk; it looks at 32 pixels and hears one second."
    folder = tmp_path_factory.mktemp('network')
    cfg = config('', 'unused')
    Network.from_config(cfg, seed=3).model.save_pretrained(folder, cfg)
    return folder


@pytest.fixture
def evaluate(network, tmp_path, capsys):
    "`avnb evaluate`: (report, the table of what was missing, what was printed)."

    def go(protocol, data, *words, folder='set', net=network):
        code = main(
            [
                'evaluate',
                protocol,
                str(net),
                '--data',
                f'{data}={tmp_path / folder}',
                '--out',
                str(tmp_path / 'out'),
                *words,
                *(x for s in FAST + LEARN for x in ('--set', s)),
            ]
        )
        said = capsys.readouterr()
        assert code == 0, said.err
        report = json.loads((tmp_path / 'out' / f'report-{protocol}.json').read_text())
        lost = tmp_path / 'out' / f'missing-{protocol}.csv'
        for form in ('txt', 'tex'):
            assert (tmp_path / 'out' / f'report-{protocol}.{form}').stat().st_size > 200
        return report, pd.read_csv(lost, dtype=str).set_index('id')['why'] if lost.exists() else None, said.out

    return go


def samples(n=12):
    "(video, label, box as fractions or None) of n clips of two kinds that can be heard and seen."
    t = pd.read_csv(SAMPLES / 'manifest.csv', dtype=dict(id=str))
    out = []
    for r in t.sort_values('label').itertuples():
        s = json.loads((SAMPLES / 'truth' / f'{r.id}.json').read_text())['sources']
        box = next((x['boxes'][16] for x in s if x['sounding'] and x['boxes'][16]), None)
        out.append((SAMPLES / r.path, r.label, box))
    return out[:n]


def put(video, *where):
    "Copy a clip to a place in a tree."
    to = Path(*where)
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(video, to)
    return to


def sane(report, n):
    "Every score has its company and this many clips."
    for k, s in report.items():
        if k != 'about':
            assert 0 <= s['value'] <= 1 and s['n'] == n and 'untrained' in s['baselines'] and s['error'] >= 0, k


def test_hmdb51_fine_tuning_on_three_splits(tmp_path, evaluate):
    clips, lists = samples(), tmp_path / 'set' / 'testTrainMulti_7030_splits'
    lists.mkdir(parents=True)
    for c, cls in enumerate(('brush_hair', 'wave')):
        names = [f'{cls}_clip_{cls}_u_nm_np1_fr_med_{k}.avi' for k in range(6)]
        for k, n in enumerate(names):
            put(clips[6 * c + k][0], tmp_path, 'set', 'hmdb51_org', cls, n)
        for s in (1, 2, 3):
            (lists / f'{cls}_test_split{s}.txt').write_text(
                ''.join(f'{n} {2 if k % 3 == s - 1 else 1} \n' for k, n in enumerate(names))
                + ('absent.avi 2 \n' if c else '')
            )
    report, lost, said = evaluate('finetune', 'hmdb51', '--splits', '1,2,3')
    assert (
        report['about']['clips'] == ['12 of 13 in the list'] * 3
        and dict(lost) == {'wave__absent': 'not there'}
        and 'HMDB51 split 1' in said
    )
    assert (
        report['about']['data'] == [f'HMDB51 split {k}' for k in (1, 2, 3)]
        and report['about']['test clips'] == ['4 of 5 in the list'] * 3
        and len(set(report['about']['manifest'])) == 1
    )
    about = report.pop('about')
    sane(report, 12)
    assert (
        set(report) == {'finetune_video1', 'finetune_clip1'}
        and report['finetune_video1']['chance'] == 0.5
        and report['finetune_video1']['spread']['value'][1] == 3
    )
    assert 'missing-finetune.csv' in about['missing'] and len(list((tmp_path / 'out').glob('finetune-*.pt'))) == 6


def test_kinetics_linear_probes(tmp_path, evaluate):
    clips = samples()
    rows = {}
    for k, (v, label, _) in enumerate(clips):
        side, y = ('train', 'val')[k % 2], f'-Kinetics{k:02}'  # names may begin with a dash
        put(v, tmp_path, 'set', side, f'{y}_{k:06d}_{k + 10:06d}.mp4')
        rows.setdefault(side, []).append(f'"playing, {"AB"[k // 6]}",{y},{k},{k + 10},{side}')
    rows['val'].append('"playing, A",absent_____,7,17,val')
    (tmp_path / 'set' / 'annotations').mkdir()
    for side, r in rows.items():
        (tmp_path / 'set' / 'annotations' / f'{side}.csv').write_text(
            '\n'.join(['label,youtube_id,time_start,time_end,split', *r]) + '\n'
        )
    report, lost, said = evaluate('linear', 'kinetics')
    about = report.pop('about')
    sane(report, 6)
    assert (
        about['clips'] == '12 of 13 in the list'
        and dict(lost) == {'absent______000007_000017': 'not there'}
        and about['data'] == 'Kinetics, tested on its validation part'
    )
    assert (
        'frozen' in about['batch norm']
        and {'linear_pooled', 'linear_embedding'} < set(report)
        and sum(k.endswith('video1') for k in report) >= 2
    )


def test_vggsound_retrieval_and_few_shots(tmp_path, evaluate):
    lines = []
    for k, (v, label, _) in enumerate(samples()):
        put(v, tmp_path, 'set', 'video', f'VGGSound_{k:02}_{k:06d}.mp4')
        lines.append(f'VGGSound_{k:02},{k},"kind {k // 6}, of two",{("train", "test")[k % 2]}')
    (tmp_path / 'set' / 'vggsound.csv').write_text('\n'.join([*lines, 'absent_____,9,"kind 0, of two",test']) + '\n')
    for protocol in ('retrieval', 'fewshot'):
        report, lost, _ = evaluate(protocol, 'vggsound')
        assert report.pop('about')['clips'] == '12 of 13 in the list' and list(lost.index) == ['absent______000009']
        sane(report, 6)
    assert report['fewshot_2']['spread']['value'][1] == 3
    cut = [p for p in (tmp_path / 'out' / 'cache').iterdir()]
    report, _, _ = evaluate('fewshot', 'vggsound')
    assert cut == [p for p in (tmp_path / 'out' / 'cache').iterdir()]  # nothing was embedded again


def test_dcase2014_scenes(tmp_path, evaluate):
    g, t = np.random.default_rng(0), np.arange(12000) / 4000
    for c, scene in enumerate(_SCENES[:3]):
        for side in ('scenes_stereo', 'scenes_stereo_testset'):
            for k in (1, 2, 3, 4):
                x = 0.3 * np.sin(2 * np.pi * (300 + 500 * c) * t) + g.normal(0, 0.02, len(t))
                to = tmp_path / 'set' / side / f'{scene}{k:02d}.wav'
                to.parent.mkdir(parents=True, exist_ok=True)
                sf.write(to, np.stack([x, x], 1), 4000)
    report, lost, _ = evaluate('audio', 'dcase2014')
    about = report.pop('about')
    sane(report, 12)
    assert (
        about['clips'] == '24 of 200 in the list'
        and len(lost) == 176
        and lost['test_bus05'] == 'not there'
        and about['data'] == 'DCASE 2014'
    )
    assert report['audio_svm']['value'] == 1 and report['audio_svm']['chance'] == pytest.approx(1 / 3)  # a tone each


def test_esc50_five_folds(tmp_path, evaluate):
    t, rows = np.arange(20000) / 4000, []
    (tmp_path / 'set' / 'audio').mkdir(parents=True)
    (tmp_path / 'set' / 'meta').mkdir()
    for f in range(1, 6):
        for c in range(3):
            n = f'{f}-{1000 + 10 * f + c}-A-{c}.wav'
            sf.write(tmp_path / 'set' / 'audio' / n, 0.3 * np.sin(2 * np.pi * (300 + 500 * c) * t + f), 4000)
            rows.append(f'{n},{f},{c},c{c},False,{1000 + 10 * f + c},A')
    (tmp_path / 'set' / 'meta' / 'esc50.csv').write_text(
        '\n'.join(['filename,fold,target,category,esc10,src_file,take', *rows, '5-1-A-0.wav,5,0,c0,False,1,A']) + '\n'
    )
    report, lost, _ = evaluate('audio', 'esc50')
    about = report.pop('about')
    sane(report, 15)  # every clip is tested once: five folds
    assert (
        about['clips'] == '15 of 16 in the list'
        and dict(lost) == {'5-1-A-0': 'not there'}
        and report['audio_svm']['value'] == 1
    )
    assert about['data'].startswith('ESC-50, five folds')
    one, _, _ = evaluate('audio', 'esc50', '--splits', '2')
    assert one['about']['data'].startswith('ESC-50 fold 2') and one['audio_svm']['n'] == 3
    each, _, _ = evaluate('audio', 'esc50', '--splits', '1,2,3,4,5')
    assert (
        each['audio_svm']['n'] == 15
        and each['audio_svm']['spread']['value'][1] == 5
        and [d[:13] for d in each['about']['data']] == [f'ESC-50 fold {k}' for k in range(1, 6)]
    )


def boxed(tmp_path, put_one):
    "Eight clips of two kinds with boxes, put into the tree by `put_one(k, video, label, box)`."
    picked = [x for x in samples(48) if x[2]]
    for k, x in enumerate([*picked[:4], *picked[-4:]]):
        put_one(k, *x)


@pytest.mark.parametrize('stills', [False, True])
def test_vggss_boxes(tmp_path, evaluate, stills):
    listed = []

    def put_one(k, video, label, box):
        box = (
            [0.26875, 1.0, 0.753125, 1.0] if k == 1 else box
        )  # as M1P1xla8rg0_000000 of the real list has it: no height
        name = f'VGG-SS_{k:04}_{k:06d}'
        listed.append(dict(file=name, **{'class': label}, bbox=[box]))
        for d in ('frames', 'audio') if stills else ('video',):
            (tmp_path / 'set' / d).mkdir(parents=True, exist_ok=True)
        c = read_clip(video, 0.0, 2.0, rate=8000)
        times = 1 if k == 0 else 5  # the first one was cut short
        if not stills:
            write_clip(
                tmp_path / 'set' / 'video' / f'{name}.mp4',
                np.tile(c.frames, (times, 1, 1, 1)),
                np.tile(c.waveform, times),
                16,
                8000,
            )
            return
        Image.fromarray(c.frames[16]).save(tmp_path / 'set' / 'frames' / f'{name}.jpg')
        sf.write(tmp_path / 'set' / 'audio' / f'{name}.wav', np.tile(c.waveform, times), 8000)

    boxed(tmp_path, put_one)
    (tmp_path / 'set' / 'metadata').mkdir()
    (tmp_path / 'set' / 'metadata' / 'vggss.json').write_text(
        json.dumps([*listed, dict(file='absent______000003', **{'class': 'x'}, bbox=[[0, 0, 1, 1]])])
    )
    report, lost, _ = evaluate('localization', 'vggss')
    about, n = report.pop('about'), 8 if stills else 7
    cut = {} if stills else {'VGG-SS_0000_000000': 'ends before the picture with the boxes'}
    assert (
        about['clips'] == '8 of 9 in the list'
        and dict(lost) == {'absent______000003': 'not there'} | cut
        and about['boxes'].startswith(f'{n} clips with boxes, 0 without')
        and about['test clips'] == f'{n} of 9 in the list'
    )
    sane({k: s for k, s in report.items() if '_silent' not in k and '_off_screen' not in k}, n)
    sane({k: s for k, s in report.items() if '_silent' in k or '_off_screen' in k}, 2 * n)
    assert (
        '1 whose box has no area' in about['boxes'] and f'at best {1 - 1 / n:.2f}' in report['ciou50_adaptive']['note']
    )
    whole = report['ciou50_adaptive']['baselines']['whole']
    assert whole <= 1 - 1 / n and report['pointing_guided']['value'] <= 1 - 1 / n
    for kind in ('silent', 'off_screen'):
        assert report[f'precision_{kind}']['value'] == pytest.approx(report['ciou50_adaptive']['value'] / 2)
    for rule in ('adaptive', 'lvs', 'ez-vsl', 'slavc'):
        assert {'whole', 'centre', 'shuffled_audio'} <= set(report[f'ciou50_{rule}']['baselines'])


def test_flickr_soundnet_boxes(tmp_path, evaluate):
    for d in ('Annotations', 'Data'):
        (tmp_path / 'set' / d).mkdir(parents=True)

    def put_one(k, video, label, box):
        c = read_clip(video, 0.0, 2.0, rate=4000)
        to = tmp_path / 'set' / 'Data' / f'40{k}'
        to.mkdir()
        Image.fromarray(c.frames[16]).save(to / f'40{k}.jpg')
        sf.write(to / f'40{k}.wav', c.waveform, 4000)
        b = ''.join(
            f'<bbox><name>{who}</name>{"".join(f"<v>{round(256 * v)}</v>" for v in box)}</bbox>' for who in 'ab'
        )
        (tmp_path / 'set' / 'Annotations' / f'40{k}.xml').write_text(f'<annotation>{b}</annotation>')

    boxed(tmp_path, put_one)
    (tmp_path / 'set' / 'flickr_test.csv').write_text(''.join(f'40{k},0\n' for k in range(8)) + '999,0\n')
    report, lost, _ = evaluate('localization', 'flickr_soundnet')
    about = report.pop('about')
    assert (
        about['clips'] == '8 of 9 in the list'
        and dict(lost) == {'999': 'no annotation'}
        and about['data'] == 'Flickr-SoundNet, test list of 9'
    )
    assert report['ciou50_adaptive']['n'] == 8 and report['pointing_guided']['chance'] < 0.5


def test_another_networks_checkpoint_is_refused_by_tensors(tmp_path, capsys):
    """The tensors that differ are named on the one line a user sees; a pickle that would run something is refused and
    does not run."""
    (tmp_path / 'm.csv').write_text('id,path,start_s,seconds,label,split\n')
    say = lambda f: (
        main(['evaluate', 'linear', str(f), '--manifest', str(tmp_path / 'm.csv')]),
        capsys.readouterr().err,
    )
    torch.save(
        dict(model={'module.video_model.conv1.0.weight': torch.zeros(8, 3, 3, 7, 7), 'module.extra': torch.zeros(1)}),
        tmp_path / 'other.pth.tar',
    )
    code, err = say(tmp_path / 'other.pth.tar')
    assert (
        code == 2
        and len(err.splitlines()) == 1
        and 'another network' in err
        and 'video_model.conv1.0.weight [8, 3, 3, 7, 7] instead of [64, 3, 3, 7, 7]' in err
        and '1 not in the network (extra)' in err
    )
    import pickle

    class Trap:
        def __reduce__(self):
            return open, (str(tmp_path / 'ran'), 'w')

    for n, data in (
        ('trap.pth', pickle.dumps(dict(model=Trap()))),
        ('list.pth', pickle.dumps([1, 2])),
        ('text.pth', b'hello'),
    ):
        (tmp_path / n).write_bytes(data)
        code, err = say(tmp_path / n)
        assert (
            code == 2
            and len(err.splitlines()) == 1
            and n in err
            and any(w in err for w in ('refused', 'AVID-CMA', 'cannot read'))
        ), (n, err)
    assert not (tmp_path / 'ran').exists()


def test_report_from_the_command_line(tmp_path, capsys):
    """A small run of avnb train and its report: JSON, text and LaTeX with the same numbers; another manifest; training
    clips in the test are refused unless told."""
    from avnb.manifest import Manifest

    t = Manifest.load(SAMPLES / 'manifest.csv').table
    t = t[t['faulty_kind'] == 'none'].reset_index(drop=True)
    t['path'] = [str(SAMPLES / p) for p in t['path']]
    for i, p in enumerate(t['path']):
        t.loc[i, 'path'] = put(p, tmp_path, 'clips', Path(p).name).relative_to(tmp_path).as_posix()
    Manifest(tmp_path, t).save(tmp_path / 'manifest.csv')
    cfg = config(
        '',
        tmp_path / 'run',
        [
            f'data.manifest="{tmp_path}/manifest.csv"',
            'data.packed=',
            'optim.epochs=1',
            'data.batch=6',
            'weight.enabled=false',
            'cmac.alpha=0.0',
            'soft.estimator=',
            'view.frames=2',
        ],
    )
    from avnb.training import fit

    fit(cfg)
    say = lambda *words: (
        main(['evaluate', 'report', str(tmp_path / 'run'), *map(str, words), '--set', 'windows=1']),
        capsys.readouterr(),
    )
    code, said = say()
    report = json.loads((tmp_path / 'run' / 'report.json').read_text())
    about = report['about']
    assert (
        code == 0
        and about['clips'] == f'{len(t)} of {len(t)} in the list'
        and about['seconds'] > 0
        and 'drawn with seed' in about['seeds']
        and len(about['weights']) == 16
    )
    score = report['linear_audio']
    value = f'{score["value"]:.2f}'
    for form in ('txt', 'tex'):
        text = (tmp_path / 'run' / f'report.{form}').read_text()
        assert 'audio, linear probe' in text and value in text and 'untrained' in text
    assert (tmp_path / 'run' / 'report.txt').read_text().strip() in said.out and r'\begin{tabular}' in (
        tmp_path / 'run' / 'report.tex'
    ).read_text()
    half = t.assign(split=['test'] * (len(t) // 2) + ['train'] * (len(t) - len(t) // 2))
    Manifest(tmp_path, half).save(tmp_path / 'other.csv')
    code, said = say('--manifest', tmp_path / 'other.csv', '--out', tmp_path / 'there')
    assert code == 2 and "are in the network's training clips too" in said.err and not (tmp_path / 'there').exists()
    own = main(['evaluate', 'retrieval', str(tmp_path / 'run'), *(x for s in FAST for x in ('--set', s))])
    capsys.readouterr()  # the run's own clips
    again = json.loads((tmp_path / 'run' / 'evaluation' / 'report-retrieval.json').read_text())
    assert (
        own == 0
        and again['retrieval_video_global_r1']['n'] == (t['split'] == 'test').sum()
        and 'trained on' not in again['about']
    )
    for setting, hint in (('shots=a', 'whole numbers'), ('windows=0', '1 or more'), ('draws=x', 'draws')):
        assert (
            main(['evaluate', 'fewshot', str(tmp_path / 'run'), '--set', setting]) == 2
            and hint in capsys.readouterr().err
        )
    code, said = say('--manifest', tmp_path / 'other.csv', '--out', tmp_path / 'there', '--set', 'overlap=true')
    assert code == 0 and 'memory' in said.out and (tmp_path / 'there' / 'report.tex').exists()


@pytest.mark.parametrize(
    'words,hint',
    [
        (['--data', 'kinetics=x', '--splits', '1'], 'one split'),
        (['--data', 'ucf101=x', '--splits', 'one'], 'expected numbers'),
        (['--data', 'ucf101=x', '--recipe', 'ucf'], 'ucf101_32'),
        (['--data', 'ucf101=x', '--set', 'finetune.epoch=2'], 'finetune.epochs'),
        (['--data', 'ucf101=x'], 'UCF101.rar'),
        ([], 'brings no clips'),
        (['--data', 'ucf101=x', '--recipe', 'no.toml'], 'an earlier call wrote'),
    ],
)
def test_what_a_newcomer_mistypes_is_one_line_that_helps(network, capsys, words, hint):
    assert main(['evaluate', 'finetune', str(network), *words]) == 2
    err = capsys.readouterr().err
    assert hint in err and len(err.splitlines()) == 1


def test_every_setting_that_the_help_names_is_one(capsys):
    "--help of each protocol: an example, what is written, and settings with their true defaults."
    import re

    from avnb.cli import PROTOCOL_HELP
    from avnb.core import set_options
    from avnb.evaluate import PROTOCOLS
    from avnb.protocols import EvalConfig

    assert set(PROTOCOL_HELP) == {*PROTOCOLS, 'report', 'localization'}
    for name in PROTOCOL_HELP:
        with pytest.raises(SystemExit):
            main(['evaluate', name, '--help'])
        text = capsys.readouterr().out
        assert f'avnb evaluate {name}' in text and 'written:' in text
        for setting, default in re.findall(r'--set ([a-z]\S*=\S+) .*?(?:\(default ([\d,]+)\))?$', text, re.M):
            if default:
                assert set_options(EvalConfig(), [setting.split('=')[0] + '=' + default]) == EvalConfig(), (
                    name,
                    setting,
                )
            else:
                set_options(EvalConfig(), [setting])

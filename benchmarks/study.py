"""What the studies share: worlds written straight into packed sets, runs that share their first stage, scores on
held-out clips, and a table that several processes may fill at once. Run robust_xid.py, not this file."""

import argparse
import contextlib
import csv
import fcntl
import io
import json
import shutil
import sys
from dataclasses import asdict, replace as with_
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from avnb import training
from avnb.core import TrainConfig, digest, progress, replace
from avnb.features import compute_features, even_windows, ranks_on_half_circle, window_batches
from avnb.localization import localization_report, tally_batches
from avnb.manifest import Manifest
from avnb.metrics import retrieval_class
from avnb.network import Network
from avnb.packed import PackedSet, adopt
from avnb.probes import linear_probe
from avnb.protocols import bank_auroc, evaluation_parts
from avnb.studies import is_reference, paired
from avnb.world import (
    PRESETS,
    Gate,
    World,
    check_world,
    gate_table,
    plan_scenes,
    render_audio,
    render_frames,
    scene_truth,
    write_world,
)

RESULTS = Path(__file__).parent / 'results'
COLUMNS = 'phase faulty classes method seed metric value n'.split()
# Small frames, fewer things, one background sound, little augmentation: a plain run takes about a minute on a core.
DIALS = with_(
    PRESETS['easy'],
    size=48,
    fps=8.0,
    radius=(0.15, 0.21),
    sources=(0.9, 0.1),
    silent=(0.2, 0.5, 0.3),
    others=1,
    others_db=(-9.0, 0.0),
)
RECIPE = dict(
    data=dict(fps=8.0, size=48, seconds=2.0, batch=50, workers=0),
    view=dict(
        frames=2, stride=2, audio_seconds=1.0, size=48, area_min=0.75, jitter=0.1, hue=0.0, mels=48, hop=320, offset=0.1
    ),
    model=dict(width=16),
    xid=dict(tau=0.1, candidates='batch'),
    optim=dict(lr=3e-3, weight_decay=1e-2),
    run=dict(log_every=50, keep_checkpoints=9, save_maps=0, device='cpu', amp=True),
)


# -- worlds ------------------------------------------------------------------------------------------------------------


def write_packed_world(out, seed, faulty, train, test, classes=12, dials=DIALS) -> Path:
    """The clips of `write_world`, without a codec between: a packed set, its manifest and truth.json. Test clips do not
    depend on `faulty`."""
    out = Path(out)
    if (out / 'meta.json').exists():
        return out
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    world, n = World(seed, classes, dials), train + test
    shape = (n, round(dials.seconds * dials.fps), dials.size, dials.size, 3), (n, round(dials.seconds * dials.rate))
    frames, audio = (
        np.memmap(out / 'frames.u8', np.uint8, 'w+', shape=shape[0]),
        np.memmap(out / 'audio.i16', np.int16, 'w+', shape=shape[1]),
    )
    rows, known = [], []
    for i, scene in enumerate(
        progress(plan_scenes(world, n, faulty, test / n), total=n, desc='rendering', unit='clip')
    ):
        frames[i], boxes = render_frames(scene)
        audio[i] = np.round(np.clip(render_audio(scene), -1, 1) * 32767)
        known.append(scene_truth(scene, boxes, world))
        rows.append(
            dict(
                id=f'{i:06d}',
                path=f'{i:06d}',
                start_s=0.0,
                seconds=dials.seconds,
                split='train' if i < train else 'test',
                label=world.names[scene.label],
                faulty_kind=scene.faulty_kind,
                content_hash=digest([seed, i, scene.faulty_kind, scene.track, asdict(dials)]),
                video_codec='none',
                audio_codec='none',
                error='',
            )
        )
    Manifest(out, pd.DataFrame(rows)).save(out / 'manifest.csv')
    m = Manifest.load(out / 'manifest.csv')
    (out / 'truth.json').write_text(json.dumps(known))
    adopt(out, m, dials.seconds, dials.fps, dials.size, dials.rate, whole=(dials.size, dials.size))
    return out


class Set:
    "A packed world opened: manifest, truth, who is faulty, true classes."

    def __init__(self, folder):
        self.folder, self.manifest, self.packed = (
            Path(folder),
            Manifest.load(Path(folder, 'manifest.csv')),
            PackedSet.load(folder),
        )
        self.truth = json.loads(Path(folder, 'truth.json').read_text())
        t = self.manifest.table
        self.label, self.kind, self.split = (t[k].astype(str).to_numpy() for k in ('label', 'faulty_kind', 'split'))
        self.classes = np.array([x['class'] for x in self.truth])
        self.heard = np.array([-1 if x['heard'] is None else x['heard'] for x in self.truth])
        self.one = [x['id'] for x in self.truth if sum(s['sounding'] for s in x['sources']) == 1]

    @property
    def faulty(self):
        return self.kind != 'none'


# -- runs --------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def objective(cls):
    """Runs inside use this subclass of `Objective`: oracles and other people's losses, which are no setting of the
    package."""
    plain, training.Objective = training.Objective, cls or training.Objective
    try:
        yield
    finally:
        training.Objective = plain


def config(world: Path, folder, seed, epochs, switch, batch=50, **settings) -> TrainConfig:
    "Config of a run; a checkpoint falls on the switch from the first stage to the second."
    cfg = replace(replace(TrainConfig(), RECIPE), settings)
    steps = (Manifest.load(world / 'manifest.csv').table.split == 'train').sum() // batch
    return replace(
        cfg,
        dict(
            data=dict(manifest=str(world / 'manifest.csv'), packed=str(world)),
            optim=dict(epochs=epochs),
            run=dict(folder=str(folder), seed=seed, checkpoint_every=int(max(1, round(epochs * switch)) * steps)),
        ),
    )


def train(cfg: TrainConfig, start=None, cls=None):
    "A run; with `start`, the checkpoint of a first stage, only the second."
    torch.set_num_threads(1)
    with objective(cls), contextlib.redirect_stdout(io.StringIO()):
        return training.fit(cfg, str(start) if start else 'auto')


def first_stage(run) -> Path:
    "The checkpoint at the switch."
    return Path(run.folder, 'checkpoints', f'step-{run.cfg.run.checkpoint_every:08}.pt')


# -- scores ------------------------------------------------------------------------------------------------------------


def features_of(network: Network, data, rows, windows=2) -> dict:
    "`compute_features` of these rows: 'trained' is the network, 'trivial' needs none."
    return compute_features(
        dict(trained=network), even_windows(data.manifest.take(rows), network.cfg, data.packed, windows)
    )


def measure(network: Network, bank, data: Set, windows=2, located=None) -> tuple:
    "(metric -> (value, n), report of maps), for a network on held-out clips and for its bank on the training clips."
    parts, out = evaluation_parts(data.manifest, data.one), {}
    used = np.unique(np.concatenate([parts['train'], parts['test']]))
    f = features_of(network, data, used, windows)['trained']
    video, audio = f.mean('video'), f.mean('audio')

    def at(x, rows):
        return x[np.searchsorted(used, rows)]

    tr, te = parts['train'], parts['test']
    y = data.label
    for k in ('video', 'audio'):
        x = f.mean(f'{k}_pooled', normed=False)
        out[f'linear_{k}'] = linear_probe(at(x, tr), y[tr], at(x, te), y[te])
    for d, q, g in (('v2a', video, audio), ('a2v', audio, video)):
        out[f'retrieval_class_{d}_r1'] = retrieval_class(at(q, te), at(g, te), y[te])
    report = localize(network, data, te[np.random.default_rng(0).permutation(len(te))[:located]])
    out |= {k: s for k, s in report.items() if s.n}
    return {k: (float(s.value), int(s.n)) for k, s in out.items()} | (
        knowing(bank, data) if bank is not None else {}
    ), report


def batches_of(data, rows, cfg):
    "Batches of the middle windows of these rows."
    return window_batches(data.manifest.take(rows), cfg, data.packed, 1)[0]


def localize(network: Network, data, rows) -> dict:
    "name -> Score of maps and bands on the middle windows of these clips."
    known, labels = {int(r): data.truth[r] for r in rows}, {int(r): data.label[r] for r in rows}
    return localization_report(*tally_batches(network, batches_of(data, rows, network.cfg), known, labels))


KINDS = dict(
    auroc_wrong_track=('wrong_track',), auroc_off_screen=('off_screen',), auroc_faulty=('wrong_track', 'off_screen')
)


def knowing(bank, data: Set) -> dict:
    "AUROC of the bank's scores against what is faulty, per kind: (value, n)."
    out = {}
    for name, kinds in KINDS.items():
        rows = np.flatnonzero((data.split == 'train') & np.isin(data.kind, ('none', *kinds)))
        if data.faulty[rows].any():
            score = bank_auroc(bank, rows, data.faulty[rows])
            out[name] = (float(score.value), int(score.n))
    return out


def without_learning(
    network: Network, data: Set, report: dict, located=('pointing_guided', 'frequency_hit_guided')
) -> dict:
    """baseline -> metric -> (value, n): colours, spectra and liveliness in the place of features, and what `localize`
    has beside its maps and bands."""
    parts = evaluation_parts(data.manifest, data.one)
    tr, te = parts['train'], parts['test']
    y = data.label
    used = np.unique(np.concatenate([tr, te]))
    trivial = features_of(network, data, used)['trivial']

    def at(k, rows):
        return trivial.mean(k, False)[np.searchsorted(used, rows)]

    def half(k):
        return ranks_on_half_circle(at(k, te))

    probes = {
        (k, metric): linear_probe(at(k, tr), y[tr], at(k, te), y[te])
        for metric, ks in dict(linear_video=('colour', 'motion_colour'), linear_audio=('spectrum', 'loudness')).items()
        for k in ks
    }
    lively = {
        ('motion_loudness', f'retrieval_class_{d}_r1'): retrieval_class(half(q), half(g), y[te])
        for d, q, g in (('v2a', 'motion', 'loudness'), ('a2v', 'loudness', 'motion'))
    }
    out = {}
    for (k, metric), s in (probes | lively).items():
        out.setdefault(k, {})[metric] = float(s.value), int(s.n)
    for metric in located:
        for k, v in report[metric].baselines.items():
            out.setdefault(k, {})[metric] = v, report[metric].n
    return out


# -- tables ------------------------------------------------------------------------------------------------------------


class Table:
    "A tidy CSV that several processes append to; a run's rows go in together, so that what is there is complete."

    def __init__(self, path, columns=COLUMNS, given=('value', 'n')):  # `given`: the columns of a score
        self.path, self.columns, self.given = Path(path), columns, given

    def read(self) -> pd.DataFrame:
        if not self.path.exists():
            return pd.DataFrame(columns=self.columns)
        return pd.read_csv(self.path)

    def has(self, **key) -> bool:
        t = self.read()
        return bool(len(t)) and bool(np.logical_and.reduce([t[k] == v for k, v in key.items()]).any())

    def complete(self, key: dict, scores: dict):
        "Append those of the scores that a key does not have yet."
        t = self.read()
        there = set(t[np.logical_and.reduce([t[k] == v for k, v in key.items()])].metric) if len(t) else ()
        self.add(key, {k: v for k, v in scores.items() if k not in there})

    def add(self, key: dict, scores: dict):
        "Append name -> score, its numbers in the order of `given`, under a key."
        self.path.parent.mkdir(exist_ok=True)
        with open(self.path, 'a', newline='') as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            w = csv.DictWriter(f, self.columns, lineterminator='\n')
            if not f.tell():
                w.writeheader()
            w.writerows(
                dict(key, metric=m, **{k: round(v, 6) for k, v in zip(self.given, x)}) for m, x in scores.items()
            )
            f.flush()


def show(part: pd.DataFrame, shown, wide=40):
    "Means over seeds by method, with paired differences to xID and their 95 % intervals."
    short = lambda k: k.removeprefix('retrieval_').replace('pointing', 'point').replace('frequency_hit', 'freq')
    print(' ' * (wide + 4) + ''.join(f'{short(k):>26}' for k in shown))
    for m in part.method.unique():
        line = ''
        for k in shown:
            x = part[(part.method == m) & (part.metric == k)].value
            d, h, n = (0, 0, 0) if m == 'xid' or is_reference(m) else paired(part, k, m, 'xid')
            text = f'{x.mean():.3f}' if len(x) else ''
            if n:
                text += f' {d:+.3f}' + (f'±{h:.3f}' if n > 1 else '')
            line += f'{text:>26}'
        print(f'{m:{wide}} {part[part.method == m].seed.nunique():3}' + line)


# -- shortcuts
# -----------------------------------------------------------------------------------------------------------

GATES = Table(
    RESULTS / 'gates.csv', 'study seed classes metric value chance limit n'.split(), ('value', 'chance', 'limit', 'n')
)


def note_gates(study, worlds, folder, clips=1200):
    """What no network should be able to exploit, on each (conditions, seed) written as files, 40 % of the pairs faulty,
    through the package's own gates."""
    for c, seed in worlds:
        key = dict(study=study, seed=seed, classes=c['classes'])
        if not GATES.has(**key):
            place = Path(folder, f'gates-{c["classes"]}-{seed}')
            write_world(place, clips, c['classes'], 0.4, seed, c.get('dials', DIALS), workers=1)
            GATES.add(
                key,
                {
                    g.name: (float(g.value), float(g.chance), float(g.limit), int(g.n))
                    for g in check_world(place, workers=1)
                },
            )
            shutil.rmtree(place)
        t = GATES.read()
        t = t[np.logical_and.reduce([t[k] == v for k, v in key.items()])]
        print(
            f'{c["classes"]} classes, seed {seed}, {clips} clips\n'
            + gate_table([Gate(*g) for g in t[['metric', 'value', 'chance', 'limit', 'n']].itertuples(index=False)])
        )


# -- the command -------------------------------------------------------------------------------------------------------


def command(doc, table: Table, groups, run_group, tell, folder):
    """Run, list or tell, as the command line asks; `groups(phase)` gives (conditions, faulty, seed, methods) of each
    world."""
    p = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--run', action='store_true', help='do what is to do')
    p.add_argument('--list', action='store_true', help='what is to do, and what is done')
    p.add_argument(
        '--gates', action='store_true', help="what shortcuts reach in the study's worlds (results/gates.csv)"
    )
    p.add_argument(
        '--phase', choices=['dev', 'confirm'], default='dev', help='development seeds, or the confirming ones'
    )
    p.add_argument('--shard', default='0/1', help='which of how many processes, e.g. 0/2')
    p.add_argument('--folder', default=folder, help='for worlds and checkpoints, deleted when a world is done')
    a = p.parse_args()
    i, n = map(int, a.shard.split('/'))
    if a.gates:
        note_gates(
            Path(sys.argv[0]).stem, {c['classes']: (c, s) for c, _, s, _ in reversed(groups('dev'))}.values(), a.folder
        )
    elif a.list:
        for c, f, s, ms in groups(a.phase):
            done = lambda m: (
                '' if table.has(phase=a.phase, faulty=f, classes=c['classes'], seed=s, method=m) else ' (to do)'
            )
            print(
                f'{c["classes"]} classes, {f:.0%}, seed {s}: '
                + ', '.join(m + done(m) for m in dict.fromkeys(['xid', *ms]))
            )
    elif a.run:
        for c, f, s, ms in groups(a.phase)[i::n]:
            run_group(a.phase, c, f, s, ms, a.folder)
    else:
        for phase in ('dev', 'confirm'):
            if (table.read().phase == phase).any():
                tell(phase)
            else:
                print(f'{phase}: nothing yet; {Path(sys.argv[0]).name} --run --phase {phase}')

"""Robust-xID on real clips: windows of files as instances, half of the sound tracks exchanged on purpose.

    AVNB_REAL_DATA=recordings python benchmarks/real.py        # about 10 minutes on one core; goes on where it stopped
    python benchmarks/real.py --seeds 1 --epochs 2 --files 12   # a rehearsal; writes no table

What is asked: does the bank's score know which pairs were exchanged (AUROC, training windows), does a silent film find
its own sound among those of files that were never seen (one window of each held-out file), for xID, weighted and
robust, with 0 and 50 % of the training tracks wrong; files are held out one by one, or a whole source (everything from
one collection) at a time. Intervals come from drawing files again. Little is learned from so few files, so read it as
a check of the way, not of the method."""

import argparse
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from robust_xid import named, variant
from study import RESULTS, Table, config, first_stage, train

from avnb.core import AvnbError, progress, rng
from avnb.features import compute_features, even_windows
from avnb.index import index_folder
from avnb.manifest import Manifest, inject_noise
from avnb.metrics import auroc
from avnb.network import Network
from avnb.packed import PackedSet, adopt, pack
from avnb.runs import new_model

COLUMNS = (
    'phase faulty classes split method seed metric value low high n files'.split()
)  # split: what was held out, single files or whole sources
METHODS = dict(
    xid={}, **{m: variant(named(m, 'confirm'))[0] for m in ('weighted', 'robust')}
)  # as chosen in generated worlds, not on these clips
CLIP = dict(seconds=2.0, fps=8.0, size=48, rate=16000)


# -- clips -------------------------------------------------------------------------------------------------------------


def sources(recordings: Path) -> pd.DataFrame:
    """File name -> source (a film, or the collection that the file comes from), class by hand, and whether a person
    found the sound unrelated."""
    t, hand = (
        pd.read_csv(recordings / 'clips.csv', dtype=str),
        pd.read_csv(recordings / 'boxes.csv', dtype=str).drop_duplicates('file').set_index('file'),
    )
    film = t['file'].str.contains('big-buck-bunny')
    t['source'] = t['source_repo'].where(~film, 'big-buck-bunny')
    return t.set_index(t['file'].str.split('/').str[-1])[['source']].assign(
        **{k: hand[k].reindex(t['file']).fillna('').to_numpy() for k in ('coarse_class', 'faulty_positive')}
    )


def windows(recordings: Path, folder: Path, files: int) -> PackedSet:
    "Windows of two seconds, one a second, packed once."
    some = sorted(p.name for p in (recordings / 'clips').iterdir())[:: max(1, 111 // files) if files else 1]
    m = index_folder(recordings / 'clips', folder / 'windows.csv', 2.0, 1.0, include=some).usable()
    if not (folder / 'clean' / 'meta.json').exists():
        pack(Manifest(m.folder, m.table.reset_index(drop=True)), folder / 'clean', **CLIP)
    return PackedSet.load(folder / 'clean')


def split_by(m: Manifest, group, share: float, seed: int) -> Manifest:
    "Whole groups held out, in a seeded order, until a share of the files is."
    files = m.table['path'].groupby(np.asarray(group)).nunique()
    order = files.index[rng(seed, 0, 0, 'held out').permutation(len(files))]
    held = order[files[order].cumsum().to_numpy() - files[order].to_numpy() / 2 < share * files.sum()]
    return Manifest(m.folder, m.table.assign(split=np.where(np.isin(group, held), 'test', 'train')))


def dosed(clean: PackedSet, m: Manifest, fraction: float, seed: int, out: Path) -> Path:
    "A packed set in which a share of the training tracks is exchanged; the pictures are the clean set's."
    n = inject_noise(m, fraction, seed)
    at = dict(zip(m.table['id'], range(len(m))))
    heard = [at[x] if x else k for k, x in enumerate(n.table['track'])] if 'track' in n.table else range(len(m))
    out.mkdir(parents=True, exist_ok=True)
    (out / 'frames.u8').unlink(missing_ok=True)
    os.link(clean.folder / 'frames.u8', out / 'frames.u8')
    clean.audio[list(heard)].tofile(out / 'audio.i16')
    n.save(out / 'manifest.csv', overwrite=True)
    adopt(out, Manifest.load(out / 'manifest.csv'), **CLIP, whole=clean.whole)
    return out


# -- scores ------------------------------------------------------------------------------------------------------------


def interval(score, files, draws=1000) -> tuple:
    "(value, low, high) of score(rows) with whole files drawn again, 95 %."
    names, at = np.unique(files, return_inverse=True)
    rows = [np.flatnonzero(at == k) for k in range(len(names))]
    g = np.random.default_rng(0)
    drawn = [score(np.concatenate([rows[k] for k in g.integers(len(names), size=len(names))])) for _ in range(draws)]
    return score(np.arange(len(files))), *np.nanquantile(drawn, [0.025, 0.975])


def knows(score, wrong, files) -> tuple:
    "AUROC of low scores against wrong pairs."

    def of(rows):
        return auroc(-score[rows], wrong[rows]).value if 0 < wrong[rows].sum() < len(rows) else np.nan

    return *interval(of, files, 200), len(files), len(set(files))


def finds(query, gallery) -> dict:
    "R@1, and the share of the other files' sounds that the own one beats; one window of each file."
    s = query @ gallery.T
    own = s.diagonal()[:, None]
    n = len(s)
    beaten = ((s < own).sum(1) + 0.5 * ((s == own).sum(1) - 1)) / (n - 1)
    first = (s.argmax(1) == np.arange(n)).astype(float)
    return {
        k: (*interval(lambda rows: x[rows].mean(), np.arange(n)), n, n) for k, x in (('r1', first), ('auc', beaten))
    }


def measure(network, m: Manifest, packed, bank=None) -> dict:
    "metric -> (value, low, high, n, files)."
    t, out = m.table, {}
    wrong = (t['faulty_kind'] == 'wrong_track').to_numpy()
    path = t['path'].to_numpy(str)
    trained = np.flatnonzero(t['split'] == 'train')
    held = (
        t[t['split'] == 'test'].groupby('path').apply(lambda x: x.index[len(x) // 2], include_groups=False).to_numpy()
    )

    def embed(rows):
        f = compute_features(dict(net=network), even_windows(m.take(rows), network.cfg, packed, 1))['net']
        return f.mean('video'), f.mean('audio')

    video, audio = embed(np.sort(held))
    for d, q, g in (('v2a', video, audio), ('a2v', audio, video)):
        out |= {f'retrieval_instance_{d}_{k}': x for k, x in finds(q, g).items()}
    if bank is not None:
        score = bank.scores(trained).cpu().numpy()
    else:
        video, audio = embed(trained)
        score = (video * audio).sum(1)
    if wrong.any():
        out['auroc_wrong_track'] = knows(score, wrong[trained], path[trained])
    hand = (t['by_hand'] == 'yes').to_numpy()[trained]
    if hand.any() and not wrong.any():
        out['auroc_faulty_by_hand'] = knows(score, hand, path[trained])
    return out


# -- the study ---------------------------------------------------------------------------------------------------------


def one(table, clean, m, key, a):
    "All methods on one split and dose; they share their first stage."
    data = dosed(clean, m, key['faulty'], key['seed'], a.folder / '-'.join(map(str, key.values())))
    noisy, packed, start = Manifest.load(data / 'manifest.csv'), PackedSet.load(data), None
    for method, settings in METHODS.items():
        cfg = config(
            data,
            data / method,
            key['seed'],
            a.epochs,
            0.5,
            batch=min(50, (m.table['split'] == 'train').sum()),
            **settings,
        )
        if method == 'xid' and not table.has(**key, method='untrained'):
            table.add(dict(key, method='untrained'), measure(Network(new_model(cfg), cfg), noisy, packed))
        if not table.has(**key, method=method) or start is None:
            run = train(cfg, start)
        if start is None:
            start = first_stage(run)
        if not table.has(**key, method=method):
            table.add(dict(key, method=method), measure(Network.open(run), noisy, packed, run.bank))
    if not table.has(**key, method='baseline_loudness') and key['faulty']:
        rows = np.flatnonzero(noisy.table['split'] == 'train')
        loud = np.array([np.abs(packed.audio[k] / 32767.0).mean() for k in rows])
        table.add(
            dict(key, method='baseline_loudness'),
            dict(
                auroc_wrong_track=knows(
                    loud,
                    (noisy.table['faulty_kind'] == 'wrong_track').to_numpy()[rows],
                    noisy.table['path'].to_numpy(str)[rows],
                )
            ),
        )


def show(table):
    "Means over seeds; the interval is the mean one over files."
    t = (
        table.read()
        .groupby(['metric', 'split', 'faulty', 'method'], sort=False)[['value', 'low', 'high', 'n', 'files']]
        .mean()
    )
    print(
        t.round(3).to_string(),
        '\n\n'
        f'{table.read()["seed"].nunique()} training seeds (and splits). auroc_faulty_by_hand: what a person marked as '
        'unrelated, in about ten lopsided files; nothing is claimed from it.',
    )


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--folder', type=Path, default=Path('runs/real'))
    for name, n in (('seeds', 3), ('epochs', 20), ('files', 0)):
        p.add_argument(f'--{name}', type=int, default=n)
    a = p.parse_args()
    where = os.environ.get('AVNB_REAL_DATA')
    if not where or not Path(where, 'clips.csv').exists():
        sys.exit('real.py: set AVNB_REAL_DATA to a folder of recordings with clips/, clips.csv and boxes.csv')
    torch.set_num_threads(1)
    recordings = Path(where)
    about = sources(recordings)
    clean = windows(recordings, a.folder, a.files)
    m = Manifest.load(clean.folder / 'manifest.csv')
    name = m.table['path'].str.split('/').str[-1]
    m = Manifest(
        clean.folder,
        m.table.assign(
            label=about['coarse_class'].reindex(name).to_numpy(),
            by_hand=about['faulty_positive'].reindex(name).to_numpy(),
        ),
    )
    print(
        f'{len(m)} windows of {m.table["path"].nunique()} files from {about["source"].reindex(name).nunique()} sources',
        flush=True,
    )
    whole = (a.seeds, a.epochs, a.files) == (3, 20, 0)
    table = Table(RESULTS / 'robust_xid_real.csv' if whole else a.folder / 'rehearsal.csv', COLUMNS, COLUMNS[7:])
    plan = [
        dict(phase='confirm', classes=0, split=s, faulty=f, seed=k)
        for k in range(a.seeds)
        for s in ('file', 'source')
        for f in (0.0, 0.5)
    ]
    for key in progress(plan, total=len(plan), desc='real clips', unit='set'):
        group = m.table['path'] if key['split'] == 'file' else about['source'].reindex(name).to_numpy()
        if all(table.has(**key, method=x) for x in ('untrained', *METHODS)):
            continue
        one(table, clean, split_by(m, group, 0.3, key['seed']), key, a)
    show(table)


if __name__ == '__main__':
    try:
        main()
    except AvnbError as e:
        sys.exit(f'real.py: {e}')

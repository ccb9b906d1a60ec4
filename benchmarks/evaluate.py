"""What was learned, on clips with every answer known, on ESC-50's fourth fold and on real recordings: random init,
xID, Robust-xID, CMAC-R, both.

All four are trained here by this package and share their first half (plain xID); only then do weights, soft targets
and attention (consistency, within-modal negatives and the contrast of single cells, as in the demo) come in.
Everything is kept in --folder; a second call goes on where the first one stopped, and trains nothing again. One table
each, with chance, N and seeds:

    python benchmarks/evaluate.py                       # evaluate what is trained (minutes); train nothing, say what
    is not there python benchmarks/evaluate.py --train               # train what is missing first: about 40 minutes
    for the world, 20 for real recordings, on one core python benchmarks/evaluate.py --train --only world  # or esc50,
    or real (recordings: folder in $AVNB_REAL_DATA) python benchmarks/evaluate.py --quick               # a rehearsal
    in two minutes; its numbers mean nothing

One training seed and three untrained networks: enough to see what works, not to put methods in order. `error` is the
half-width of the 95 % interval over files. Below each table: seconds, and peak memory of this process (its largest
resident set, ru_maxrss)."""

import argparse
import csv
import os
import resource
import statistics
import time
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
RESULTS, RUNS = Path(__file__).parent / 'results', Path(__file__).parents[1] / 'runs'
STAGE2 = {
    'xid': [],
    'robust': ['weight.enabled=true', 'weight.start=0.5', 'soft.estimator=cycle', 'soft.start=0.5', 'soft.lam=0.25'],
}
STAGE2['both'] = ['cmac.contrast=R1', 'cmac.alpha=1.0', 'cmac.cell_contrast=0.5']
STAGE2['robust_both'] = STAGE2['robust'] + STAGE2['both']


def config(folder, manifest, packed, epochs, seed=0):
    "The demo's recipe with plain xID."
    from avnb.demo import demo_config

    return demo_config(
        folder,
        manifest,
        packed,
        seed,
        ['weight.enabled=false', 'cmac.contrast=R0', 'cmac.alpha=0', 'cmac.cell_contrast=0', f'optim.epochs={epochs}'],
    )


def train(folder, manifest, packed, epochs, quick):
    "method -> folder of its run; all go on from the checkpoint that xID wrote half way."
    from avnb.core import set_options
    from avnb.manifest import Manifest
    from avnb.training import fit, training_rows

    base = config(folder / 'xid', manifest, packed, epochs)
    half = epochs // 2 * (len(training_rows(base, Manifest.load(manifest))) // base.data.batch)
    middle = folder / 'xid' / 'checkpoints' / f'step-{half:08}.pt'
    for method, options in STAGE2.items():
        cfg = set_options(
            base,
            [
                f'run.folder="{folder / method}"',
                f'run.checkpoint_every={half}',
                'run.keep_checkpoints=9',
                *(['model.width=8'] * quick),
                *options,
            ],
        )
        fit(cfg, 'auto' if method == 'xid' else middle)
    return {method: folder / method for method in STAGE2}


def world(folder, quick):
    "A generated world, and the runs on it."
    from avnb.packed import pack
    from avnb.world import write_world

    there = folder / 'world' / 'manifest.csv'
    m = write_world(
        folder / 'world', 160 if quick else 3200, faulty=0.4, seed=0, test=0.25, preset='easy', workers=os.cpu_count()
    )
    pack(m, folder / 'packed', 2.0, 8.0, 64, 16000, os.cpu_count())
    return there, train(folder, there, folder / 'packed', 2 if quick else 26, quick)


def real(folder, clips, quick):
    "Real recordings cut into windows of two seconds, a third of the files held out, and the runs on the others."
    from avnb.index import index_folder
    from avnb.manifest import split_by_file
    from avnb.packed import pack

    there, take = folder / 'windows.csv', dict(include=['*dog*', '*drum*']) if quick else {}
    m = split_by_file(
        index_folder(clips, folder / 'files.csv', 2.0, 1.0, os.cpu_count(), overwrite=True, **take), test=0.35, seed=0
    )
    m.save(there, overwrite=True)
    pack(m, folder / 'packed', 2.0, 8.0, 64, 16000, os.cpu_count())
    return there, train(folder, there, folder / 'packed', 2 if quick else 50, quick)


COLUMNS = [
    'phase',
    'dataset',
    'protocol',
    'trained_on',
    'method',
    'seed',
    'metric',
    'value',
    'error',
    'chance',
    'n',
    'test_clips',
    'note',
]


class Table:
    "Tidy rows, printed as they come."

    def __init__(self, dataset, note=''):
        self.dataset, self.note, self.rows, self.seen, self.start = dataset, note, [], set(), time.time()
        self.test = {}  # protocol -> 'N of N in the list'

    def add(self, protocol, trained_on, method, seed, metric, value, error, chance, n):
        "One row; a baseline that was there before is not repeated."
        key = (protocol, trained_on, method, seed, metric)
        if key in self.seen:
            return
        self.seen.add(key)
        self.rows.append(
            [
                'dev',
                self.dataset,
                *key,
                round(value, 4),
                '' if error == '' else round(error, 4),
                round(chance, 4),
                n,
                self.test.get(protocol, ''),
                self.note,
            ]
        )

    def scores(self, protocol, trained_on, method, seed, scores):
        "Rows of a method, and of what stands beside it."
        for metric, s in scores.items():
            self.add(protocol, trained_on, method, seed, metric, s.value, s.error, s.chance, s.n)
            for k, v in s.baselines.items():
                if k == 'untrained' and metric == 'auroc_wrong_track':
                    self.add(protocol, trained_on, k, 0, metric, v, '', s.chance, s.n)  # it has no bank of its own
                if k != 'untrained':
                    self.add(
                        protocol,
                        trained_on,
                        f'baseline_{k}' if k in PLAIN else f'{method}_{k}',
                        0 if k in PLAIN else seed,
                        metric,
                        v,
                        '',
                        s.chance,
                        s.n,
                    )

    def print(self):
        "Metric by method, beside chance, untrained networks (mean and spread over seeds) and the best baseline."
        print(
            f'\n{self.dataset:22}{"trained on":11}{"chance":>7}  {"untrained (sd)":15}'
            + ''.join(f'{m:14}' for m in METHODS[1:])
            + f'{"best baseline":30}{"N":>5}'
        )
        for key in dict.fromkeys((r[2], r[3], r[6]) for r in self.rows):
            rows = [r for r in self.rows if (r[2], r[3], r[6]) == key]
            of = lambda m: [r for r in rows if r[4] == m]
            fresh = [r[7] for r in of('untrained')]
            base = max((r for r in rows if r[4].startswith('baseline')), key=lambda r: r[7], default=None)
            told = ''.join(
                f'{of(m)[0][7]:.2f} ± {of(m)[0][8]:.2f}'.ljust(14) if of(m) else ' ' * 14 for m in METHODS[1:]
            )
            print(
                f'{key[2]:22.21}{key[1]:11}{rows[0][9]:7.3f}  '
                + (f'{statistics.mean(fresh):.2f} ({statistics.pstdev(fresh):.2f})' if fresh else '').ljust(15)
                + told
                + (f'{base[4][9:]} {base[7]:.2f}' if base else '').ljust(30)
                + f'{rows[0][10]:5}'
            )

    def save(self, quick):
        "Write results/evaluate_NAME.csv; a rehearsal is only printed."
        self.print()
        seconds, peak = time.time() - self.start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f'{seconds:.0f} s, peak memory {peak:.2f} GB')
        for what, x in (('seconds', seconds), ('peak_gb', peak)):
            self.rows.append(['dev', self.dataset, 'cost', '', '', 0, what, round(x, 2), '', '', '', '', self.note])
        if quick:
            return
        RESULTS.mkdir(exist_ok=True)
        with open(RESULTS / f'evaluate_{self.dataset}.csv', 'w', newline='') as f:
            w = csv.writer(f, lineterminator='\n')
            w.writerow(COLUMNS)
            w.writerows(self.rows)


METHODS = ['untrained', 'xid', 'robust', 'both', 'robust_both']
PLAIN = {
    'colour',
    'motion_colour',
    'spectrum',
    'loudness',
    'motion_loudness',
    'majority',
    'whole',
    'centre',
    'random',
    'energy',
    'frame_difference',
    'loudest_band',
    'changing_band',
    'fixed_band',
}


def networks(manifest, packed, runs, seeds=3):
    "(method, seed) -> Network: the trained ones, and untrained ones with settled batch norms."
    from avnb.features import window_batches
    from avnb.network import Network

    nets = {(m, 0): Network.open(f) for m, f in runs.items()}
    plain = nets['xid', 0]
    few = list(window_batches(manifest.take(manifest.rows[:200]), plain.cfg, packed, 1)[0])
    return nets | {('untrained', k): plain.untrained(k, few) for k in range(seeds)}


def questions(table, name, manifest, packed, runs, one=None, windows=2):
    "Everything a report asks of embeddings, for all networks in one pass over the clips; returns the networks."
    import numpy as np

    from avnb.features import compute_features, even_windows, readable
    from avnb.protocols import evaluation_parts, report_scores

    side = lambda m: int((m.table['split'] == 'test').sum())
    listed, manifest = manifest, readable(manifest, packed)
    table.test['report'] = f'{side(manifest)} of {side(listed)} in the list'
    nets = networks(manifest, packed, runs)
    cfg, parts = nets['xid', 0].cfg, evaluation_parts(manifest, one)
    clips = manifest.take(np.unique(np.concatenate(list(parts.values()))))
    named = {f'{method}{seed}': net for (method, seed), net in nets.items()}
    feats = compute_features(named, even_windows(clips, cfg, packed, windows), workers=cfg.data.workers)
    for (method, seed), net in nets.items():
        mine = dict(trained=feats[f'{method}{seed}'], untrained0=feats['untrained0'], trivial=feats['trivial'])
        scores, skipped = report_scores(mine, clips, parts, net.run.bank if net.run else None)
        table.scores('report', name, method, seed, scores)
    return nets


def on_world(folder, there, runs, quick):
    "The world: probes, retrieval, noise, pointing and frequencies."
    from avnb.localization import localization_scores
    from avnb.manifest import Manifest
    from avnb.packed import PackedSet
    from avnb.truth import one_source, read_truth

    table, manifest, packed = Table('world'), Manifest.load(there), PackedSet.load(folder / 'world' / 'packed')
    truth = read_truth(manifest.folder)
    for (method, seed), net in questions(table, 'world', manifest, packed, runs, one_source(truth)).items():
        table.scores('report', 'world', method, seed, localization_scores(net, manifest, truth, packed))
    table.save(quick)


def labels_of(manifest, boxes):
    """Windows get the coarse class of their file, and files in which the sound has nothing to do with the picture are
    marked."""
    import pandas as pd

    b = pd.read_csv(boxes, dtype=str, keep_default_na=False).drop_duplicates('file').set_index('file')
    key = ['clips/' + p.split('/')[-1] for p in manifest.table['path']]
    t = manifest.table.assign(
        label=[b['coarse_class'].get(k, '') for k in key],
        faulty_kind=['unrelated' if b['faulty_positive'].get(k) == 'yes' else '' for k in key],
    )
    return type(manifest)(manifest.folder, t)


def on_real(folder, recordings, there, runs, quick):
    "Real clips: held-out files, classes and boxes drawn by hand."
    from avnb.datasets import from_csv
    from avnb.evaluate import prepare_task
    from avnb.manifest import Manifest
    from avnb.packed import PackedSet
    from avnb.protocols import EvalConfig
    from avnb.published_boxes import localization_protocol

    table, packed = Table('real'), PackedSet.load(folder / 'real' / 'packed')
    manifest = labels_of(Manifest.load(there), recordings / 'boxes.csv')
    nets = questions(table, 'real', manifest, packed, runs, windows=1)
    boxed = from_csv(recordings / 'boxes.csv')
    held = {p.split('/')[-1] for p in manifest.table['path'][manifest.table['split'] == 'test']}
    t = boxed.table
    keep = t['path'].map(lambda p: p.split('/')[-1] in held) & (t['faulty_positive'] != 'yes') & (t['boxes'] != '[]')
    for (method, seed), net in nets.items():
        s = prepare_task('both', net, boxed.take(keep.to_numpy()), EvalConfig(seeds=0), sides=False)
        table.test['localization'] = s.about['test clips']
        table.scores('localization', 'real', method, seed, localization_protocol(s))
    table.save(quick)


def on_esc50(folder, recordings, runs, quick):
    """ESC-50's fourth fold, split by recording (not the published protocol): SVM and neighbours on audio features of
    networks trained on either set."""
    from avnb.datasets import from_esc50
    from avnb.evaluate import prepare_task
    from avnb.network import Network
    from avnb.protocols import EvalConfig, audio_score

    manifest = from_esc50(recordings / 'esc50', fold=None)
    said = manifest.table['protocol'].iloc[0]
    print(said)
    table = Table('esc50', said)  # '...: not the published protocol, too few to order methods by'
    for where, trained in runs.items():
        for method, run in trained.items():
            s = prepare_task(
                'audio',
                Network.open(run),
                manifest,
                EvalConfig(windows=2 if quick else 10, seeds=3, cache=str(folder / 'cache')),
            )
            feats, table.test['audio'] = s.features('audio'), s.about['test clips']
            for name, f in feats.items():
                if name == 'trivial' or (name != 'trained' and method != 'xid'):
                    continue
                for kind in ('svm', 'knn'):
                    table.scores(
                        'audio',
                        where,
                        method if name == 'trained' else 'untrained',
                        0 if name == 'trained' else int(name[9:]),
                        {kind: audio_score(s, f, 'audio_pooled', kind)},
                    )
            for kind in ('svm', 'knn') if method == 'xid' else ():
                for key in ('spectrum', 'loudness'):
                    table.scores(
                        'audio', where, f'baseline_{key}', 0, {kind: audio_score(s, feats['trivial'], key, kind)}
                    )
    table.save(quick)


def trained(folder):
    """Whether the last of the runs has come to its end (only then, and half way through the first, is something
    written)."""
    return any((folder / 'robust_both' / 'checkpoints').glob('*.pt'))


def plan(names, folder, a) -> bool:
    "Say what will be done, where, and how long it takes; whether there is anything to do."
    missing = [k for k in names if not trained(folder / k)]
    print(f'networks and features in {os.path.relpath(folder)}; tables to {os.path.relpath(RESULTS)}/evaluate_*.csv')
    if not a.real:
        print(
            'no real recordings: set AVNB_REAL_DATA to their folder, or say --real FOLDER; esc50 and real are left out'
        )
    for k in names:
        print(
            f'  {k}: '
            + (
                'trained; evaluation takes about 5 minutes on one core'
                if k not in missing
                else f'not trained; {MINUTES[k]} minutes on one core, once'
            )
        )
    if missing and not (a.train or a.quick):
        print(
            'Nothing is trained unasked: python benchmarks/evaluate.py '
            f'--train{f" --only {a.only}" if a.only else ""}. The tables of an earlier run lie in '
            f'{os.path.relpath(RESULTS)}.'
        )
    return not missing or a.train or a.quick


MINUTES = dict(world=40, real=20)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--train', action='store_true', help='train what is not trained yet')
    p.add_argument('--only', choices=['world', 'esc50', 'real'], help='one table')
    p.add_argument('--folder', help='worlds, runs and features (default: runs/evaluate in this repository)')
    p.add_argument(
        '--real',
        default=os.environ.get('AVNB_REAL_DATA'),
        help='real recordings: clips/, boxes.csv, esc50/ (default: $AVNB_REAL_DATA)',
    )
    p.add_argument('--quick', action='store_true', help='a rehearsal in two minutes; its numbers mean nothing')
    a = p.parse_args()
    folder = Path(a.folder or RUNS / ('evaluate-quick' if a.quick else 'evaluate'))
    names = [k for k in ('world', 'real') if a.only in (None, 'esc50', k) and (k == 'world' or a.real)]
    if not names or (a.only == 'esc50' and not a.real):
        p.error(f'--only {a.only} needs real recordings: --real FOLDER, or AVNB_REAL_DATA')
    if not plan(names, folder, a):
        return
    made = {
        k: world(folder / k, a.quick) if k == 'world' else real(folder / k, Path(a.real, 'clips'), a.quick)
        for k in names
    }
    if a.only in (None, 'world'):
        on_world(folder, *made['world'], a.quick)
    if a.only in (None, 'real') and a.real:
        on_real(folder, Path(a.real), *made['real'], a.quick)
    if a.only in (None, 'esc50') and a.real:
        on_esc50(folder, Path(a.real), {k: runs for k, (_, runs) in made.items()}, a.quick)


if __name__ == '__main__':
    main()

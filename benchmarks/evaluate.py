"""What was learned, on clips with every answer known, on ESC-50's fourth fold and on real recordings: random init, xID, Robust-xID, Robust-xID + CMAC-R.

All three are trained here by this package and share their first half (plain xID); only then do weights, soft targets and attention consistency come in.
Everything is kept in --folder and a second call goes on where the first one stopped. On one core: about half an hour of training, then minutes.

    python benchmarks/evaluate.py                       # real recordings: folder in $AVNB_REAL_DATA (without it: the world alone)
    python benchmarks/evaluate.py --quick               # a rehearsal in two minutes; its numbers mean nothing

One training seed: enough to see what works, not to put methods in order. Every row has chance and its number of clips beside it.
"""
import argparse, csv, os, resource, sys, tempfile, time
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
RESULTS = Path(__file__).parent / 'results'
STAGE2 = {'xid': [], 'robust': ['weight.on=true', 'weight.start=0.5', 'soft.estimator=cycle', 'soft.start=0.5', 'soft.lam=0.25']}
STAGE2['robust_both'] = STAGE2['robust'] + ['cmac.alpha=1.0']


def config(folder, manifest, packed, epochs, seed=0):
    "The demo's recipe with plain xID."
    from avnb.cli import demo_config
    return demo_config(folder, manifest, packed, seed, ['weight.on=false', f'optim.epochs={epochs}'])


def train(folder, manifest, packed, epochs, quick):
    "method -> folder of its run; all go on from the checkpoint that xID wrote half way."
    from avnb.core import set_options
    from avnb.manifest import Manifest
    from avnb.training import fit, training_rows
    base = config(folder / 'xid', manifest, packed, epochs)
    half = epochs // 2 * (len(training_rows(base, Manifest.load(manifest))) // base.data.batch)
    middle = folder / 'xid' / 'checkpoints' / f'step-{half:08}.pt'
    for method, options in STAGE2.items():
        cfg = set_options(base, [f'run.folder="{folder / method}"', f'run.checkpoint_every={half}', 'run.keep=9', *(['model.width=8'] * quick), *options])
        fit(cfg, 'auto' if method == 'xid' else middle)
    return {method: folder / method for method in STAGE2}


def world(folder, quick):
    "A generated world, and the three runs on it."
    from avnb.clips import pack
    from avnb.world import write_world
    there = folder / 'world' / 'manifest.csv'
    m = write_world(folder / 'world', 160 if quick else 3200, faulty=0.4, seed=0, test=0.25, preset='easy', workers=os.cpu_count())
    pack(m, folder / 'packed', 2.0, 8.0, 64, 16000, os.cpu_count())
    return there, train(folder, there, folder / 'packed', 2 if quick else 26, quick)


def real(folder, clips, quick):
    "Real recordings cut into windows of two seconds, a third of the files held out, and the three runs on the others."
    from avnb.clips import pack
    from avnb.manifest import index_folder, split_by_file
    there, take = folder / 'windows.csv', dict(include=['*dog*', '*drum*']) if quick else {}
    m = split_by_file(index_folder(clips, folder / 'files.csv', 2.0, 1.0, os.cpu_count(), overwrite=True, **take), test=0.35, seed=0)
    m.save(there, overwrite=True)
    pack(m, folder / 'packed', 2.0, 8.0, 64, 16000, os.cpu_count())
    return there, train(folder, there, folder / 'packed', 2 if quick else 50, quick)

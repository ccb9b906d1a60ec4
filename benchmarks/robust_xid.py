"""Do weights and soft targets do what they are for? Runs on generated worlds, paired: the same world, start and first stage.

    python benchmarks/robust_xid.py                     the tables, from results/robust_xid.csv
    python benchmarks/robust_xid.py --run --phase dev --shard 0/2 --folder runs/study     one of two processes (one core each)
    python benchmarks/robust_xid.py --list              what is to do, and what is done

Every run is noted once; what is there is skipped, so that a stopped study goes on. Delete nothing: rows of `dev` are the tuning, all that was
tried; claims read `confirm` alone, whose worlds and seeds were never looked at before. A group of runs is one world: the plain xID run is
stage 1 and the control of the same length; the others start from its checkpoint at the switch."""
import argparse, shutil, time
from pathlib import Path

import numpy as np
import torch

from study import RESULTS, Set, Table, batches_of, config, first_stage, knowing, measure, paired, train, write_packed_world
from avnb import training
from avnb.core import replace
from avnb.evaluation import auroc, untrained
from avnb.nce import oracle_weights, shuffle_weights
from avnb.training import Objective

TABLE = Table(RESULTS / 'robust_xid.csv')
HEADLINE = 'pointing_guided'                            # named before the confirming runs
TRAIN, TEST, EPOCHS, SWITCH = 1000, 2000, 60, .25       # clips, clips, passes over them, share of them that is stage 1
DEV, CONFIRM = range(100, 103), range(200, 210)
DOSES = (.25, .5)


# -- those who know, and other people's losses: weights and targets that are no setting of the package --------------------

def knows(w_min=0.0):
    "Weights of one who knows which pairs are faulty."
    class Oracle(Objective):
        data = None
        def weights(self, index, step): return oracle_weights(self.data[index], w_min).float()
    return Oracle


class Shuffled(Objective):
    "The same weights on other clips."
    def weights(self, index, step): return shuffle_weights(super().weights(index, step), self.cfg.run.seed, step)


METHODS = dict(
    weighted=dict(weight=dict(on=True, start=0.0)),
    shuffled_weights=dict(weight=dict(on=True, start=0.0), cls=Shuffled),
    oracle_w01=dict(cls=knows(0.0)), oracle_wmin=dict(cls=knows(0.25)),
    robust=dict(weight=dict(on=True, start=0.0), soft=dict(estimator='cycle', start=0.0)),
    **{f'soft_{e}': dict(soft=dict(estimator=e, start=0.0)) for e in ('bootstrap', 'swapped', 'neighbor', 'cycle')})


def variant(name: str) -> dict:
    "'weighted:weight.delta=0.25,weight.kappa=0.1' -> the method with these settings."
    base, _, more = name.partition(':'); spec = {k: dict(v) if isinstance(v, dict) else v for k, v in METHODS[base].items()}
    for item in filter(None, more.split(',')):
        (group, key), value = item.partition('=')[0].split('.'), item.partition('=')[2]
        spec.setdefault(group, {})[key] = float(value) if value.replace('.', '').replace('-', '').isdigit() else {'True': True, 'False': False}.get(value, value)
    return spec


def groups(phase):
    "(faulty, seed, methods) of each world of a phase; what was tried on development seeds stays listed."
    if phase == 'confirm':
        main, one = ['weighted', 'robust', 'oracle_w01'], ['shuffled_weights', 'oracle_wmin', 'soft_cycle']
        return [(f, s, main + (one if f == .5 else [])) for s in CONFIRM for f in DOSES] + [(0.0, s, ['weighted', 'robust']) for s in CONFIRM]
    tried = ['weighted'] + [f'weighted:weight.{k}={v}' for k, vs in dict(delta=(-.5, .25, .5), kappa=(.1, 1.0), w_min=(0.0, .1)).items() for v in vs]
    return [(f, s, ['oracle_w01', 'weighted'] + (tried[1:] if f == .5 else [])) for s in DEV for f in (.5, .25, 0.0)]


# -- running -------------------------------------------------------------------------------------------------------------

def run_group(phase, faulty, seed, methods, folder):
    "All runs of one world that are not in the table yet."
    key = lambda m: dict(phase=phase, faulty=faulty, classes=12, method=m, seed=seed)
    todo = [m for m in methods if not TABLE.has(**key(m))]
    if not todo and TABLE.has(**key('xid')): return
    place = Path(folder, f'{phase}-{faulty}-{seed}'); start = time.time()
    data = Set(write_packed_world(place / 'world', seed, faulty, TRAIN, TEST))
    cfg = config(data.folder, place / 'xid', seed, EPOCHS, SWITCH)
    plain = train(cfg)
    if not TABLE.has(**key('xid')): note_xid(key, plain, data)
    for m in todo:
        spec = dict(variant(m)); cls = spec.pop('cls', None)
        if cls is not None and hasattr(cls, 'data'): cls.data = torch.from_numpy(data.faulty)
        run = train(replace(cfg, dict(run=dict(folder=str(place / 'branch')), **spec)), first_stage(plain), cls)
        TABLE.add(key(m), measure(run.model, run.bank, run.cfg, data)[0]); shutil.rmtree(place / 'branch')
        print(f'{time.strftime("%H:%M")}  {phase} {faulty:.0%} seed {seed}  {m}', flush=True)
    shutil.rmtree(place); print(f'{time.strftime("%H:%M")}  {phase} {faulty:.0%} seed {seed}: {len(todo) + 1} runs, {time.time() - start:.0f} s', flush=True)


def note_xid(key, run, data):
    "Plain xID, an untrained net, and what needs no learning, on one world."
    scores, report = measure(run.model, run.bank, run.cfg, data)
    state = training.read_checkpoint(first_stage(run))['bank']
    early = type(run.bank)(len(run.bank.video), run.cfg.model.dim); early.load_state_dict(state)
    TABLE.add(key('xid'), scores | {f'{k}_at_switch': v for k, v in knowing(early, data).items()})
    few, views, _ = batches_of(data, np.flatnonzero(data.split == 'train')[:200], run.cfg, 1)
    twin = untrained(run.cfg, list(few), views)
    TABLE.add(key('untrained'), measure(twin, None, run.cfg, data, located=300)[0])
    for name in ('centre', 'random', 'whole', 'energy', 'frame_difference'):
        TABLE.add(key(f'baseline_{name}'), {'pointing_guided': (report['pointing_guided'].baselines[name], report['pointing_guided'].n)})
    wrong = data.kind == 'wrong_track'
    if wrong.any():
        p = float((data.heard == data.classes)[wrong].mean())
        TABLE.add(key('ceiling'), dict(auroc_wrong_track=(1 - p / 2, int(wrong.sum()))))
        TABLE.add(key('baseline_hearing'), dict(auroc_faulty=(hearing(data), int((data.split == 'train').sum()))))


def hearing(data) -> float:
    "AUROC of a supervised detector of faulty pairs that only hears: a linear one on the mean log spectrum, cross-validated."
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from avnb.views import log_mel
    rows = np.flatnonzero((data.split == 'train') & np.isin(data.kind, ('none', 'wrong_track', 'off_screen')))
    x = np.concatenate([log_mel(torch.from_numpy(data.packed.audio[r].astype(np.float32) / 32767), 16000, 512, 320, 48).mean(1).numpy() for r in np.array_split(rows, len(rows) // 50)])
    p = cross_val_predict(make_pipeline(StandardScaler(), LogisticRegression(C=.1, max_iter=500)), x, data.faulty[rows], cv=5, method='predict_proba')[:, 1]
    return float(auroc(p, data.faulty[rows]).value)


# -- telling -------------------------------------------------------------------------------------------------------------

SHOWN = ('linear_video', 'linear_audio', 'retrieval_class_v2a_r1', 'retrieval_class_a2v_r1', 'pointing_guided', 'frequency_hit_guided', 'auroc_wrong_track')


def tell(phase):
    "Means over seeds, and paired differences to xID with 95 % intervals."
    t = TABLE.read(); t = t[t.phase == phase]
    if not len(t): print(f'{phase}: nothing yet; python benchmarks/robust_xid.py --run --phase {phase}'); return
    for f, part in t.groupby('faulty'):
        print(f"\n{phase}, {f:.0%} of the training pairs faulty; {TRAIN} training clips, {EPOCHS} epochs, {part.n[part.metric == 'linear_video'].max():.0f} test clips with one source")
        print(f"{'':42}" + ''.join(f'{m.removeprefix("retrieval_"):>22}' for m in SHOWN))
        for m in part.method.unique():
            line = ''
            for k in SHOWN:
                x = part[(part.method == m) & (part.metric == k)].value
                d, h, n = paired(part, k, m, 'xid') if m not in ('xid', 'ceiling', 'untrained') and not m.startswith('baseline') else (0, 0, 0)
                line += f"{'' if not len(x) else f'{x.mean():.3f}' + (f' {d:+.3f}±{h:.3f}' if n > 1 else f' {d:+.3f}' if n else ''):>22}"
            print(f'{m:38} {part[part.method == m].seed.nunique():3}' + line)


if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--run', action='store_true'); p.add_argument('--list', action='store_true'); p.add_argument('--phase', choices=['dev', 'confirm'], default='dev')
    p.add_argument('--shard', default='0/1', help='which of how many processes, e.g. 0/2'); p.add_argument('--folder', default='runs/study', help='for worlds and checkpoints, deleted when a world is done')
    a = p.parse_args(); i, n = map(int, a.shard.split('/'))
    if a.list:
        for f, s, ms in groups(a.phase): print(f'{f:.0%} seed {s}: ' + ', '.join(m + ('' if TABLE.has(phase=a.phase, faulty=f, seed=s, method=m) else ' (to do)') for m in ['xid', *ms]))
    elif a.run:
        for f, s, ms in groups(a.phase)[i::n]: run_group(a.phase, f, s, ms, a.folder)
    else:
        for phase in ('dev', 'confirm'): tell(phase)

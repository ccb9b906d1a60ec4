"""Time and peak memory of one training step of the loss against a large bank: dense, chunked, and K = 1024 gathered
rows, side by side.

Every condition runs in a process of its own; memory is what the step adds above the two banks and the queries (forward
and backward). Claim: the exact full bank (N = 240,000, B = 256, D = 128) costs less than 600 MB above the banks on a
CPU.

    python benchmarks/nce.py                        # about two minutes on one core; dense needs about 2 GB
    python benchmarks/nce.py --device cuda --n 2000000 --methods chunked sampled
"""

import argparse
import csv
import json
import subprocess
import sys
import time
from pathlib import Path

COLUMNS = ['device', 'bank', 'batch', 'dim', 'targets', 'method', 'seed', 'metric', 'value', 'n']


def peak_reset():
    "Forget the high-water mark of this process's memory (Linux); False where that cannot be done."
    try:
        Path('/proc/self/clear_refs').write_text('5')
    except OSError:
        return False
    return True


def memory(what):
    "Resident memory of this process in MB: 'VmRSS' now, 'VmHWM' at most."
    return next(
        int(l.split()[1]) / 1024 for l in Path('/proc/self/status').read_text().splitlines() if l.startswith(what)
    )


def one(c):
    "Measure one condition; returns metric -> value."
    import torch
    import torch.nn.functional as F

    from avnb.nce import mix_targets, sample_candidates, soft_targets, xid_loss, xid_loss_chunked

    if c['threads']:
        torch.set_num_threads(c['threads'])
    dev, cuda, g = c['device'], c['device'].startswith('cuda'), torch.Generator().manual_seed(c['seed'])
    unit = lambda n: F.normalize(torch.randn(n, c['dim'], generator=g), dim=-1, out=torch.empty(n, c['dim'])).to(dev)
    v_bar = unit(c['bank'])
    a_bar = F.normalize(unit(c['bank']).add_(v_bar), dim=-1)  # pairs that agree to about 0.7
    index = torch.randperm(c['bank'], generator=g)[: c['batch']].to(dev)
    v, a = (F.normalize(x[index] + 0.5 * unit(c['batch']), dim=-1).requires_grad_() for x in (v_bar, a_bar))
    kw, est = dict(validate=False), c['targets'] if c['targets'] != 'one-hot' else None

    def step(n=None, method=c['method']):
        keys, own = (v_bar[:n], a_bar[:n]), index if n is None else index % n
        if method == 'chunked':
            loss = xid_loss_chunked(v, a, *keys, own, estimator=est, lam=0.5 if est else 0.0, chunk=c['chunk'], **kw)
        else:
            if method == 'sampled':
                rows = sample_candidates(len(keys[0]), own, min(c['k'], len(keys[0]) - 1), c['seed'], 0)
                keys, own = (keys[0][rows], keys[1][rows]), torch.zeros_like(own)
            T = mix_targets(soft_targets(est, v, a, *keys, own, **kw), own, 0.5, **kw) if est else None
            loss = xid_loss(v, a, *keys, own, targets=T, **kw)
        grads = torch.autograd.grad(loss, (v, a))
        if cuda:
            torch.cuda.synchronize()
        return loss.item(), sum(float(x.norm()) for x in grads)

    step(2000)  # load what is loaded once
    times = []
    for _ in range(c['repeats']):
        if cuda:
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated() / 2**20
        else:
            fresh, before = peak_reset(), memory('VmRSS')
        t = time.perf_counter()
        loss, grad = step()
        times.append(time.perf_counter() - t)
        if len(times) == 1:  # a later one may find memory that was not given back
            peak = (
                torch.cuda.max_memory_allocated() / 2**20 - before
                if cuda
                else memory('VmHWM') - before
                if fresh
                else float('nan')
            )
    return dict(seconds=min(times), peak_mb_above_banks=peak, loss=loss, gradient_norm=grad)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--n', type=int, nargs='+', default=[240_000], metavar='N', help='rows of the bank')
    p.add_argument('--batch', type=int, default=256)
    p.add_argument('--dim', type=int, default=128)
    p.add_argument('--k', type=int, default=1024, help='gathered rows per query')
    p.add_argument('--chunk', type=int, default=8192)
    p.add_argument(
        '--methods', nargs='+', default=['chunked', 'dense', 'sampled'], choices=['chunked', 'dense', 'sampled']
    )
    p.add_argument(
        '--targets', nargs='+', default=['one-hot', 'cycle'], help="'one-hot' or an estimator of soft_targets"
    )
    p.add_argument('--device', default='cpu')
    p.add_argument('--threads', type=int, default=1, help='CPU threads; 0: as torch likes')
    p.add_argument('--repeats', type=int, default=2)
    p.add_argument('--seed', type=int, default=0)
    p.add_argument('--out', default=str(Path(__file__).parent / 'results' / 'nce.csv'))
    p.add_argument('--one', help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.one:
        return print(json.dumps(one(json.loads(a.one))))
    rows = []
    print(f'{"bank":>9} {"targets":10} {"method":8} {"seconds":>8} {"MB above banks":>15} {"loss":>10}')
    for n in a.n:
        for targets in a.targets:
            for method in a.methods:
                c = dict(
                    device=a.device,
                    bank=n,
                    batch=a.batch,
                    dim=a.dim,
                    targets=targets,
                    method=method,
                    seed=a.seed,
                    k=a.k,
                    chunk=a.chunk,
                    threads=a.threads,
                    repeats=a.repeats,
                )
                done = subprocess.run(
                    [sys.executable, __file__, '--one', json.dumps(c)], capture_output=True, text=True
                )
                if done.returncode:
                    why = (done.stderr.strip().splitlines() or ['killed, probably out of memory'])[-1]
                    print(f'{n:>9,} {targets:10} {method:8} failed: {why[:90]}')
                    continue
                got = json.loads(done.stdout)
                seconds, mb, loss, _ = got.values()
                print(f'{n:>9,} {targets:10} {method:8} {seconds:8.2f} {mb:15.0f} {loss:10.5f}', flush=True)
                rows += [
                    {**{k: c[k] for k in COLUMNS if k in c}, 'metric': m, 'value': f'{x:.6g}', 'n': a.repeats}
                    for m, x in got.items()
                ]
    out = Path(a.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with open(out, 'w', newline='') as f:
        w = csv.DictWriter(f, COLUMNS)
        w.writeheader()
        w.writerows(rows)
    print(f'wrote {out.name}: {len(rows)} rows')


if __name__ == '__main__':
    main()

"""One, two and four processes at the same global batch: how far apart are their losses, step by step? And with the
bank in parts?

python benchmarks/ranks.py               # about two minutes on two cores; the toy of tests/, 20 steps, gloo
"""

import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent
TOYS = HERE.parent / 'tests' / 'toys.py'
COLUMNS = ['processes', 'bank', 'dtype', 'step', 'method', 'seed', 'metric', 'value', 'n']


def losses(work, n, bank, dtype):
    "The loss of each of 20 steps."
    run = work / f'{n}-{bank}-{dtype}'
    runs = json.dumps(
        [[str(run), ['run.log_every=1', 'run.save_maps=0', f'xid.shard={str(bank == "parts").lower()}'], dtype]]
    )
    launch = ['-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', str(n)] if n > 1 else []
    subprocess.run(
        [sys.executable, *launch, TOYS, work / 'toy', runs],
        check=True,
        capture_output=True,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
    )
    return pd.read_csv(run / 'log.csv').loss


def main():
    sys.path.insert(0, str(TOYS.parent))
    from toys import toy_set

    rows = []
    with tempfile.TemporaryDirectory() as d:
        work = Path(d)
        toy_set(work / 'toy')
        for dtype in ('float64', 'float32'):
            one = losses(work, 1, 'whole', dtype)
            for n, bank in ((2, 'whole'), (4, 'whole'), (2, 'parts'), (4, 'parts')):
                off = (losses(work, n, bank, dtype) - one).abs()
                rows += [
                    [n, bank, dtype, k + 1, 'xid+weights+cycle+cmac', 0, 'loss_difference', f'{x:.3g}', 1]
                    for k, x in enumerate(off)
                ]
                print(
                    f'{dtype} {n} processes, {bank:5} bank: largest difference in steps 1 to 4 {off[:4].max():.1e}, '
                    f'to 12 {off[:12].max():.1e}, to 20 {off.max():.1e}',
                    flush=True,
                )
    out = HERE / 'results' / 'ranks.csv'
    out.parent.mkdir(exist_ok=True)
    with open(out, 'w', newline='') as f:
        w = csv.writer(f, lineterminator='\n')
        w.writerow(COLUMNS)
        w.writerows(rows)


if __name__ == '__main__':
    main()

"""Half an hour of training on real recordings, one in five of them odd or broken: does anything grow, hang, or go
unnoticed?

Checked: memory of the training process grows by at most 5 % after warm-up (the first fifth of the time), with and
without that of the reading processes; open files stay flat; no log line is a minute late (longer where other programs
want the cores too); every file that cannot be read, or has no sound, is in the ledger once, with a reason, and no
other file is. Prints a table, writes results/soak.csv, exits with 1 if a check failed.

    python benchmarks/soak.py                # 30 minutes; needs $AVNB_REAL_DATA (or ../shared/real)
    python benchmarks/soak.py --minutes 2    # a rehearsal
"""

import argparse
import csv
import faulthandler
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
REAL = Path(os.environ.get('AVNB_REAL_DATA') or HERE.parents[1] / 'shared' / 'real')
COLUMNS = ['minutes', 'clips', 'odd', 'bad', 'method', 'seed', 'metric', 'value', 'n']


def clip_length(path):
    "Seconds of picture, as an index would have it; NaN where the file does not open."
    from avnb.media import MediaError, probe

    try:
        return probe(path)['duration_s']
    except MediaError:
        return float('nan')


def mixed(folder, share=0.2):
    """A manifest that says how long files are, and nothing of what is wrong with them: all real clips with sound, and
    odd files, the broken ones first, until they are `share` of all."""
    from avnb.manifest import Manifest

    clips, odd = (
        pd.read_csv(REAL / 'clips.csv'),
        pd.read_csv(REAL / 'odd.csv').sort_values('expect', key=lambda x: x == 'read', kind='stable'),
    )
    clips = clips[clips.audio_codec.notna()]
    odd = odd[: round(len(clips) * share / (1 - share))]
    files = [*clips.file, *odd.file]
    for name in ('clips', 'odd'):
        (folder / name).symlink_to((REAL / name).resolve())
    known = [clip_length(REAL / f) for f in files]
    table = pd.DataFrame(
        dict(
            id=[Path(f).name for f in files],
            path=files,
            start_s=0.0,
            seconds=2.0,
            duration_s=known,
            split='train',
            label='',
            faulty_kind='',
            content_hash=files,
            audio_codec='not examined',
        )
    )
    Manifest(folder, table).save(folder / 'manifest.csv')
    return folder / 'manifest.csv', len(clips), len(odd), {Path(f).name for f in odd.file[odd.expect != 'read']}


def resident(pid):
    "Resident memory of a process, MB; 0 when it is gone."
    try:
        return next(
            int(l.split()[1]) / 1024
            for l in Path(f'/proc/{pid}/status').read_text().splitlines()
            if l.startswith('VmRSS')
        )
    except (OSError, StopIteration):
        return 0.0


class Watch:
    "A monitor: memory, open files and seconds at each log line; asks the run to stop when the time is over."

    def __init__(self, minutes):
        self.end, self.rows, self.start, self.share = time.time() + 60 * minutes, [], time.time(), 1.0

    def __call__(self, s):
        faulthandler.dump_traceback_later(900, exit=True)  # a hang ends with a traceback, not in silence
        if s.event != 'log':
            return
        self.share = max(self.share, os.getloadavg()[0] / os.cpu_count())  # programs to a core
        readers = [resident(p.pid) for p in multiprocessing.active_children()]
        self.rows.append(
            dict(
                seconds=time.time() - self.start,
                memory=resident(os.getpid()),
                readers=sum(readers),
                files=len(os.listdir('/proc/self/fd')),
                step=s.step,
                clips_per_s=s.row['clips_per_s'],
                wait=s.row['wait_percent'],
            )
        )
        if time.time() > self.end:
            os.kill(os.getpid(), signal.SIGTERM)


def growth(x, t):
    "Share by which the last fifth of the time lies above the second fifth (means)."
    fifth = np.minimum((5 * t / t.iloc[-1]).astype(int), 4)
    return float(x[fifth == 4].mean() / x[fifth == 1].mean() - 1)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--minutes', type=float, default=30)
    p.add_argument('--workers', type=int, default=2)
    p.add_argument('--out', default=HERE / 'results' / 'soak.csv', type=Path)
    a = p.parse_args()
    if not (REAL / 'odd.csv').exists():
        sys.exit(
            f'no real recordings in {REAL.name}: set AVNB_REAL_DATA to a folder with clips.csv, odd.csv, clips/ and '
            'odd/'
        )
    from avnb.core import TrainConfig, set_options
    from avnb.training import RunStopped, fit

    with tempfile.TemporaryDirectory() as d:
        manifest, clips, odd, bad = mixed(Path(d))
        cfg = set_options(
            TrainConfig(),
            [
                f'data.manifest="{manifest}"',
                f'run.folder="{d}/run"',
                'data.batch=16',
                f'data.workers={a.workers}',
                'data.max_unreadable=0.1',
                'optim.epochs=100000',
                'optim.schedule=constant',
                'optim.lr=1e-4',
                'run.log_every=4',
                'run.checkpoint_every=50',
                'weight.enabled=true',
            ],
        )
        watch = Watch(a.minutes)
        try:
            fit(cfg, monitors=[watch])
        except RunStopped as e:
            print(e)
        faulthandler.cancel_dump_traceback_later()
        ledger, t = pd.read_csv(f'{d}/run/ledger.csv'), pd.DataFrame(watch.rows)
    late = float(t.seconds.diff().max())
    value = dict(
        memory_growth=growth(t.memory, t.seconds),
        all_memory_growth=growth(t.memory + t.readers, t.seconds),
        open_files_growth=growth(t.files, t.seconds),
        longest_silence_s=late,
        bad_files=len(bad),
        in_ledger=len(ledger),
        ledger_missing=len(bad - set(ledger.id)),
        ledger_wrong=len(set(ledger.id) - bad),
        ledger_repeated=int(ledger.id.duplicated().sum()),
        without_reason=int(ledger.reason.isna().sum()),
        memory_mb=t.memory.iloc[-1],
        readers_mb=t.readers.mean(),
        open_files=t.files.iloc[-1],
        steps=t.step.iloc[-1],
        clips_per_s=t.clips_per_s.median(),
        programs_per_core=watch.share,
        wait_percent=t.wait.median(),
    )
    limit = dict(
        memory_growth=0.05,
        all_memory_growth=0.05,
        open_files_growth=0.05,
        longest_silence_s=60 * watch.share,
        ledger_missing=0,
        ledger_wrong=0,
        ledger_repeated=0,
        without_reason=0,
    )
    failed = [k for k, most in limit.items() if not value[k] <= most]
    print(
        f'\n{clips} clips and {odd} odd files ({len(bad)} of them cannot be used), {a.minutes:g} minutes, {a.workers} '
        'reading processes'
    )
    for k, x in value.items():
        print(
            f'  {k:22} {x:10.4g}   '
            f'{"" if k not in limit else f"at most {limit[k]:g}: " + ("TOO MUCH" if k in failed else "good")}'
        )
    print(ledger.to_string(index=False, max_colwidth=70))
    a.out.parent.mkdir(exist_ok=True)
    with open(a.out, 'w', newline='') as f:
        w = csv.writer(f, lineterminator='\n')
        w.writerow(COLUMNS)
        w.writerows(
            [f'{a.minutes:g}', clips, odd, len(bad), 'soak', 0, k, f'{x:.6g}', len(t)] for k, x in value.items()
        )
    return int(bool(failed))


if __name__ == '__main__':
    sys.exit(main())

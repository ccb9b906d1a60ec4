"What every test may use, and a report that always ends with what was skipped and why."

import os
from collections import Counter
from pathlib import Path

import pytest

os.environ.setdefault('GOMP_SPINCOUNT', '1000')  # as the avnb command does; before torch is loaded
REAL = Path(os.environ.get('AVNB_REAL_DATA') or Path(__file__).parents[2] / 'shared' / 'real')


@pytest.fixture(scope='session')
def real_data():
    "Folder of real recordings (`clips/`, `odd/`, `odd.csv`, ...): $AVNB_REAL_DATA or ../shared/real."
    if not REAL.is_dir():
        pytest.skip('no real recordings: set AVNB_REAL_DATA to their folder')
    return REAL


def pytest_configure(config):
    config.addinivalue_line(
        'markers', 'slow: takes minutes; `make test` leaves it out, `make test-slow` runs only these'
    )


def pytest_report_header(config):
    from importlib.metadata import version

    threads = os.environ.get('OMP_NUM_THREADS', f'{os.cpu_count()}, as the cores (OMP_NUM_THREADS changes it)')
    return (
        f'torch {version("torch")}, threads {threads}, real recordings '
        f'{"found" if REAL.is_dir() else "not found (set AVNB_REAL_DATA)"}'
    )


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter):
    skips = Counter(
        str(r.longrepr[2] if isinstance(r.longrepr, tuple) else r.longrepr).removeprefix('Skipped: ')
        for r in terminalreporter.stats.get('skipped', [])
    )
    terminalreporter.section(f'skipped: {sum(skips.values())}')
    for reason, n in skips.most_common():
        terminalreporter.write_line(f'{n:4}  {reason}')

"""A real JupyterLab in a real Chromium, for the explorers' tests, benchmarks and screenshots.

In a test module:

    from lab import browser, page, lab          # fixtures: Chromium (one per module), a fresh page, a running
    JupyterLab (one per session)

    def test_it(page, lab):
        lab.open(page, 'x.ipynb', ['print(1 + 1)'])      # cells, or a notebook of the repository: lab.open(page,
        'nbs/widgets/attention.ipynb') lab.run_all(page)                                # waits until every cell is
        done; an error in a cell fails, with its text attribute(page, '.avnb', 'data-frame', lambda v: int(v) == 23)

The Lab's root folder mirrors the repository (nbs/, data_samples/), with copies of the notebooks. Assert on DOM state
and on the numbers that widgets expose as data-* attributes, through `page.wait_for_function` or `attribute`; never on
sleeps. Without Chromium the tests are skipped and listed. With CI=true as root, or AVNB_BROWSER=install, it is
installed (apt-get)."""

import atexit
import functools
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
FLAGS = [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--autoplay-policy=no-user-gesture-required',
    '--force-color-profile=srgb',
]
SETTINGS = {
    '@jupyterlab/apputils-extension/notification': '{"fetchNews": "false", "checkForUpdates": false, '
    '"doNotDisturbMode": true}'
}
READY = """async () => { await window.jupyterapp.restored; const w = window.jupyterapp.shell.currentWidget;
    await w.context.ready; await w.sessionContext.ready; await w.sessionContext.session.kernel.info }"""
RUN_ALL = """async () => { const w = window.jupyterapp.shell.currentWidget; await window.jupyterapp.commands.execute('notebook:run-all-cells');
    const errors = []; for (const c of w.content.model.sharedModel.cells) for (const o of (c.outputs || []))
    if (o.output_type === 'error') errors.push(o.ename + ': ' + o.evalue + '\\n' + o.traceback.join('\\n')); return errors }"""


def may_install(env, root):
    "Whether Chromium may be installed: asked for, or as root in CI; nobody's machine changes unasked."
    return env.get('AVNB_BROWSER') == 'install' or bool(root and env.get('CI') == 'true')


def find_chromium():
    "Path of Chromium or Chrome, or None; installed first where that is wanted and can be done."

    def look():
        return os.environ.get('AVNB_CHROMIUM') or next(
            filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None
        )

    if not look() and may_install(os.environ, hasattr(os, 'geteuid') and os.geteuid() == 0) and shutil.which('apt-get'):
        for command in (['update'], ['install', '-y', '--no-install-recommends', 'chromium']):
            try:
                subprocess.run(['apt-get', '-qq', *command], check=False, stdout=subprocess.DEVNULL, timeout=600)
            except subprocess.TimeoutExpired:
                break
    return look()


def start_chromium(playwright):
    "A browser of an open `sync_playwright()`."
    path = find_chromium()
    if path is None:
        pytest.skip('no Chromium for the explorers: apt-get install chromium, or set AVNB_BROWSER=install')
    return playwright.chromium.launch(executable_path=path, args=FLAGS)


@pytest.fixture(scope='module')
def browser():
    """Chromium for the tests of a module; Playwright's event loop ends with it, so that notebooks can run in this
    process afterwards."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as p:
        b = start_chromium(p)
        yield b
        b.close()


@pytest.fixture
def page(browser):
    "A fresh page of 1280 x 800; `page.errors` collects what its scripts threw."
    with browser.new_context(viewport=dict(width=1280, height=800), accept_downloads=True) as context:
        yield new_page(context)


def new_page(context):
    "A page that remembers uncaught errors of its scripts in `errors`."
    page = context.new_page()
    page.errors = []
    page.set_default_timeout(90_000)
    page.on('pageerror', lambda e: page.errors.append(str(e)))
    return page


@pytest.fixture(scope='session')
def lab():
    return server()


@functools.cache
def server(app='jupyterlab'):
    "The one JupyterLab (or 'notebook': Notebook 7) of this process; it ends when the process does."
    lab = Lab(app)
    atexit.register(lab.close)
    return lab


class Lab:
    "A JupyterLab of this environment in a folder of its own; or a Notebook 7, which is made of the same parts."

    def __init__(self, app='jupyterlab'):
        self.app, self.folder = app, Path(tempfile.mkdtemp(prefix='avnb-lab-'))
        self.root = self.folder / 'root'
        (self.root / 'nbs').mkdir(parents=True)
        (self.root / 'data_samples').symlink_to(ROOT / 'data_samples')
        for name, text in SETTINGS.items():
            f = self.folder / 'settings' / f'{name}.jupyterlab-settings'
            f.parent.mkdir(parents=True, exist_ok=True)
            f.write_text(text)
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            self.port = s.getsockname()[1]
        self.token = secrets.token_hex(8)
        home = {
            k: str(self.folder / v)
            for k, v in dict(
                JUPYTER_CONFIG_DIR='config',
                JUPYTER_DATA_DIR='data',
                JUPYTER_RUNTIME_DIR='runtime',
                IPYTHONDIR='ipython',
                JUPYTERLAB_SETTINGS_DIR='settings',
                JUPYTERLAB_WORKSPACES_DIR='workspaces',
                XDG_CACHE_HOME='cache',
            ).items()
        }
        options = [
            '--no-browser',
            '--allow-root',
            '--ip=127.0.0.1',
            f'--port={self.port}',
            '--ServerApp.port_retries=0',
            f'--IdentityProvider.token={self.token}',
            f'--ServerApp.root_dir={self.root}',
            f'--{"LabApp" if app == "jupyterlab" else "JupyterNotebookApp"}.expose_app_in_browser=True',
            '--LabApp.extension_manager=readonly',
            '--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate',
            '--LabApp.news_url=None',
        ]
        with open(self.folder / 'lab.log', 'w') as log:
            self.process = subprocess.Popen(
                [sys.executable, '-m', app, *options],
                stdout=log,
                stderr=log,
                env={**os.environ, **home, 'IN_TEST': '1'},
            )
        self.wait_until_up()

    def wait_until_up(self, seconds=90):
        "Until the server answers."
        end = time.time() + seconds
        while time.time() < end and self.process.poll() is None:
            try:
                urllib.request.urlopen(f'http://127.0.0.1:{self.port}/api?token={self.token}', timeout=2)
                return
            except OSError:
                time.sleep(0.2)
        self.close()
        raise RuntimeError(f'JupyterLab did not start:\n{self.log()[-3000:]}')

    def log(self):
        return (self.folder / 'lab.log').read_text() if self.folder.exists() else ''

    def close(self):
        "End the server and its kernels, remove its folder."
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def write(self, name, cells=None, first=(), change=str):
        """A notebook in the Lab's folder: from `cells` (source strings), or a copy of the repository's `name` without
        outputs, each source through `change`; `first` cells before it."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nb = (
            nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
            if cells
            else nbformat.read(ROOT / name, 4)
        )
        nb.metadata['kernelspec'] = dict(name='python3', display_name='Python 3 (ipykernel)', language='python')
        nb.cells[:0] = [nbformat.v4.new_code_cell(c) for c in first]
        for c in nb.cells:
            c.update(dict(outputs=[], execution_count=None, source=change(c.source)) if c.cell_type == 'code' else {})
        nbformat.write(nb, path)
        return path

    def open(self, page, name, cells=None, first=(), change=str):
        """Write the notebook (see `write`) and open it with a fresh kernel, in the light theme whatever the test before
        has left."""
        path = self.write(name, cells, first, change)
        self.goto(page, name)
        self.theme(page, 'JupyterLab Light')
        return path

    def goto(self, page, name):
        "Open a notebook that is there already; its kernel goes on if it has one."
        place = f'lab/workspaces/w{secrets.token_hex(4)}/tree' if self.app == 'jupyterlab' else 'notebooks'
        page.goto(f'http://127.0.0.1:{self.port}/{place}/{name}?token={self.token}')
        page.wait_for_function(
            'window.jupyterapp && window.jupyterapp.shell.currentWidget?.content?.model', timeout=120_000
        )
        page.evaluate(READY)

    def run_all(self, page):
        "Run all cells and wait until they are done; raises with the traceback of a cell that failed."
        errors = page.evaluate(RUN_ALL)
        if errors:
            raise AssertionError('\n'.join(errors)[:4000])

    def run_cell(self, page, number):
        "Run one cell and wait until it is done."
        page.evaluate(
            """async n => { const w = window.jupyterapp.shell.currentWidget; w.content.activeCellIndex = n; await window.jupyterapp.commands.execute('notebook:run-cell') }""",
            number,
        )

    def theme(self, page, name='JupyterLab Dark'):
        "Change Lab's theme ('JupyterLab Light', 'JupyterLab Dark') and wait for it."
        page.evaluate('name => window.jupyterapp.commands.execute("apputils:change-theme", {theme: name})', name)
        page.wait_for_function(
            'light => document.body.dataset.jpThemeLight === light', arg=str('Dark' not in name).lower()
        )

    def kernel(self, page, action):
        "'restart', 'interrupt' or 'shutdown' of the current notebook's kernel, without a dialog."
        page.evaluate(
            'a => { const s = window.jupyterapp.shell.currentWidget.sessionContext; return a === "shutdown" ? '
            's.shutdown() : s.session.kernel[a]() }',
            action,
        )

    def save(self, page):
        "Save the current notebook; returns the bytes of its file. What widgets hold stays out of it."
        page.evaluate('window.jupyterapp.shell.currentWidget.context.save()')
        path = self.root / page.evaluate('window.jupyterapp.shell.currentWidget.context.path')
        assert 'widgets' not in nbformat.read(path, 4).metadata and 'vnd.jupyter.widget-view+json' in path.read_text()
        return path.stat().st_size


def attribute(page, selector, name, test=None, timeout=30_000):
    "The attribute of the first match, as soon as `test(value)` holds (it is there, when no test is given)."
    end = time.time() + timeout / 1000
    value = None
    while time.time() < end:
        found = page.locator(selector).first
        value = found.get_attribute(name) if found.count() else None
        if value is not None and (test is None or test(value)):
            return value
        page.wait_for_timeout(20)
    raise AssertionError(f'{selector} [{name}] stayed at {value!r}')

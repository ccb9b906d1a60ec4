// The player: media, maps and spectrogram under one clock, the sound's. Everything it needs is in `scene`; it never asks the kernel while it plays.
const VIEW = {
  layer: 'guided',
  band: 'guided',
  opacity: 0.75,
  colour: 'inferno',
  per: 'clip',
  contours: false,
  truth: true,
  speed: 1,
  loop: true,
  from: null,
  to: null,
  hear: 0,
  volume: 1
};

const ICONS = {
  play: 'M8 5v14l11-7z',
  pause: 'M6 5h4v14H6zm8 0h4v14h-4z',
  back: 'M7 5h2v14H7zm12 0v14l-9-7z',
  on: 'M15 5h2v14h-2zM5 5v14l9-7z'
};
function icon(name) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg'),
    path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  path.setAttribute('d', ICONS[name]);
  svg.append(path);
  return svg;
}

class View extends Drawing {
  constructor(model, el) {
    super();
    this.model = model;
    this.id = `avnb-${Math.random().toString(36).slice(2, 10)}`;
    this.stats = { frames: new Set(), off: [], first: null };
    this.off = [];
    this.view = { ...VIEW, ...model.get('view') };
    this.lut = Object.fromEntries(Object.entries(model.get('lookup') || {}).map(([k, v]) => [k, bytes(v)]));
    this.root = make('section', { class: 'avnb', role: 'group', 'aria-label': 'player', tabindex: '-1' });
    this.root.avnb = this;
    el.append(this.root);
    this.listen();
    this.load();
  }

  // Everything that must be undone when the view goes.
  on(target, name, f) {
    target.addEventListener(name, f);
    this.off.push(() => target.removeEventListener(name, f));
  }

  listen() {
    const { model } = this;
    for (const [name, f] of [
      ['change:scene', () => this.load()],
      ['change:view', () => this.follow()],
      ['change:lock', () => this.setLock(model.get('lock'), false)]
    ]) {
      model.on(name, f);
      this.off.push(() => model.off(name, f));
    }
    this.off.push(
      whenGone(model, this.root, () =>
        this.note((this.gone = 'The kernel is gone. This player goes on; to change clip, sound or network, run the cell again.'))
      )
    );
    this.on(this.root, 'keydown', e => this.key(e));
    this.on(document, 'avnb-play', e => {
      if (e.detail !== this.id) this.pause();
    }); // one player at a time
    const theme = matchMedia('(prefers-color-scheme: dark)');
    this.on(theme, 'change', () => this.restyle());
    const seen = new MutationObserver(() => this.restyle());
    seen.observe(document.body, { attributes: true, attributeFilter: ['data-jp-theme-light', 'data-jp-theme-name', 'class'] });
    const sized = new ResizeObserver(() => {
      if (Math.abs(this.root.clientWidth - this.width) > 2) this.arrange();
    });
    sized.observe(this.root);
    this.off.push(
      () => seen.disconnect(),
      () => sized.disconnect(),
      () => this.drop()
    );
    this.calm = matchMedia('(prefers-reduced-motion: reduce)');
  }

  close() {
    this.closed = true;
    for (const f of this.off) f();
    this.root.remove();
  }

  drop() {
    for (const m of this.media || []) {
      m.pause();
      m.removeAttribute('src');
      m.load();
    }
    for (const u of this.urls || []) URL.revokeObjectURL(u);
    this.media = [];
    this.urls = [];
  }

  // ---- a new scene ----

  load() {
    const scene = this.model.get('scene'),
      at = this.time ?? 0,
      first = !this.scene,
      same = !first && scene.title === this.scene.title && scene.start === this.scene.start;
    this.pause();
    this.drop();
    this.scene = scene;
    this.hover = this.lock = null;
    this.asked = this.heardKey = undefined; // answers belong to the maps that are gone
    if (!first && scene.hear != null) this.view = { ...this.view, hear: scene.hear };
    if (!first && !same && (this.view.from != null || this.view.to != null)) {
      this.tell({ ...this.view, from: null, to: null }); // a stretch of another clip
    }
    this.time = 0;
    this.frame = 0;
    this.stats.first = null;
    this.root.replaceChildren();
    if (!scene.panels) {
      this.panels = null;
      this.root.append(make('p', { class: 'avnb-note', role: 'status' }, 'Nothing to show yet.'));
      return;
    }
    this.panels = scene.panels.map((p, k) => this.unpackPanel(p, k));
    this.sounds = scene.sounds.map(s => this.unpackSound(s));
    this.build();
    this.openMedia();
    this.arrange();
    if (first || same) this.setLock(this.model.get('lock'), false);
    else this.setLock(null);
    if (same && at) this.seek(Math.min(at, scene.seconds));
  }

  unpackPanel(p) {
    const layers = maps => {
      const out = {};
      for (const [k, m] of Object.entries(maps)) out[k] = { x: unpack(m), shape: m.shape };
      if (out.alone && out.guided) out.difference = { x: difference(out.guided.x, out.alone.x), shape: out.guided.shape, signed: true };
      for (const m of Object.values(out)) {
        m.cells = m.shape.slice(1).reduce((a, b) => a * b, 1);
        m.n = m.shape[0];
        [m.lo, m.hi] = range(m.x);
        if (m.signed) {
          m.hi = Math.max(Math.abs(m.lo), Math.abs(m.hi));
          m.lo = -m.hi;
        }
      }
      return out;
    };
    const local = Object.fromEntries(
      Object.entries(p.local).map(([k, a]) => [k, { q: bytes(a.data, Int8Array), shape: a.shape, scale: a.scale }])
    );
    return { label: p.label, note: p.note, unit: p.unit, sound: p.sound, video: layers(p.video), audio: layers(p.audio), local };
  }

  unpackSound(s) {
    return {
      label: s.label,
      hz: s.hz,
      seconds: s.seconds,
      wave: bytes(s.wave.data, Int8Array),
      spec: s.spec && { x: unpack(s.spec), shape: s.spec.shape, lo: s.spec.lo, hi: s.spec.hi }
    };
  }

  // ---- elements ----

  build() {
    const { scene, root } = this,
      some = key => [...new Set(this.panels.flatMap(p => Object.keys(p[key])))];
    this.layers = { picture: some('video'), sound: some('audio') };
    root.append(
      make('header', {}, make('h3', {}, scene.title), ...scene.notes.map(n => make('p', { class: 'avnb-note', role: 'status' }, n)))
    );
    this.grid = make('div', { class: 'avnb-panels', 'data-panels': this.panels.length });
    root.append(this.grid);
    this.panels.forEach((p, k) => this.grid.append(this.buildPanel(p, k)));
    this.answer = make('p', { class: 'avnb-answer', 'aria-live': 'polite', id: `${this.id}-answer` }, this.invitation());
    root.append(this.answer, this.buildTransport(), this.buildOptions(), make('footer', {}, this.buildHelp(), this.saves));
    this.sayView();
  }

  invitation() {
    if (!this.panels.some(p => p.local.video && p.local.audio)) return ' ';
    return 'Point at the picture: the spectrogram shows which sounds answer. Point at the spectrogram: the picture shows where. Click to hold.';
  }

  buildPanel(p, k) {
    const many = this.panels.length > 1,
      about = p.label ? `, ${p.label}` : '';
    const canvas = (name, label, keys) =>
      make('canvas', {
        class: `avnb-${name}`,
        tabindex: keys ? 0 : -1,
        role: keys ? 'application' : 'img',
        'aria-label': label + about,
        'aria-describedby': keys ? `${this.id}-answer` : null
      });
    p.canvas = {
      picture: canvas('picture', 'picture under its map; arrow keys point at a patch, L holds it', true),
      sound: canvas('sound', 'spectrogram under its map; arrow keys point at a time and frequency, L holds it', true),
      wave: canvas('wave', 'waveform; drag to loop a stretch', false)
    };
    p.bars = { picture: this.buildBar('picture'), sound: this.buildBar('sound') };
    p.layer = {
      picture: document.createElement('canvas'),
      sound: document.createElement('canvas'),
      ground: document.createElement('canvas')
    };
    for (const kind of ['picture', 'sound']) this.pointing(p, k, kind);
    this.scrubbing(p);
    p.element = make(
      'div',
      { class: 'avnb-panel', 'data-panel': k },
      many || p.label ? make('h4', {}, p.label || `panel ${k + 1}`) : null,
      make(
        'div',
        { class: 'avnb-body' },
        make('div', { class: 'avnb-left' }, make('div', { class: 'avnb-stage' }, p.canvas.picture), p.bars.picture.element),
        make('div', { class: 'avnb-right' }, p.canvas.sound, p.canvas.wave, p.bars.sound.element)
      ),
      p.note ? make('p', { class: 'avnb-note' }, p.note) : null
    );
    return p.element;
  }

  buildBar(kind) {
    const strip = make('canvas', { width: 128, height: 1, 'aria-hidden': 'true' }),
      lo = make('span', { class: 'avnb-lo' }),
      hi = make('span', { class: 'avnb-hi' }),
      unit = make('span', { class: 'avnb-unit' });
    return { strip, lo, hi, unit, element: make('div', { class: 'avnb-bar', 'data-kind': kind }, lo, strip, hi, unit) };
  }

  buildTransport() {
    const button = (name, label, f, title) =>
      make('button', { type: 'button', class: `avnb-${name}`, 'aria-label': label, title: title || label, onclick: f });
    this.playButton = button('play', 'play', () => this.toggle(), 'play or pause (space)');
    this.playButton.append(icon('play'));
    const back = button('back', 'one frame back', () => this.step(-1), 'one frame back (,)'),
      on = button('on', 'one frame on', () => this.step(1), 'one frame on (.)');
    back.append(icon('back'));
    on.append(icon('on'));
    this.scrub = make('input', {
      type: 'range',
      class: 'avnb-scrub',
      min: 0,
      max: this.scene.seconds,
      step: 'any',
      value: 0,
      'aria-label': 'time',
      oninput: e => this.seek(+e.target.value)
    });
    this.clock = make('output', { class: 'avnb-clock' }, '0.00 s');
    this.loopBox = this.checkbox('loop', 'loop', 'start again at the end (drag on the waveform to loop a stretch; O: all of it)');
    this.speed = this.choice('speed', 'speed', [
      [0.25, '¼'],
      [0.5, '½'],
      [1, '1×'],
      [1.5, '1.5×'],
      [2, '2×']
    ]);
    this.volume = this.slider('volume', 'volume');
    return make(
      'div',
      { class: 'avnb-transport', role: 'toolbar', 'aria-label': 'playing' },
      back,
      this.playButton,
      on,
      this.scrub,
      this.clock,
      this.loopBox,
      this.speed,
      this.volume
    );
  }

  buildOptions() {
    const layers = kind =>
      [...this.layers[kind].filter(k => NAMES[kind][k]), ...this.layers[kind].filter(k => !NAMES[kind][k])].map(k => [
        k,
        NAMES[kind][k] || k
      ]);
    const row = make('div', { class: 'avnb-options', role: 'group', 'aria-label': 'what is drawn' });
    if (this.layers.picture.length) row.append(this.choice('layer', 'picture', [...layers('picture'), ['none', 'no map']]));
    if (this.layers.sound.length) row.append(this.choice('band', 'sound', [...layers('sound'), ['none', 'no map']]));
    if (this.sounds.length > 1)
      row.append(
        this.choice(
          'hear',
          'hear',
          this.sounds.map((s, k) => [k, s.label || `sound ${k + 1}`])
        )
      );
    if (this.layers.picture.length || this.layers.sound.length) {
      row.append(
        this.slider('opacity', 'opacity'),
        this.choice(
          'colour',
          'colours',
          Object.keys(this.lut)
            .filter(k => k !== 'PuOr_r')
            .map(k => [k, k])
        ),
        this.choice('per', 'scale', [
          ['clip', 'over the clip'],
          ['frame', 'per frame'],
          ...(this.panels.length > 1 ? [['all', 'over all panels']] : [])
        ]),
        this.checkbox('contours', 'contours', 'lines at half and at 85 % of the scale')
      );
    }
    if (this.scene.truth.length)
      row.append(this.checkbox('truth', 'truth', 'what is known: boxes and bands; solid what sounds, dotted what does not'));
    this.saves = make(
      'span',
      { class: 'avnb-saves' },
      make('button', { type: 'button', class: 'avnb-png', onclick: () => this.savePng(), title: 'save this picture as PNG' }, 'PNG'),
      make('button', { type: 'button', class: 'avnb-svg', onclick: () => this.saveSvg(), title: 'save the spectrogram as SVG' }, 'SVG')
    );
    return row;
  }

  buildHelp() {
    const rows = [
      ['space', 'play, pause'],
      [', .', 'one frame back, on'],
      ['← →', 'the same; on a picture or spectrogram: point, with ↑ ↓'],
      ['L', 'hold what is pointed at'],
      ['Esc', 'let go'],
      ['Home', 'to the start'],
      ['[ ] O', 'loop from here, to here, all']
    ];
    return make(
      'details',
      { class: 'avnb-help' },
      make('summary', {}, 'keys'),
      make('dl', {}, ...rows.flatMap(([k, what]) => [make('dt', {}, k), make('dd', {}, what)]))
    );
  }

  labelled(name, text, control, title) {
    const id = `${this.id}-${name}`;
    control.id = id;
    control.dataset.view = name;
    return make('span', { class: 'avnb-option', title }, make('label', { for: id }, text), control);
  }

  choice(name, text, options, title) {
    const select = make(
      'select',
      { onchange: e => this.set(name, typeof options[0][0] === 'number' ? +e.target.value : e.target.value) },
      ...options.map(([v, label]) => make('option', { value: v }, label))
    );
    return this.labelled(name, text, select, title);
  }

  slider(name, text) {
    return this.labelled(
      name,
      text,
      make('input', {
        type: 'range',
        min: 0,
        max: 1,
        step: 0.05,
        oninput: e => this.set(name, +e.target.value, false),
        onchange: e => this.set(name, +e.target.value)
      })
    );
  }

  checkbox(name, text, title) {
    return this.labelled(name, text, make('input', { type: 'checkbox', onchange: e => this.set(name, e.target.checked) }), title);
  }

  // ---- what is switched on ----

  set(name, value, tell = true) {
    this.view = { ...this.view, [name]: value };
    if (tell) this.tell(this.view);
    this.apply(name);
  }

  tell(view) {
    this.view = this.told = view;
    this.model.set('view', view);
    this.model.save_changes();
  }

  follow() {
    const v = this.model.get('view');
    if (v !== this.told) {
      this.view = { ...VIEW, ...v };
      this.sayView();
      if (this.scene.panels) {
        this.apply('all');
      }
    }
  }

  // The controls say what is on; a map that this scene does not have falls back to one that it has.
  sayView() {
    for (const c of this.root.querySelectorAll('[data-view]')) {
      const v = this.view[c.dataset.view];
      if (c.type === 'checkbox') c.checked = !!v;
      else {
        c.value = v;
        if (c.tagName === 'SELECT' && c.selectedIndex < 0) c.selectedIndex = 0;
      }
    }
  }

  layerName(kind) {
    const want = this.view[kind === 'picture' ? 'layer' : 'band'],
      have = this.layers[kind];
    return want === 'none' || have.includes(want) ? want : (have[0] ?? 'none');
  }

  apply(name) {
    if (['speed', 'volume', 'hear', 'all'].includes(name)) this.tune();
    if (['layer', 'band', 'colour', 'opacity', 'per', 'contours', 'all'].includes(name)) this.stale();
    this.draw();
  }

  stale() {
    for (const p of this.panels) p.soundKey = p.barKey = null;
  }

  // ---- media and clock ----

  openMedia() {
    const { scene } = this;
    this.urls = [];
    this.media = scene.media.map(data => {
      const b = bytes(data),
        wav = b[0] === 0x52,
        m = make('video', { class: 'avnb-media', playsinline: true, preload: 'auto', 'aria-hidden': 'true', tabindex: '-1' });
      const url = URL.createObjectURL(new Blob([b], { type: wav ? 'audio/wav' : 'video/mp4' }));
      this.urls.push(url);
      m.src = url;
      // Media that were dropped may still have events under way: only the one that is heard now has a say.
      const on = (name, f) =>
        m.addEventListener(name, () => {
          if (m === this.sound) f();
        });
      // New media begin where the old ones stood: seek() cannot move a medium whose length is not known yet.
      m.begun = false;
      m.addEventListener('loadedmetadata', () => (m.begun = true)); // also of a sound that is not heard yet
      on('loadedmetadata', () => {
        if (this.time) this.seek(this.time);
      });
      on('loadeddata', () => {
        if (!m.seeking) this.looked(m, null);
      });
      on('seeked', () => this.looked(m, null));
      on('ended', () => this.ended());
      m.addEventListener('play', () => this.sayPlaying());
      on('playing', () => this.gone || this.root.querySelector('.avnb-trouble')?.remove());
      m.addEventListener('pause', () => this.sayPlaying());
      m.addEventListener('error', () => {
        if (m.getAttribute('src'))
          this.note(`This browser cannot play the sound: ${m.error ? m.error.message || `error ${m.error.code}` : 'unknown'}`);
      });
      if (m.requestVideoFrameCallback && scene.frames) {
        const next = (now, meta) => {
          if (this.closed || !m.getAttribute('src')) return;
          this.stats.lead = Math.max(0, meta.expectedDisplayTime - performance.now()) / 1000; // until the screen shows what is drawn now
          if (m === this.sound && !m.seeking) this.looked(m, meta.mediaTime);
          m.requestVideoFrameCallback(next);
        };
        m.requestVideoFrameCallback(next);
      }
      this.panels[0].canvas.picture.parentElement.prepend(m);
      return m;
    });
    this.poster = null;
    if (bytes(scene.poster).length) {
      const image = new Image();
      image.onload = () => {
        if (this.scene !== scene) return;
        this.poster = image;
        this.draw();
      };
      const u = URL.createObjectURL(new Blob([bytes(scene.poster)], { type: 'image/jpeg' }));
      this.urls.push(u);
      image.src = u;
    }
    this.ear = Math.min(this.view.hear, this.media.length - 1);
    this.tune();
  }

  note(text) {
    let p = this.root.querySelector('.avnb-trouble');
    if (!p) {
      p = make('p', { class: 'avnb-note avnb-trouble', role: 'alert' });
      this.root.prepend(p);
    }
    p.textContent = text;
  }

  get sound() {
    return this.media[this.ear];
  }
  get playing() {
    return !!this.sound && !this.sound.paused && !this.sound.ended;
  }

  tune() {
    const ear = Math.min(this.view.hear, this.media.length - 1);
    if (ear !== this.ear) {
      const was = this.playing,
        t = this.time;
      this.sound.pause();
      this.ear = ear;
      this.seek(t);
      if (was) this.play();
    }
    for (const m of this.media) {
      m.playbackRate = this.view.speed;
      m.volume = this.view.volume;
    }
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  play() {
    if (!this.sound) return;
    document.dispatchEvent(new CustomEvent('avnb-play', { detail: this.id }));
    const [a, b] = this.stretch();
    if (this.time < a - 0.01 || this.time > b - 0.02) this.seek(a);
    this.stats.frames = new Set([this.frame]);
    this.stats.off = [];
    this.sound
      .play()
      .catch(e => e.name === 'AbortError' || this.note(e.name === 'NotAllowedError' ? 'The browser wants a click before it plays a sound: press play.' : e.message));
    this.tick();
  }

  pause() {
    for (const m of this.media || []) m.pause();
  }

  ended() {
    if (this.view.loop) {
      this.seek(this.stretch()[0]);
      this.sound.play().catch(() => {});
      this.tick();
    } else this.sayPlaying();
  }

  loopAll() {
    this.view = { ...this.view, from: null };
    this.set('to', null);
  }

  stretch() {
    const { from, to } = this.view;
    return from != null && to != null && to > from && from < this.scene.seconds ? [Math.max(0, from), Math.min(to, this.scene.seconds)] : [0, this.scene.seconds];
  }

  // While it plays: the line follows the sound's clock; frames and maps follow the frame the browser has just shown.
  tick() {
    if (this.ticking) return;
    this.ticking = true;
    const go = () => {
      if (this.closed || !this.playing) {
        this.ticking = false;
        return;
      }
      const m = this.sound,
        [, b] = this.stretch();
      if (this.view.loop && m.currentTime >= b - 0.005 && b < this.scene.seconds - 0.02) this.seek(this.stretch()[0]);
      if (this.scene.frames && !m.seeking) this.stats.off.push((m.currentTime + (this.stats.lead || 0) * m.playbackRate) * this.scene.fps - this.frame - 0.5); // frames from the middle of the frame on the screen to the sound's clock
      if (!m.requestVideoFrameCallback || !this.scene.frames) this.looked(m, null);
      else if (!this.calm.matches) this.drawLines(m.currentTime);
      requestAnimationFrame(go);
    };
    requestAnimationFrame(go);
  }

  // The media shows the frame of this media time (null: whatever belongs to its clock).
  looked(m, mediaTime) {
    if (!m.begun) return; // its first frame can come before its length is known, and would move us to the start
    const { fps, frames, seconds } = this.scene,
      t = Math.min(m.currentTime, seconds);
    const frame = frames ? Math.min(frames - 1, mediaTime == null ? Math.floor(t * fps + 0.01) : Math.round(mediaTime * fps)) : 0;
    if (this.playing) this.stats.frames.add(frame);
    this.frame = frame;
    this.time = t;
    if (!this.lock && this.hover?.kind === 'picture') {
      this.hover = { ...this.hover, time: t };
      this.answerTo(this.hover);
    } else this.draw(); // the patch under a resting finger changes with the picture
    this.reword();
  }

  // What a place in the sound answers in the picture is said of the moment that is shown; not while it plays, for those who listen to the words.
  reword() {
    const target = this.lock || this.hover;
    if (target?.kind === 'sound' && !this.playing) this.answer.textContent = this.words(target);
  }

  seek(t) {
    const s = Math.min(Math.max(t, 0), this.scene.seconds);
    this.time = s;
    if (this.sound && this.sound.readyState) this.sound.currentTime = Math.min(s, Math.max(0, (this.sound.duration || s) - 0.001));
    if (!this.playing) {
      this.frame = this.scene.frames ? Math.min(this.scene.frames - 1, Math.floor(s * this.scene.fps + 0.01)) : 0;
      this.draw();
      this.reword();
    }
  }

  step(k) {
    this.pause();
    const { fps, frames, seconds } = this.scene;
    this.seek(
      frames ? (Math.min(Math.max(this.frame + k, 0), frames - 1) + 0.5) / fps : Math.min(Math.max(this.time + k * 0.05, 0), seconds)
    );
  }

  sayPlaying() {
    const on = this.playing;
    this.root.dataset.playing = on;
    this.playButton.replaceChildren(icon(on ? 'pause' : 'play'));
    this.playButton.setAttribute('aria-label', on ? 'pause' : 'play');
    if (on) this.tick();
    else this.drawLines(this.time);
  }

  key(e) {
    if (e.ctrlKey || e.metaKey || e.altKey || !this.scene.panels) return;
    const control = e.target.closest('select, input, button, summary'),
      canvas = e.target.closest('canvas[role=application]'),
      name = e.key.length === 1 ? e.key.toLowerCase() : e.key;
    const acts = {
      ',': () => this.step(-1),
      '.': () => this.step(1),
      l: () => this.hold(),
      Escape: () => this.setLock(null),
      '[': () => this.set('from', this.time),
      ']': () => this.set('to', this.time),
      o: () => this.loopAll()
    };
    if (!control || control.type === 'checkbox') acts[' '] = () => this.toggle();
    if (control?.type === 'checkbox') delete acts[' '];
    if (canvas)
      for (const [k, d] of [
        ['ArrowLeft', [-1, 0]],
        ['ArrowRight', [1, 0]],
        ['ArrowUp', [0, -1]],
        ['ArrowDown', [0, 1]]
      ])
        acts[k] = () => this.move(canvas, d);
    else if (!control || e.target === this.scrub) {
      acts.ArrowLeft = () => this.step(-1);
      acts.ArrowRight = () => this.step(1);
      acts.Home = () => this.seek(this.stretch()[0]);
    } else if (control.tagName === 'SELECT') {
      delete acts['.'];
      delete acts[','];
    }
    if (!acts[name]) return;
    acts[name]();
    e.preventDefault();
    e.stopPropagation();
  }

  // ---- pointing ----

  pointing(p, k, kind) {
    const c = p.canvas[kind],
      aim = e => {
        const r = c.getBoundingClientRect(),
          box = this.boxOf(p, kind),
          x = (e.clientX - r.left - box.x) / box.w,
          y = (e.clientY - r.top - box.y) / box.h;
        return x >= 0 && x < 1 && y >= 0 && y < 1 ? [x, y] : null;
      };
    c.addEventListener('pointermove', e => {
      const at = aim(e);
      this.point(at && this.target(kind, k, ...at));
    });
    c.addEventListener('pointerleave', () => this.point(null));
    c.addEventListener('click', e => {
      const at = aim(e);
      if (at) {
        c.focus({ preventScroll: true });
        if (this.lock) this.setLock(null);
        else {
          this.point(this.target(kind, k, ...at));
          this.hold();
        }
      }
    });
    c.addEventListener('focus', () => {
      c.cursor = c.cursor || [0.5, 0.5];
    });
  }

  // What is pointed at: a patch of the picture at this moment, or a time and a frequency.
  target(kind, panel, x, y) {
    return kind === 'picture'
      ? { kind, panel, x, y, time: this.time }
      : { kind, panel, x: 0, y: 1 - y, time: x * this.sounds[this.panels[panel].sound].seconds };
  }

  point(target) {
    this.hover = target;
    if (!this.lock) this.answerTo(target);
  }

  hold() {
    if (this.lock) this.setLock(null);
    else if (this.hover) this.setLock(this.hover);
  }

  setLock(lock, tell = true) {
    this.lock = lock && lock.kind && lock.panel < this.panels.length ? { ...lock } : null;
    if (tell) {
      this.model.set('lock', this.lock || {});
      this.model.save_changes();
    }
    this.root.dataset.lock = this.lock ? `${this.lock.kind} ${this.lock.time.toFixed(2)}` : '';
    this.answerTo(this.lock || this.hover);
  }

  move(canvas, [dx, dy]) {
    const k = this.panels.findIndex(p => Object.values(p.canvas).includes(canvas)),
      p = this.panels[k],
      kind = canvas === p.canvas.picture ? 'picture' : 'sound',
      g = this.gridOf(p, kind);
    const c = canvas.cursor || [0.5, 0.5],
      cell = (u, n) => Math.min(Math.max(Math.floor(u * n), 0), n - 1);
    canvas.cursor = [
      (Math.min(Math.max(cell(c[0], g.w) + dx, 0), g.w - 1) + 0.5) / g.w,
      (Math.min(Math.max(cell(c[1], g.h) + dy, 0), g.h - 1) + 0.5) / g.h
    ];
    if (this.lock) this.setLock(null);
    this.point(this.target(kind, k, ...canvas.cursor));
  }

  gridOf(p, kind) {
    if (kind === 'picture') {
      const s = p.local.video?.shape || Object.values(p.video)[0]?.shape || [1, 8, 8];
      return { h: s[1], w: s[2] };
    }
    const s = p.local.audio?.shape || Object.values(p.audio)[0]?.shape || [1, 8];
    return { h: s[1], w: s[0] };
  }

  // Cosines of the cell pointed at with every cell of the other modality, for each panel.
  answerTo(target) {
    const key = target && this.panels.map(p => this.cellOf(p, target)).join();
    if (key !== this.asked) {
      this.asked = key;
      this.panels.forEach((p, k) => {
        p.answer = null;
        p.soundKey = p.barKey = null;
        const { video, audio } = p.local;
        if (!target || !video || !audio) return;
        const [from, to] = target.kind === 'picture' ? [video, audio] : [audio, video],
          D = from.shape[from.shape.length - 1],
          cell = this.cellOf(p, target);
        const x = cosines(
            from.q.subarray(cell * D, (cell + 1) * D),
            to.q,
            from.scale * to.scale,
            p.room?.length * D === to.q.length ? p.room : undefined
          ),
          [lo, hi] = range(x);
        p.room = x;
        p.answer = {
          x,
          lo: hi > 0 ? Math.max(lo, 0) : lo,
          hi,
          shape: to.shape.slice(0, -1),
          n: to.shape[0],
          cells: x.length / to.shape[0],
          kind: target.kind === 'picture' ? 'sound' : 'picture'
        };
      });
      this.answer.textContent = target ? this.words(target) : this.invitation();
    }
    this.draw();
  }

  cellOf(p, target) {
    const s = p.local[target.kind === 'picture' ? 'video' : 'audio']?.shape;
    if (!s) return -1;
    const n = moment(target.time, target.kind === 'picture' ? this.scene.seconds : this.sounds[p.sound].seconds, s[0]),
      cell = (u, k) => Math.min(Math.max(Math.floor(u * k), 0), k - 1);
    return target.kind === 'picture' ? (n * s[1] + cell(target.y, s[1])) * s[2] + cell(target.x, s[2]) : n * s[1] + cell(target.y, s[1]);
  }

  words(target) {
    const p = this.panels[target.panel],
      a = p.answer,
      t = s => `${(s + this.scene.start).toFixed(2)} s`;
    if (!a) return 'This network gives its maps only: there is nothing to ask.';
    if (target.kind === 'picture') {
      const [, h, w] = p.local.video.shape,
        k = top(a.x),
        f = k % a.cells,
        m = Math.floor(k / a.cells),
        [lo, hi] = cellHz(this.sounds[p.sound].hz, f, a.cells);
      return `Patch in row ${Math.floor(target.y * h) + 1} of ${h}, column ${Math.floor(target.x * w) + 1} of ${w}, at ${t(target.time)}. Its best answer in the sound: ${sayHz(lo)} to ${sayHz(hi)} at ${t(((m + 0.5) / a.n) * this.sounds[p.sound].seconds)}, cosine ${a.x[k].toFixed(2)}.`;
    }
    const F = p.local.audio.shape[1],
      [lo, hi] = cellHz(this.sounds[p.sound].hz, Math.min(F - 1, Math.floor(target.y * F)), F),
      n = moment(this.time, this.scene.seconds, a.n),
      k = top(a.x.subarray(n * a.cells, (n + 1) * a.cells));
    return `${sayHz(lo)} to ${sayHz(hi)} at ${t(target.time)}. Its best answer in the picture now: row ${Math.floor(k / a.shape[2]) + 1}, column ${(k % a.shape[2]) + 1}, cosine ${a.x[n * a.cells + k].toFixed(2)}.`;
  }

  scrubbing(p) {
    const c = p.canvas.wave;
    let start = null;
    const time = e => {
      const r = c.getBoundingClientRect(),
        b = this.boxOf(p, 'wave');
      return Math.min(Math.max((e.clientX - r.left - b.x) / b.w, 0), 1) * this.scene.seconds;
    };
    c.addEventListener('pointerdown', e => {
      start = [time(e), e.clientX];
      c.setPointerCapture(e.pointerId);
    });
    c.addEventListener('pointermove', e => {
      if (start && Math.abs(e.clientX - start[1]) > 6) {
        const t = time(e);
        this.view = { ...this.view, from: Math.min(t, start[0]), to: Math.max(t, start[0]), loop: true };
        this.draw();
      }
    });
    c.addEventListener('pointerup', e => {
      if (!start) return;
      if (Math.abs(e.clientX - start[1]) > 6) {
        this.set('loop', true);
        this.sayView();
        this.seek(this.view.from);
      } else {
        this.loopAll();
        this.seek(time(e));
      }
      start = null;
    });
  }
}

const widget = {
  render({ model, el }) {
    const view = new View(model, el);
    return () => view.close();
  }
};
export default widget;

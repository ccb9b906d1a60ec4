// The player: media, maps and spectrogram under one clock, the sound's. Everything it needs is in `scene`; it never
// asks the kernel while it plays.
/** @import { Kind, Medium, Model, Panel, Scene, Surface, ViewOptions } from './types.js' */
import { make, makeSvg } from './elements.js';
import { whenGone } from './kernel.js';
import { bytes, clamp, unpackPanel, unpackSound } from './player_arithmetic.js';
import { DIVERGING, NAMES } from './player_draw.js';
import { Pointing } from './player_point.js';
import { asCanvas, asSvg, offer } from './player_save.js';

/** @type {ViewOptions} */
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

const SPEEDS = [
  [0.25, '¼'],
  [0.5, '½'],
  [1, '1×'],
  [1.5, '1.5×'],
  [2, '2×']
];

const SCALES = [
  ['clip', 'over the clip'],
  ['frame', 'per frame'],
  ['all', 'over all panels'] // where there are several
];

const KEYS = [
  ['space', 'play, pause'],
  [', .', 'one frame back, on'],
  ['← →', 'the same; on a picture or spectrogram: point, with ↑ ↓'],
  ['L', 'hold what is pointed at'],
  ['Esc', 'let go'],
  ['Home', 'to the start'],
  ['[ ] O', 'loop from here, to here, all']
];

const ARROWS = /** @type {Record<string, [number, number]>} */ ({
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1]
});

const DRAG = 6; // CSS pixels: less is a click
const RIFF = 0x52; // the first byte of a wav
const INSIDE = 0.01; // of a frame: a time that is a frame's start, but for rounding, belongs to it
const KERNEL_GONE = 'The kernel is gone. This player goes on; to change clip, sound or network, run the cell again.';
const CLICK_FIRST = 'The browser wants a click before it plays a sound: press play.';

/** @param {keyof typeof ICONS} name */
function icon(name) {
  return makeSvg('svg', { viewBox: '0 0 24 24', 'aria-hidden': 'true' }, makeSvg('path', { d: ICONS[name] }));
}

class View extends Pointing {
  /** @type {(() => void)[]} what must be undone when the view goes */ undo = [];
  /** @type {string[]} of objects that are to be revoked */ urls = [];
  /** @type {string} what is said since the kernel is gone */ gone;
  /** @type {ViewOptions} the options that the model was told */ told;
  /** @type {HTMLButtonElement} */ playButton;
  /** @type {HTMLElement} the buttons that save */ saves;
  /** @type {boolean} */ ticking;

  /**
   * @param {Model} model
   * @param {HTMLElement} el
   */
  constructor(model, el) {
    super();
    this.model = model;
    this.id = `avnb-${Math.random().toString(36).slice(2, 10)}`;
    this.calm = matchMedia('(prefers-reduced-motion: reduce)');
    this.view = { ...VIEW, ...model.get('view') };
    const lookup = Object.entries(model.get('lookup') || {});
    this.lut = Object.fromEntries(lookup.map(([name, colours]) => [name, bytes(colours, Uint8Array)]));
    const attributes = { class: 'avnb', role: 'group', 'aria-label': 'player', tabindex: '-1' };
    this.root = Object.assign(make('section', attributes), { avnb: this });
    el.append(this.root);
    this.listen();
    this.load();
  }

  /**
   * @param {EventTarget} target
   * @param {string} name
   * @param {(event: any) => void} f
   */
  on(target, name, f) {
    target.addEventListener(name, f);
    this.undo.push(() => target.removeEventListener(name, f));
  }

  /**
   * @param {string} event  of the model
   * @param {() => void} f
   */
  onModel(event, f) {
    this.model.on(event, f);
    this.undo.push(() => this.model.off(event, f));
  }

  listen() {
    this.onModel('change:scene', () => this.load());
    this.onModel('change:view', () => this.follow());
    this.onModel('change:lock', () => this.setLock(this.model.get('lock'), false));
    this.undo.push(whenGone(this.model, this.root, () => this.note((this.gone = KERNEL_GONE))));
    this.on(this.root, 'keydown', e => this.key(e));
    this.on(document, 'avnb-play', e => {
      if (e.detail !== this.id) this.pause(); // one player at a time
    });
    this.on(matchMedia('(prefers-color-scheme: dark)'), 'change', () => this.restyle());
    const theme = new MutationObserver(() => this.restyle());
    const attributeFilter = ['data-jp-theme-light', 'data-jp-theme-name', 'class'];
    theme.observe(document.body, { attributes: true, attributeFilter });
    const size = new ResizeObserver(() => {
      if (Math.abs(this.root.clientWidth - this.width) > 2) this.arrange();
    });
    size.observe(this.root);
    this.undo.push(() => theme.disconnect());
    this.undo.push(() => size.disconnect());
    this.undo.push(() => this.drop());
  }

  close() {
    this.closed = true;
    for (const f of this.undo) f();
    this.root.remove();
  }

  drop() {
    for (const m of this.media) {
      m.pause();
      m.removeAttribute('src');
      m.load();
    }
    for (const u of this.urls) URL.revokeObjectURL(u);
    this.media = [];
    this.urls = [];
  }

  // ---- a new scene ----

  load() {
    const scene = /** @type {Scene} */ (this.model.get('scene'));
    const at = this.time ?? 0;
    const first = !this.scene;
    const same = !first && scene.title === this.scene.title && scene.start === this.scene.start;
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
    this.panels = scene.panels.map(unpackPanel);
    this.sounds = scene.sounds.map(unpackSound);
    this.build();
    this.openMedia();
    this.arrange();
    if (first || same) this.setLock(this.model.get('lock'), false);
    else this.setLock(null);
    if (same && at) this.seek(Math.min(at, scene.seconds));
  }

  // ---- elements ----

  build() {
    const { scene, root } = this;
    const names = (/** @type {'video' | 'audio'} */ key) => [...new Set(this.panels.flatMap(p => Object.keys(p[key])))];
    this.layers = { picture: names('video'), sound: names('audio') };
    const notes = scene.notes.map(n => make('p', { class: 'avnb-note', role: 'status' }, n));
    this.grid = make('div', { class: 'avnb-panels', 'data-panels': this.panels.length });
    this.panels.forEach((p, k) => this.grid.append(this.buildPanel(p, k)));
    this.answer = make(
      'p',
      { class: 'avnb-answer', 'aria-live': 'polite', id: `${this.id}-answer` },
      this.invitation()
    );
    this.saves = this.buildSaves();
    root.append(make('header', {}, make('h3', {}, scene.title), ...notes), this.grid, this.answer);
    root.append(this.buildTransport(), this.buildOptions(), make('footer', {}, this.buildHelp(), this.saves));
    this.sayView();
  }

  /**
   * @param {Panel} p
   * @param {number} k  its number
   */
  buildPanel(p, k) {
    this.buildCanvases(p);
    p.bars = { picture: this.buildBar('picture'), sound: this.buildBar('sound') };
    this.pointing(p, k, 'picture');
    this.pointing(p, k, 'sound');
    this.scrubbing(p);
    const stage = make('div', { class: 'avnb-stage' }, p.canvas.picture);
    const left = make('div', { class: 'avnb-left' }, stage, p.bars.picture.element);
    const right = make('div', { class: 'avnb-right' }, p.canvas.sound, p.canvas.wave, p.bars.sound.element);
    const named = p.label || this.panels.length > 1;
    p.element = make(
      'div',
      { class: 'avnb-panel', 'data-panel': k },
      named ? make('h4', {}, p.label || `panel ${k + 1}`) : null,
      make('div', { class: 'avnb-body' }, left, right),
      p.note ? make('p', { class: 'avnb-note' }, p.note) : null
    );
    return p.element;
  }

  /** @param {Panel} p */
  buildCanvases(p) {
    const about = p.label ? `, ${p.label}` : '';
    const canvas = (/** @type {string} */ name, /** @type {object} */ attributes, /** @type {string} */ label) => {
      const all = { class: `avnb-${name}`, 'aria-label': label + about, ...attributes };
      return /** @type {Surface} */ (make('canvas', all));
    };
    const keys = { tabindex: 0, role: 'application', 'aria-describedby': `${this.id}-answer` };
    const image = { tabindex: -1, role: 'img' };
    p.canvas = {
      picture: canvas('picture', keys, 'picture under its map; arrow keys point at a patch, L holds it'),
      sound: canvas('sound', keys, 'spectrogram under its map; arrow keys point at a time and frequency, L holds it'),
      wave: canvas('wave', image, 'waveform; drag to loop a stretch')
    };
    p.offscreen = { picture: make('canvas'), sound: make('canvas'), ground: make('canvas') };
  }

  /** @param {Kind} kind */
  buildBar(kind) {
    const strip = make('canvas', { width: 128, height: 1, 'aria-hidden': 'true' });
    const lo = make('span', { class: 'avnb-lo' });
    const hi = make('span', { class: 'avnb-hi' });
    const unit = make('span', { class: 'avnb-unit' });
    return { strip, lo, hi, unit, element: make('div', { class: 'avnb-bar', 'data-kind': kind }, lo, strip, hi, unit) };
  }

  /**
   * @param {keyof typeof ICONS} name
   * @param {string} label
   * @param {string} title
   * @param {() => void} f
   */
  button(name, label, title, f) {
    const attributes = { type: 'button', class: `avnb-${name}`, 'aria-label': label, title, onclick: f };
    return make('button', attributes, icon(name));
  }

  buildTransport() {
    this.playButton = this.button('play', 'play', 'play or pause (space)', () => this.toggle());
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
    const about = 'start again at the end (drag on the waveform to loop a stretch; O: all of it)';
    return make(
      'div',
      { class: 'avnb-transport', role: 'toolbar', 'aria-label': 'playing' },
      this.button('back', 'one frame back', 'one frame back (,)', () => this.step(-1)),
      this.playButton,
      this.button('on', 'one frame on', 'one frame on (.)', () => this.step(1)),
      this.scrub,
      this.clock,
      this.checkbox('loop', 'loop', about),
      this.choice('speed', 'speed', SPEEDS),
      this.slider('volume', 'volume')
    );
  }

  buildOptions() {
    const { picture, sound } = this.layers;
    const row = make('div', { class: 'avnb-options', role: 'group', 'aria-label': 'what is drawn' });
    if (picture.length) row.append(this.choice('layer', 'picture', this.layerOptions('picture')));
    if (sound.length) row.append(this.choice('band', 'sound', this.layerOptions('sound')));
    if (this.sounds.length > 1) {
      const sounds = this.sounds.map((s, k) => /** @type {[number, string]} */ ([k, s.label || `sound ${k + 1}`]));
      row.append(this.choice('hear', 'hear', sounds));
    }
    if (picture.length || sound.length) {
      const colours = Object.keys(this.lut).filter(name => name !== DIVERGING);
      row.append(
        this.slider('opacity', 'opacity'),
        this.choice(
          'colour',
          'colours',
          colours.map(name => [name, name])
        ),
        this.choice('per', 'scale', SCALES.slice(0, this.panels.length > 1 ? 3 : 2)),
        this.checkbox('contours', 'contours', 'lines at half and at 85 % of the scale')
      );
    }
    const known = 'what is known: boxes and bands; solid what sounds, dotted what does not';
    if (this.scene.truth.length) row.append(this.checkbox('truth', 'truth', known));
    return row;
  }

  /**
   * The layers that there are, those with a name of their own first.
   * @param {Kind} kind
   * @returns {[string, string][]}
   */
  layerOptions(kind) {
    const names = NAMES[kind];
    const [known, other] = [this.layers[kind].filter(k => names[k]), this.layers[kind].filter(k => !names[k])];
    return [...known, ...other, 'none'].map(k => [k, names[k] || k]);
  }

  buildSaves() {
    const button = (/** @type {string} */ name, /** @type {string} */ title, /** @type {() => void} */ onclick) =>
      make('button', { type: 'button', class: `avnb-${name}`, title, onclick }, name.toUpperCase());
    return make(
      'span',
      { class: 'avnb-saves' },
      button('png', 'save this picture as PNG', () => this.savePng()),
      button('svg', 'save the spectrogram as SVG', () => this.saveSvg())
    );
  }

  buildHelp() {
    const list = make('dl', {}, ...KEYS.flatMap(([keys, what]) => [make('dt', {}, keys), make('dd', {}, what)]));
    return make('details', { class: 'avnb-help' }, make('summary', {}, 'keys'), list);
  }

  /**
   * @param {string} name  of the view's option
   * @param {string} text
   * @param {HTMLElement} control
   * @param {string} [title]
   */
  labelled(name, text, control, title) {
    control.id = `${this.id}-${name}`;
    control.dataset.view = name;
    return make('span', { class: 'avnb-option', title }, make('label', { for: control.id }, text), control);
  }

  /**
   * @param {keyof ViewOptions} name
   * @param {string} text
   * @param {(string | number)[][]} options  [value, label]
   */
  choice(name, text, options) {
    const number = typeof options[0][0] === 'number';
    const onchange = (/** @type {any} */ e) => this.set(name, number ? +e.target.value : e.target.value);
    const select = make('select', { onchange }, ...options.map(([value, label]) => make('option', { value }, label)));
    return this.labelled(name, text, select);
  }

  /**
   * @param {keyof ViewOptions} name
   * @param {string} text
   */
  slider(name, text) {
    const oninput = (/** @type {any} */ e) => this.set(name, +e.target.value, false);
    const onchange = (/** @type {any} */ e) => this.set(name, +e.target.value);
    return this.labelled(name, text, make('input', { type: 'range', min: 0, max: 1, step: 0.05, oninput, onchange }));
  }

  /**
   * @param {keyof ViewOptions} name
   * @param {string} text
   * @param {string} title
   */
  checkbox(name, text, title) {
    const onchange = (/** @type {any} */ e) => this.set(name, e.target.checked);
    return this.labelled(name, text, make('input', { type: 'checkbox', onchange }), title);
  }

  // ---- what is switched on ----

  /**
   * @param {keyof ViewOptions} name
   * @param {any} value
   * @param {boolean} [tell]  the model
   */
  set(name, value, tell = true) {
    this.view = { ...this.view, [name]: value };
    if (tell) this.tell(this.view);
    this.apply(name);
  }

  /** @param {ViewOptions} view */
  tell(view) {
    this.view = this.told = view;
    this.model.set('view', view);
    this.model.save_changes();
  }

  follow() {
    const view = this.model.get('view');
    if (view === this.told) return;
    this.view = { ...VIEW, ...view };
    this.sayView();
    if (this.scene.panels) this.apply('all');
  }

  /** The controls say what is on; a map that this scene does not have falls back to one that it has. */
  sayView() {
    for (const c of /** @type {NodeListOf<any>} */ (this.root.querySelectorAll('[data-view]'))) {
      const value = this.view[/** @type {keyof ViewOptions} */ (c.dataset.view)];
      if (c.type === 'checkbox') c.checked = !!value;
      else c.value = value;
      if (c.tagName === 'SELECT' && c.selectedIndex < 0) c.selectedIndex = 0;
    }
  }

  /** @param {keyof ViewOptions | 'all'} name */
  apply(name) {
    if (['speed', 'volume', 'hear', 'all'].includes(name)) this.tune();
    if (['layer', 'band', 'colour', 'opacity', 'per', 'contours', 'all'].includes(name))
      for (const p of this.panels) p.soundKey = null;
    this.draw();
  }

  // ---- media and clock ----

  openMedia() {
    const { scene } = this;
    this.media = scene.media.map(data => this.openMedium(bytes(data, Uint8Array)));
    this.poster = null;
    const jpeg = bytes(scene.poster, Uint8Array);
    if (jpeg.length) {
      const image = new Image();
      image.onload = () => {
        if (this.scene !== scene) return;
        this.poster = image;
        this.draw();
      };
      image.src = this.urlOf(jpeg, 'image/jpeg');
    }
    this.ear = Math.min(this.view.hear, this.media.length - 1);
    this.tune();
  }

  /**
   * @param {Uint8Array<ArrayBuffer>} data
   * @param {string} type
   */
  urlOf(data, type) {
    const url = URL.createObjectURL(new Blob([data], { type }));
    this.urls.push(url);
    return url;
  }

  /** @param {Uint8Array<ArrayBuffer>} data */
  openMedium(data) {
    const about = { class: 'avnb-media', playsinline: true, preload: 'auto', 'aria-hidden': 'true', tabindex: '-1' };
    const m = /** @type {Medium} */ (make('video', about));
    m.src = this.urlOf(data, data[0] === RIFF ? 'audio/wav' : 'video/mp4');
    // New media begin where the old ones stood: seek() cannot move a medium whose length is not known yet.
    m.begun = false;
    m.addEventListener('loadedmetadata', () => (m.begun = true)); // also of a sound that is not heard yet
    m.addEventListener('play', () => this.sayPlaying());
    m.addEventListener('pause', () => this.sayPlaying());
    m.addEventListener('error', () => {
      const why = m.error ? m.error.message || `error ${m.error.code}` : 'unknown';
      if (m.getAttribute('src')) this.note(`This browser cannot play the sound: ${why}`);
    });
    this.followMedium(m);
    if (m.requestVideoFrameCallback && this.scene.frames) this.followFrames(m);
    this.panels[0].canvas.picture.parentElement.prepend(m);
    return m;
  }

  /**
   * Media that were dropped may still have events under way: only the one that is heard now has a say.
   * @param {Medium} m
   */
  followMedium(m) {
    const on = (/** @type {string} */ name, /** @type {() => void} */ f) =>
      m.addEventListener(name, () => {
        if (m === this.sound) f();
      });
    on('loadedmetadata', () => {
      if (this.time) this.seek(this.time);
    });
    on('loadeddata', () => {
      if (!m.seeking) this.looked(m, null);
    });
    on('seeked', () => this.looked(m, null));
    on('ended', () => this.ended());
    on('playing', () => this.gone || this.root.querySelector('.avnb-trouble')?.remove());
  }

  /** @param {Medium} m */
  followFrames(m) {
    /** @type {VideoFrameRequestCallback} */
    const next = (_, shown) => {
      if (this.closed || !m.getAttribute('src')) return;
      this.stats.lead = Math.max(0, shown.expectedDisplayTime - performance.now()) / 1000;
      if (m === this.sound && !m.seeking) this.looked(m, shown.mediaTime);
      m.requestVideoFrameCallback(next);
    };
    m.requestVideoFrameCallback(next);
  }

  /** @param {string} text  of trouble */
  note(text) {
    let line = this.root.querySelector('.avnb-trouble');
    if (!line) {
      line = make('p', { class: 'avnb-note avnb-trouble', role: 'alert' });
      this.root.prepend(line);
    }
    line.textContent = text;
  }

  tune() {
    const ear = Math.min(this.view.hear, this.media.length - 1);
    if (ear !== this.ear) {
      const was = this.playing;
      const t = this.time;
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
    const [from, to] = this.stretch();
    if (this.time < from - 0.01 || this.time > to - 0.02) this.seek(from);
    this.stats.frames = new Set([this.frame]);
    this.stats.off = [];
    this.sound.play().catch(e => {
      if (e.name !== 'AbortError') this.note(e.name === 'NotAllowedError' ? CLICK_FIRST : e.message);
    });
    this.tick();
  }

  pause() {
    for (const m of this.media) m.pause();
  }

  ended() {
    if (!this.view.loop) {
      this.sayPlaying();
      return;
    }
    this.seek(this.stretch()[0]);
    this.sound.play().catch(() => {});
    this.tick();
  }

  loopAll() {
    this.view = { ...this.view, from: null };
    this.set('to', null);
  }

  /** What is looped: from, to. */
  stretch() {
    const { from, to } = this.view;
    const { seconds } = this.scene;
    const chosen = from != null && to != null && to > from && from < seconds;
    return chosen ? [Math.max(0, from), Math.min(to, seconds)] : [0, seconds];
  }

  /**
   * While it plays: the line follows the sound's clock; frames and maps follow the frame the browser has just shown.
   */
  tick() {
    if (this.ticking) return;
    this.ticking = true;
    const go = () => {
      if (this.closed || !this.playing) {
        this.ticking = false;
        return;
      }
      const m = this.sound;
      const { frames, fps, seconds } = this.scene;
      const [from, to] = this.stretch();
      if (this.view.loop && m.currentTime >= to - 0.005 && to < seconds - 0.02) this.seek(from);
      if (frames && !m.seeking) {
        // Frames from the middle of the frame on the screen to the sound's clock.
        const clock = (m.currentTime + (this.stats.lead || 0) * m.playbackRate) * fps;
        this.stats.off.push(clock - this.frame - 0.5);
      }
      if (!m.requestVideoFrameCallback || !frames) this.looked(m, null);
      else if (!this.calm.matches) this.drawLines(m.currentTime);
      requestAnimationFrame(go);
    };
    requestAnimationFrame(go);
  }

  /**
   * The medium shows a frame.
   * @param {Medium} m
   * @param {number | null} mediaTime  of the frame, s; null: whatever belongs to the medium's clock
   */
  looked(m, mediaTime) {
    if (!m.begun) return; // its first frame can come before its length is known, and would move us to the start
    const t = Math.min(m.currentTime, this.scene.seconds);
    this.frame = mediaTime == null ? this.frameAt(t) : this.frameAt(mediaTime, 0.5);
    if (this.playing) this.stats.frames.add(this.frame);
    this.time = t;
    if (!this.lock && this.hover?.kind === 'picture') {
      this.hover = { ...this.hover, time: t };
      this.answerTo(this.hover); // the patch under a resting finger changes with the picture
    } else this.draw();
    this.reword();
  }

  /**
   * The frame that is shown at a time.
   * @param {number} t  s
   * @param {number} [early]  by how much of a frame it may begin later
   */
  frameAt(t, early = INSIDE) {
    const { fps, frames } = this.scene;
    return frames ? Math.min(frames - 1, Math.floor(t * fps + early)) : 0;
  }

  /** @param {number} t  s */
  seek(t) {
    this.time = clamp(t, 0, this.scene.seconds);
    const m = this.sound;
    if (m?.readyState) m.currentTime = Math.min(this.time, Math.max(0, (m.duration || this.time) - 0.001));
    if (this.playing) return;
    this.frame = this.frameAt(this.time);
    this.draw();
    this.reword();
  }

  /** @param {number} k  frames on */
  step(k) {
    this.pause();
    const { fps, frames } = this.scene;
    this.seek(frames ? (clamp(this.frame + k, 0, frames - 1) + 0.5) / fps : this.time + k * 0.05);
  }

  sayPlaying() {
    const on = this.playing;
    this.root.dataset.playing = String(on);
    this.playButton.replaceChildren(icon(on ? 'pause' : 'play'));
    this.playButton.setAttribute('aria-label', on ? 'pause' : 'play');
    if (on) this.tick();
    else this.drawLines(this.time);
  }

  // ---- keys ----

  /** @param {KeyboardEvent & { target: HTMLElement }} e */
  key(e) {
    if (e.ctrlKey || e.metaKey || e.altKey || !this.scene.panels) return;
    const act = this.actsAt(e.target)[e.key.length === 1 ? e.key.toLowerCase() : e.key];
    if (!act) return;
    act();
    e.preventDefault();
    e.stopPropagation();
  }

  /**
   * What each key does where the focus is: a control keeps the keys that it needs itself.
   * @param {HTMLElement} focus
   * @returns {Record<string, () => void>}
   */
  actsAt(focus) {
    const control = /** @type {HTMLInputElement | null} */ (focus.closest('select, input, button, summary'));
    const canvas = /** @type {Surface | null} */ (focus.closest('canvas[role=application]'));
    const acts = /** @type {Record<string, () => void>} */ ({
      l: () => this.hold(),
      Escape: () => this.setLock(null),
      '[': () => this.set('from', this.time),
      ']': () => this.set('to', this.time),
      o: () => this.loopAll()
    });
    if (control?.tagName !== 'SELECT') {
      acts[','] = () => this.step(-1);
      acts['.'] = () => this.step(1);
    }
    if (!control) acts[' '] = () => this.toggle();
    if (canvas) for (const [name, step] of Object.entries(ARROWS)) acts[name] = () => this.move(canvas, step);
    else if (!control || focus === this.scrub) {
      acts.ArrowLeft = () => this.step(-1);
      acts.ArrowRight = () => this.step(1);
      acts.Home = () => this.seek(this.stretch()[0]);
    }
    return acts;
  }

  /**
   * Listen to the waveform: a click goes there, a drag loops a stretch.
   * @param {Panel} p
   */
  scrubbing(p) {
    const canvas = p.canvas.wave;
    /** @type {[number, number] | null} */
    let start = null; // s, CSS pixels
    const time = (/** @type {PointerEvent} */ e) => {
      const box = this.boxOf(p, 'wave');
      const x = e.clientX - canvas.getBoundingClientRect().left - box.x;
      return clamp(x / box.w, 0, 1) * this.scene.seconds;
    };
    const dragged = (/** @type {PointerEvent} */ e) => Math.abs(e.clientX - start[1]) > DRAG;
    canvas.addEventListener('pointerdown', e => {
      start = [time(e), e.clientX];
      canvas.setPointerCapture(e.pointerId);
    });
    canvas.addEventListener('pointermove', e => {
      if (!start || !dragged(e)) return;
      const t = time(e);
      this.view = { ...this.view, from: Math.min(t, start[0]), to: Math.max(t, start[0]), loop: true };
      this.draw();
    });
    canvas.addEventListener('pointerup', e => {
      if (!start) return;
      if (dragged(e)) {
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

  // ---- saving ----

  savePng() {
    this.draw();
    asCanvas(this).toBlob(image => offer(image, `${this.scene.title}.png`));
  }

  svg() {
    return asSvg(this);
  }

  saveSvg() {
    this.draw();
    offer(new Blob([this.svg()], { type: 'image/svg+xml' }), `${this.scene.title}.svg`);
  }
}

const widget = {
  /** @param {{ model: Model, el: HTMLElement }} view */
  render({ model, el }) {
    const view = new View(model, el);
    return () => view.close();
  }
};
export default widget;

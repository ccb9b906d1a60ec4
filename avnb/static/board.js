// Clips to see and hear, as cards or as points of a plane. Pictures and sound come from the kernel when somebody looks,
// once each.
/** @import { Model } from './types.js' */
import { FULL_CIRCLE, make, makeSvg } from './elements.js';
import { whenGone } from './kernel.js';

/**
 * A clip of the board, from `ClipBoard.items`.
 * @typedef {{ row: number, title: string, facts: string, mass?: number | null }} Item  mass: length of its bar, 0 ... 1
 *
 * What draws the shape of a point: a canvas' path, or a path of an SVG.
 * @typedef {Pick<CanvasPath, 'moveTo' | 'lineTo' | 'closePath' | 'rect' | 'arc'>} Path
 *
 * `ClipBoard.legend`.
 * @typedef {object} Legend
 * @property {string} [title]
 * @property {number[][]} [bar]  RGB along a scale
 * @property {string} [lo]  its ends
 * @property {string} [hi]
 * @property {{ shape: number, rgb: number[], label: string }[]} [entries]
 */

const GONE = 'The kernel is gone: clips that were not shown yet cannot be fetched. Run the cell again.';
const WAIT = 90; // ms until a clip plays that is pointed at
const INSET = 14; // of the plane's points from its edges, CSS pixels
const REACH = 16; // how far from a point a mouse may be, CSS pixels
const ANYWHERE = 1e5;

/** Whether films begin by a click only. */
const still = () => matchMedia('(prefers-reduced-motion: reduce)').matches;

/**
 * Numbers of a trait of bytes.
 * @template {Float32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>} T
 * @param {Model} model
 * @param {string} name
 * @param {new (...buffer: any[]) => T} Type
 * @returns {T}
 */
function numbers(model, name, Type) {
  const d = /** @type {DataView | undefined} */ (model.get(name));
  return d?.byteLength ? new Type(d.buffer.slice(d.byteOffset, d.byteOffset + d.byteLength)) : new Type(0);
}

/**
 * A path around (x, y); every shape has about the same area.
 * @param {Path} path
 * @param {number} shape  0 circle, 1 square, 2 triangle, else diamond
 * @param {number} x
 * @param {number} y
 * @param {number} r
 */
export function outline(path, shape, x, y, r) {
  if (shape === 0) {
    path.moveTo(x + r, y);
    path.arc(x, y, r, 0, FULL_CIRCLE);
  } else if (shape === 1) path.rect(x - r * 0.88, y - r * 0.88, r * 1.76, r * 1.76);
  else if (shape === 2) {
    path.moveTo(x, y - r * 1.25);
    path.lineTo(x + r * 1.15, y + r * 0.85);
    path.lineTo(x - r * 1.15, y + r * 0.85);
    path.closePath();
  } else {
    path.moveTo(x, y - r * 1.3);
    path.lineTo(x + r * 1.3, y);
    path.lineTo(x, y + r * 1.3);
    path.lineTo(x - r * 1.3, y);
    path.closePath();
  }
}

/**
 * The point nearest to (x, y); with a direction only points that way, the straight ones first.
 * @param {Float32Array} xy  pairs, pixels
 * @param {number} x
 * @param {number} y
 * @param {number} reach
 * @param {number} [dx]  the direction, of length 1
 * @param {number} [dy]
 * @returns {number}  -1 where there is none
 */
export function nearest(xy, x, y, reach, dx = 0, dy = 0) {
  let best = -1;
  let least = reach * reach;
  for (let i = 0; i < xy.length / 2; i++) {
    const u = xy[2 * i] - x;
    const v = xy[2 * i + 1] - y;
    const along = u * dx + v * dy;
    if ((dx || dy) && along <= 0.5) continue;
    const d = u * u + v * v + (dx || dy ? 4 * (u * u + v * v - along * along) : 0);
    if (d < least) {
      least = d;
      best = i;
    }
  }
  return best;
}

/** Thumbnails and videos of rows, each asked for once. */
class Library {
  /** @type {Map<string, Promise<string>>} */ known = new Map();
  /** @type {Map<string, { done: (url: string) => void, fail: (why: Error) => void }>} */ waiting = new Map();

  /**
   * @param {Model} model
   * @param {HTMLElement} root
   */
  constructor(model, root) {
    this.model = model;
    this.arrive = this.arrive.bind(this);
    this.forget = whenGone(model, root, () => {
      for (const w of this.waiting.values()) w.fail(new Error(GONE)); // nobody will answer
      this.waiting.clear();
    });
    model.on('msg:custom', this.arrive);
  }

  /**
   * @param {{ kind: string, row: number, why: string, mime: string }} message  why: there are no bytes
   * @param {DataView<ArrayBuffer>[]} buffers
   */
  arrive({ kind, row, why, mime }, buffers) {
    const asked = this.waiting.get(`${kind} ${row}`);
    this.waiting.delete(`${kind} ${row}`);
    if (why) asked?.fail(new Error(why));
    else asked?.done(URL.createObjectURL(new Blob([buffers[0]], { type: mime })));
  }

  /**
   * The address of a clip's bytes; fails with the kernel's reason.
   * @param {'thumb' | 'video'} kind
   * @param {number} row
   */
  get(kind, row) {
    const key = `${kind} ${row}`;
    if (!this.known.has(key)) {
      this.known.set(key, new Promise((done, fail) => this.waiting.set(key, { done, fail })));
      this.known.get(key).catch(() => {});
      try {
        this.model.send({ kind, row });
      } catch {
        this.waiting.get(key).fail(new Error(GONE));
        this.waiting.delete(key);
      }
    }
    return this.known.get(key);
  }

  /**
   * A picture that fades in when it is there, or the reason why there is none.
   * @param {number} row
   */
  thumbnail(row) {
    const box = make('span', { class: 'avnb-pic' });
    this.get('thumb', row).then(
      src => box.prepend(make('img', { alt: '', src, draggable: 'false' })),
      e => box.append(make('span', { class: 'avnb-why' }, e.message))
    );
    return box;
  }

  close() {
    this.forget();
    this.model.off('msg:custom', this.arrive);
    for (const url of this.known.values()) url.then(URL.revokeObjectURL, () => {});
  }
}

/** One video for all cards or points, with sound where the browser allows it. */
class Projector {
  video = make('video', { class: 'avnb-video', loop: true, playsinline: true });
  row = -1;
  timer = 0;
  loud = true;

  /**
   * @param {HTMLElement} root
   * @param {Library} library
   * @param {HTMLElement} line  for what there is to say
   */
  constructor(root, library, line) {
    this.root = root;
    this.library = library;
    this.line = line;
    root.dataset.playing = '';
  }

  /**
   * @param {number} row
   * @param {Element} place
   * @param {number} [wait]  ms
   */
  play(row, place, wait = 0) {
    if (this.row === row) return;
    this.stop();
    this.row = row;
    this.timer = setTimeout(() => this.start(row, place), wait);
  }

  /**
   * @param {number} row
   * @param {Element} place
   */
  async start(row, place) {
    const { video } = this;
    try {
      const src = await this.library.get('video', row);
      if (this.row !== row) return;
      place.append(video);
      video.src = src;
      video.muted = !this.loud;
      await video.play().catch(() => this.row === row && this.startMuted());
      if (this.row === row) this.root.dataset.playing = String(row);
    } catch (e) {
      if (this.row !== row) return;
      this.root.dataset.playing = 'error';
      this.line.textContent = /** @type {Error} */ (e).message;
    }
  }

  async startMuted() {
    this.video.muted = true;
    await this.video.play();
    this.line.textContent = 'Muted: click once, then there is sound.';
  }

  stop() {
    clearTimeout(this.timer);
    this.row = -1;
    this.video.pause();
    this.video.removeAttribute('src');
    this.video.load();
    this.video.remove();
    this.root.dataset.playing = '';
  }

  /** @param {boolean} on */
  sound(on) {
    this.loud = on;
    this.video.muted = !on;
  }
}

/** What cards and plane have in common. */
class Board {
  line = make('p', { class: 'avnb-say', role: 'status' });

  /**
   * @param {Model} model
   * @param {HTMLElement} root
   * @param {Library} library
   */
  constructor(model, root, library) {
    this.model = model;
    this.root = root;
    this.library = library;
    this.projector = new Projector(root, library, this.line);
  }

  /** @returns {Item[]} */
  get items() {
    return this.model.get('items');
  }

  draw() {}

  stop() {
    this.projector.stop();
  }

  /** @param {number} row */
  choose(row) {
    this.model.set('chosen', row);
    this.model.save_changes();
  }
}

class Cards extends Board {
  list = make('ul', { class: 'avnb-cards' });
  /** @type {Map<number, ReturnType<Cards['build']>>} */ cards = new Map();

  /**
   * @param {Model} model
   * @param {HTMLElement} root
   * @param {Library} library
   */
  constructor(model, root, library) {
    super(model, root, library);
    root.append(this.list, this.line);
  }

  /** @param {number} row */
  build(row) {
    const picture = this.library.thumbnail(row);
    const title = make('span', { class: 'avnb-title' });
    const facts = make('span', { class: 'avnb-facts' });
    const bar = make('span');
    const mass = make('span', { class: 'avnb-mass' }, bar);
    const attributes = { type: 'button', class: 'avnb-card', 'data-row': row };
    const button = make('button', attributes, picture, title, mass, facts);
    this.listen(button, row, picture);
    return { element: make('li', {}, button), button, title, facts, mass, bar };
  }

  /**
   * @param {HTMLButtonElement} button
   * @param {number} row
   * @param {Element} picture
   */
  listen(button, row, picture) {
    const watch = () => {
      this.root.dataset.hover = String(row);
      if (!still()) this.projector.play(row, picture, WAIT);
    };
    const leave = () => {
      if (this.projector.row === row) this.projector.stop();
      this.root.dataset.hover = '';
    };
    for (const name of ['pointerenter', 'focus']) button.addEventListener(name, watch);
    for (const name of ['pointerleave', 'blur']) button.addEventListener(name, leave);
    button.addEventListener('click', () => {
      this.projector.play(row, picture);
      this.choose(row);
    });
    button.addEventListener('keydown', e => {
      if (e.key === 'Escape') this.projector.stop();
      if (e.key !== 'ArrowRight' && e.key !== 'ArrowLeft') return;
      const all = [...this.list.querySelectorAll('button')];
      all[all.indexOf(button) + (e.key === 'ArrowRight' ? 1 : -1)]?.focus();
      e.preventDefault();
      e.stopPropagation();
    });
  }

  draw() {
    const { items, list, cards } = this;
    const rows = new Set(items.map(item => item.row));
    for (const [row, card] of cards) {
      if (rows.has(row)) continue;
      card.element.remove();
      cards.delete(row);
      if (this.projector.row === row) this.projector.stop();
    }
    items.forEach((item, k) => {
      if (!cards.has(item.row)) cards.set(item.row, this.build(item.row));
      const { element } = cards.get(item.row);
      this.fill(item);
      if (list.children[k] !== element) list.insertBefore(element, list.children[k] || null);
    });
    this.line.textContent = items.length ? '' : this.model.get('empty');
    this.root.dataset.count = String(items.length);
    this.root.dataset.rows = items.map(item => item.row).join(' ');
  }

  /** @param {Item} item */
  fill(item) {
    const card = this.cards.get(item.row);
    card.title.textContent = item.title;
    card.facts.textContent = item.facts;
    card.mass.hidden = item.mass == null;
    if (item.mass != null) {
      card.bar.style.width = `${100 * Math.min(1, item.mass)}%`;
      card.button.dataset.mass = String(item.mass);
    }
    card.button.setAttribute('aria-label', `${item.title}. ${item.facts}`);
    card.button.setAttribute('aria-pressed', String(item.row === this.model.get('chosen')));
  }
}

class Plane extends Board {
  canvas = make('canvas', { tabindex: 0, role: 'application' });
  frame = make('div', { class: 'avnb-frame' });
  title = make('div', { class: 'avnb-title', role: 'status' });
  facts = make('div', { class: 'avnb-facts' });
  legend = make('div', { class: 'avnb-legend' });
  /** Where the points are, pairs, CSS pixels. */
  points = new Float32Array(0);
  /** The point that is looked at; -1: none. */
  on = -1;
  due = 0;
  /** @type {Item[] | null} */ drawn = null;

  /**
   * @param {Model} model
   * @param {HTMLElement} root
   * @param {Library} library
   */
  constructor(model, root, library) {
    super(model, root, library);
    const side = make('div', { class: 'avnb-side' }, this.frame, this.title, this.facts, this.line, this.legend);
    root.append(make('div', { class: 'avnb-plane' }, this.canvas, side));
    this.listen();
    this.size = new ResizeObserver(() => {
      this.spread();
      this.redraw();
    });
    this.size.observe(this.canvas);
    this.theme = new MutationObserver(() => this.redraw());
    this.theme.observe(document.body, { attributes: true, attributeFilter: ['data-jp-theme-light', 'class'] });
  }

  stop() {
    super.stop();
    this.size.disconnect();
    this.theme.disconnect();
  }

  listen() {
    const { canvas, projector } = this;
    const find = (/** @type {MouseEvent} */ e) => nearest(this.points, e.offsetX, e.offsetY, REACH);
    canvas.addEventListener('pointermove', e => this.look(find(e), WAIT));
    canvas.addEventListener('pointerleave', () => {
      projector.stop();
      this.look(-1);
    });
    canvas.addEventListener('click', e => {
      this.look(find(e));
      this.chooseThis();
    });
    canvas.addEventListener('blur', () => projector.stop());
    canvas.addEventListener('keydown', e => {
      const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key];
      if (e.key === 'Enter' || e.key === ' ') this.chooseThis();
      else if (e.key === 'Escape') {
        projector.stop();
        this.look(-1);
      } else if (way) this.move(way[0], way[1]);
      else return;
      e.preventDefault();
      e.stopPropagation();
    });
  }

  /**
   * To the next point that way, or to one in the middle.
   * @param {number} dx
   * @param {number} dy
   */
  move(dx, dy) {
    const { canvas, points, on } = this;
    const middle = [canvas.clientWidth / 2, canvas.clientHeight / 2];
    const i =
      on < 0
        ? nearest(points, middle[0], middle[1], ANYWHERE)
        : nearest(points, points[2 * on], points[2 * on + 1], ANYWHERE, dx, dy);
    if (i >= 0) this.look(i);
  }

  /**
   * @param {number} i  number of the point; -1: none
   * @param {number} [wait]  ms until it plays
   */
  look(i, wait = 0) {
    if (i === this.on) return;
    this.on = i;
    const item = this.items[i];
    this.root.dataset.hover = item ? String(item.row) : '';
    this.redraw();
    if (!item) return; // the last one stays in view and goes on playing
    this.title.textContent = item.title;
    this.facts.textContent = item.facts;
    this.line.textContent = '';
    if (this.frame.dataset.row !== String(item.row)) {
      this.frame.dataset.row = String(item.row);
      this.frame.replaceChildren(this.library.thumbnail(item.row));
    }
    if (!still()) this.projector.play(item.row, this.frame.firstElementChild, wait);
  }

  chooseThis() {
    const item = this.items[this.on];
    if (!item) return;
    if (still()) this.projector.play(item.row, this.frame.firstElementChild);
    this.choose(item.row);
  }

  // ---- drawing ----

  draw() {
    if (this.drawn !== this.items) this.on = -1;
    this.drawn = this.items;
    this.spread();
    this.explain();
    const keys = 'Arrow keys go from clip to clip, Enter chooses one.';
    this.canvas.setAttribute('aria-label', `${this.model.get('label')}. ${keys}`);
    this.redraw();
    if (this.frame.firstChild) return;
    this.title.textContent = 'Point at a clip';
    this.facts.textContent = 'It plays, with sound. A click chooses it.';
  }

  spread() {
    const size = [this.canvas.clientWidth - 2 * INSET, this.canvas.clientHeight - 2 * INSET];
    this.points = numbers(this.model, 'xy', Float32Array).map((v, i) => INSET + v * size[i % 2]);
  }

  redraw() {
    this.due ||= requestAnimationFrame(() => {
      this.due = 0;
      this.drawPoints();
    });
  }

  drawPoints() {
    const { canvas, model } = this;
    const { clientWidth: w, clientHeight: h } = canvas;
    if (!w || !h) return;
    const ratio = devicePixelRatio || 1;
    const [width, height] = [Math.round(w * ratio), Math.round(h * ratio)];
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    this.spread();
    const g = canvas.getContext('2d');
    const ink = getComputedStyle(this.root).color;
    const rgb = numbers(model, 'rgb', Uint8Array);
    const shape = numbers(model, 'shape', Uint8Array);
    const n = this.points.length / 2;
    const r = n > 1200 ? 3 : n > 300 ? 4 : 6;
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.clearRect(0, 0, w, h);
    g.lineWidth = 0.7;
    g.strokeStyle = ink;
    for (let i = 0; i < n; i++) {
      g.beginPath();
      outline(g, shape[i], this.points[2 * i], this.points[2 * i + 1], r);
      g.globalAlpha = 0.9;
      g.fillStyle = `rgb(${rgb.subarray(3 * i, 3 * i + 3)})`;
      g.fill();
      g.globalAlpha = 0.45;
      g.stroke();
    }
    g.globalAlpha = 1;
    const chosen = this.items.findIndex(item => item.row === model.get('chosen'));
    this.drawRing(g, chosen, r + 6, 2.5);
    this.drawRing(g, this.on, r + 4, 1.5);
    this.root.dataset.points = String(n);
  }

  /**
   * @param {CanvasRenderingContext2D} g
   * @param {number} i  number of the point; -1: none
   * @param {number} r
   * @param {number} width  of the line
   */
  drawRing(g, i, r, width) {
    if (i < 0) return;
    g.beginPath();
    g.arc(this.points[2 * i], this.points[2 * i + 1], r, 0, FULL_CIRCLE);
    g.lineWidth = width;
    g.stroke();
  }

  explain() {
    const { title = '', bar, lo, hi, entries = [] } = /** @type {Legend} */ (this.model.get('legend'));
    const parts = [make('div', { class: 'avnb-legend-title' }, title)];
    if (bar) {
      const colours = bar.map(c => `rgb(${c})`).join(',');
      const scale = make('div', { class: 'avnb-scale' });
      scale.style.background = `linear-gradient(to right, ${colours})`;
      parts.push(scale, make('div', { class: 'avnb-ends' }, make('span', {}, lo), make('span', {}, hi)));
    }
    const list = entries.map(({ shape, rgb, label }) => make('li', {}, swatch(shape, rgb), make('span', {}, label)));
    this.legend.replaceChildren(...parts, make('ul', {}, ...list));
  }
}

/**
 * The shape of a point, for the legend.
 * @param {number} shape
 * @param {number[]} rgb
 */
function swatch(shape, rgb) {
  const d = /** @type {string[]} */ ([]);
  /** @type {Path} */
  const path = {
    moveTo: (x, y) => d.push(`M${x} ${y}`),
    lineTo: (x, y) => d.push(`L${x} ${y}`),
    closePath: () => d.push('Z'),
    rect: (x, y, w, h) => d.push(`M${x} ${y}h${w}v${h}h${-w}Z`),
    arc: (_x, _y, r) => d.push(`a${r} ${r} 0 1 0 ${-2 * r} 0a${r} ${r} 0 1 0 ${2 * r} 0`)
  };
  outline(path, shape, 7, 7, 5);
  const filled = makeSvg('path', { d: d.join(''), fill: `rgb(${rgb})` });
  return makeSvg('svg', { viewBox: '0 0 14 14', 'aria-hidden': 'true' }, filled);
}

export default {
  /** @param {{ model: Model, el: HTMLElement }} view */
  render({ model, el }) {
    const mode = model.get('mode');
    const head = make('span', { class: 'avnb-head' });
    const heard = make('button', { type: 'button', class: 'avnb-heard' });
    const top = make('div', { class: 'avnb-top' }, head, heard);
    const root = make('div', { class: 'avnb-board', role: 'group', 'data-mode': mode }, top);
    el.append(root);
    const library = new Library(model, root);
    const board = new (mode === 'plane' ? Plane : Cards)(model, root, library);
    const mute = (/** @type {boolean} */ on) => {
      heard.setAttribute('aria-pressed', String(on));
      heard.textContent = on ? 'Sound is on' : 'Sound is off';
      board.projector.sound(on);
    };
    heard.addEventListener('click', () => mute(heard.getAttribute('aria-pressed') !== 'true'));
    mute(true);
    const draw = () => {
      head.textContent = model.get('label');
      root.setAttribute('aria-label', model.get('label'));
      root.dataset.chosen = model.get('chosen');
      board.draw();
    };
    let due = 0;
    const soon = () => {
      due ||= requestAnimationFrame(() => {
        due = 0; // several traits change together: draw once
        draw();
      });
    };
    const events = ['items', 'xy', 'rgb', 'legend', 'chosen', 'label'].map(name => `change:${name}`);
    for (const e of events) model.on(e, soon);
    draw();
    return () => {
      for (const e of events) model.off(e, soon);
      cancelAnimationFrame(due);
      board.stop();
      library.close();
    };
  }
};

// What the player draws: sizes, the picture and the spectrogram under their maps, the waveform, the line in time.
/** @import { Answer, Box, DrawnMap, Kind, Layer, Medium, Offscreen, Panel, Scene, Sound, Surface } from './types.js' */
/** @import { Target, ViewOptions } from './types.js' */
import { FULL_CIRCLE } from './elements.js';
import { blend, checksum, clamp, contour, enlarge, hzTicks, moment } from './player_arithmetic.js';
import { place, range, rescale, rescaleSigned, rowOf, timeTicks, toPixels } from './player_arithmetic.js';

/** @typedef {CanvasRenderingContext2D} Pen */

// CSS pixels. LEFT and GAP stand in player.css as well.
const GAP = 16; // between panels, and between a picture and its spectrogram
const LEFT = 44; // beside spectrogram and waveform, for the frequencies
const RIGHT = 46; // beside them, for how attention spreads over the frequencies
const EDGE = 4; // above and below the spectrogram
const WAVE_EDGE = 2; // above the waveform
const TIMES = 16; // below the waveform, for the times
const ENLARGED = 160; // about so many points along a map's longer side, 12 for a cell at most

const FONT = '11px system-ui, sans-serif';
const MARK = '#4ff0ff'; // what is pointed at
export const DIVERGING = 'PuOr_r'; // the colours of a difference
/** @type {Record<Kind, Record<string, string>>} */
export const NAMES = {
  picture: {
    alone: 'vision alone',
    guided: 'guided by the sound',
    difference: 'difference: guided − alone',
    none: 'no map'
  },
  sound: {
    alone: 'frequency alone',
    guided: 'guided by the picture',
    difference: 'difference: guided − alone',
    none: 'no map'
  }
};

/**
 * The context of a surface, in CSS pixels.
 * @param {Surface} canvas
 */
function penOf(canvas) {
  const g = canvas.getContext('2d');
  g.setTransform(canvas.ratio, 0, 0, canvas.ratio, 0, 0);
  return g;
}

/**
 * @param {Surface} canvas
 * @param {number} w  CSS pixels
 * @param {number} h
 */
function resize(canvas, w, h) {
  canvas.ratio = Math.min(2, window.devicePixelRatio || 1);
  canvas.w = w;
  canvas.h = h;
  canvas.width = Math.max(1, Math.round(w * canvas.ratio));
  canvas.height = Math.max(1, Math.round(h * canvas.ratio));
  canvas.style.width = `${w}px`;
  canvas.style.height = `${h}px`;
}

/**
 * A rectangle's outline that stands out from any ground.
 * @param {Pen} g
 * @param {Box} box
 * @param {number[]} [dash]
 * @param {string} [colour]
 */
function strokeBox(g, { x, y, w, h }, dash = [], colour = '#fff') {
  g.setLineDash(dash);
  g.strokeStyle = '#000';
  g.lineWidth = 3.6;
  g.strokeRect(x, y, w, h);
  g.strokeStyle = colour;
  g.lineWidth = 1.8;
  g.strokeRect(x, y, w, h);
  g.setLineDash([]);
}

/**
 * [level, width of its line] of the contours of a map.
 * @param {DrawnMap} now
 */
export function levels(now) {
  // prettier-ignore
  return now.signed ? [[0.5, 1.6], [-0.5, 1.6]] : [[0.5, 1], [0.85, 2]];
}

/**
 * @param {Pen} g
 * @param {DrawnMap} now
 * @param {Box} box
 * @param {boolean} [upwards]  row 0 is below
 */
function drawContours(g, now, box, upwards = false) {
  const X = (/** @type {number} */ u) => box.x + (u / now.w) * box.w;
  const Y = (/** @type {number} */ u) => box.y + (upwards ? 1 - u / now.h : u / now.h) * box.h;
  for (const [level, width] of levels(now)) {
    const path = new Path2D();
    for (const [x0, y0, x1, y1] of contour(now.v, now.h, now.w, level)) {
      path.moveTo(X(x0), Y(y0));
      path.lineTo(X(x1), Y(y1));
    }
    g.strokeStyle = 'rgba(0,0,0,.7)';
    g.lineWidth = width + 1.6;
    g.stroke(path);
    g.strokeStyle = '#fff';
    g.lineWidth = width;
    g.stroke(path);
  }
}

/**
 * A spectrogram in grey on a canvas of its own, low frequencies below.
 * @param {NonNullable<Sound['spec']>} spec
 * @returns {HTMLCanvasElement}
 */
export function spectrogram(spec) {
  const [T, F] = spec.shape;
  const image = new ImageData(T, F);
  const v = rescale(spec.x, spec.lo, spec.hi);
  for (let t = 0; t < T; t++)
    for (let f = 0; f < F; f++) {
      const o = 4 * ((F - 1 - f) * T + t);
      image.data[o] = image.data[o + 1] = image.data[o + 2] = 18 + 228 * v[t * F + f] ** 2;
      image.data[o + 3] = 255;
    }
  const canvas = document.createElement('canvas');
  canvas.width = T;
  canvas.height = F;
  canvas.getContext('2d').putImageData(image, 0, 0);
  return canvas;
}

export class Drawing {
  /** @type {HTMLElement & { avnb: Drawing }} */ root;
  /** @type {HTMLElement} the panels' */ grid;
  /** @type {HTMLElement} */ clock;
  /** @type {HTMLInputElement} */ scrub;
  /** @type {Record<string, Uint8Array>} 256 colours, RGB */ lut;

  /** @type {Scene} */ scene;
  /** @type {Panel[] | null} null while there is nothing to show */ panels;
  /** @type {Sound[]} */ sounds;
  /** @type {Medium[]} of each sound */ media = [];
  /** @type {HTMLImageElement | null} the first frame, until the medium has one */ poster;
  /** @type {Record<Kind, string[]>} names of the maps that there are */ layers;

  /** @type {ViewOptions} */ view;
  /** @type {number} of the sound that is heard */ ear;
  /** @type {number} s from the clip's start */ time;
  /** @type {number} */ frame;
  /** @type {Target | null} what the mouse or the keys point at */ hover;
  /** @type {Target | null} what is held */ lock;
  /** @type {string | undefined} the cells that the answers are of */ asked;
  /** @type {boolean} */ closed;

  /** @type {number} of the root, CSS pixels */ width;
  /** @type {string} colour of text */ ink;
  /** @type {string} */ accent;
  /** @type {string | undefined} what the exposed checksum of the sound's maps is of */ heardKey;

  /**
   * Frames drawn since it plays; distance of each drawn frame from the sound's clock (frames); when the first picture
   * was there (ms); until the screen shows what is drawn now (s).
   * @type {{ frames: Set<number>, off: number[], first: number | null, lead?: number }}
   */
  stats = { frames: new Set(), off: [], first: null };

  /** The medium that is heard: the clock of everything. */
  get sound() {
    return this.media[this.ear];
  }

  /**
   * The layer that is shown: the one chosen, or the first where this scene does not have it.
   * @param {Kind} kind
   */
  layerName(kind) {
    const want = this.view[kind === 'picture' ? 'layer' : 'band'];
    const have = this.layers[kind];
    return want === 'none' || have.includes(want) ? want : (have[0] ?? 'none');
  }

  // ---- sizes ----

  /** How many panels stand side by side, and how large everything in one is, CSS pixels. */
  layout() {
    const n = this.panels.length;
    const W = this.width;
    const [rows, pixels] = this.scene.size;
    const columns = n === 1 || W < 700 ? 1 : n === 3 && W >= 840 ? 3 : 2;
    const each = (W - GAP * (columns - 1)) / columns;
    const wide = each >= 500; // picture and spectrogram side by side
    const single = clamp(Math.min(W * 0.4, window.innerHeight * 0.42), 220, 520);
    const tall = n === 1 ? single : n === 2 || wide ? 270 : 230;
    const w = rows ? Math.min(wide ? each * 0.5 : each, (tall * pixels) / rows) : 0;
    const h = rows ? (w * rows) / pixels : 0;
    const wave = n === 1 ? 64 : 44;
    const spec = wide ? Math.max(140, Math.min(tall, 380) - wave, h - wave) : 150;
    return { columns, wide, w, h, right: wide && rows ? each - w - GAP : each, spec, wave };
  }

  arrange() {
    if (!this.panels || !this.scene.panels) return;
    this.width = this.root.clientWidth || 900;
    const { columns, wide, w, h, right, spec, wave } = this.layout();
    this.grid.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
    this.root.classList.toggle('avnb-wide', wide);
    for (const p of this.panels) {
      p.element.classList.toggle('avnb-nopicture', !h);
      p.bars.picture.element.parentElement.style.width = wide ? `${w}px` : '';
      resize(p.canvas.picture, w, h);
      resize(p.canvas.sound, right, spec);
      resize(p.canvas.wave, right, wave);
      p.soundKey = p.groundKey = null;
    }
    for (const m of this.media) {
      m.style.width = `${w}px`;
      m.style.height = `${h}px`;
    }
    this.restyle();
  }

  restyle() {
    if (!this.panels) return;
    const style = getComputedStyle(this.root);
    this.ink = style.color;
    this.accent = style.getPropertyValue('--avnb-accent').trim() || '#0072B2';
    for (const p of this.panels) p.groundKey = null;
    this.draw();
  }

  /**
   * Where in a canvas the map lies.
   * @param {Panel} p
   * @param {Kind | 'wave'} kind
   * @returns {Box}
   */
  boxOf(p, kind) {
    const { w, h } = p.canvas[kind];
    if (kind === 'picture') {
      const [x0, y0, x1, y1] = this.scene.area;
      return { x: x0 * w, y: y0 * h, w: (x1 - x0) * w, h: (y1 - y0) * h };
    }
    const [above, below] = kind === 'sound' ? [EDGE, EDGE] : [WAVE_EDGE, TIMES];
    return { x: LEFT, y: above, w: Math.max(10, w - LEFT - RIGHT), h: h - above - below };
  }

  // ---- maps ----

  draw() {
    if (this.closed || !this.panels || !this.panels[0].canvas || !this.ink) return;
    for (const p of this.panels) {
      this.drawPicture(p);
      this.drawSound(p);
    }
    this.drawLines(this.time);
    this.expose();
  }

  /**
   * The chosen layer of a panel.
   * @param {Panel} p
   * @param {Kind} kind
   * @returns {Layer | undefined}
   */
  layerOf(p, kind) {
    return p[kind === 'picture' ? 'video' : 'audio'][this.layerName(kind)];
  }

  /**
   * Lowest and highest value of a map or an answer: over the clip, or over those of all panels.
   * @param {Layer} m
   * @param {Kind} kind
   * @param {Answer | null} answer  m, where m is one
   * @returns {[number, number]}
   */
  scaleOf(m, kind, answer) {
    if (this.view.per !== 'all') return [m.lo, m.hi];
    const same = this.panels.map(p => (answer ? p.answer : this.layerOf(p, kind))).filter(Boolean);
    const some = same.filter(q => Number.isFinite(q.lo)); // a map without a value has no scale
    return some.length ? [Math.min(...some.map(q => q.lo)), Math.max(...some.map(q => q.hi))] : [m.lo, m.hi];
  }

  /**
   * The picture's map now: what answers, or the chosen layer.
   * @param {Panel} p
   * @returns {DrawnMap | null}
   */
  pictureNow(p) {
    const answer = p.answer?.kind === 'picture' ? p.answer : null;
    const m = answer || this.layerOf(p, 'picture');
    if (!m) return null;
    const { seconds } = this.scene;
    const x = blend(m.x, m.cells, answer ? [moment(this.time, seconds, m.n), 0, 0] : place(this.time, seconds, m.n));
    const [lo, hi] = this.view.per === 'frame' ? range(x) : this.scaleOf(m, 'picture', answer);
    const most = Math.max(Math.abs(lo), Math.abs(hi));
    return {
      v: m.signed ? rescaleSigned(x, most) : rescale(x, lo, hi),
      h: m.shape[1],
      w: m.shape[2],
      lo: m.signed ? -most : lo,
      hi: m.signed ? most : hi,
      signed: m.signed,
      faint: !!answer,
      unit: answer ? 'cosine' : p.unit,
      eachMoment: false
    };
  }

  /**
   * The sound's map over all times: what answers, or the chosen layer.
   * @param {Panel} p
   * @returns {DrawnMap | null}
   */
  soundMap(p) {
    const answer = p.answer?.kind === 'sound' ? p.answer : null;
    const m = answer || this.layerOf(p, 'sound');
    if (!m) return null;
    const { n, cells: F, signed } = m;
    const eachMoment = this.view.per === 'frame' && !answer;
    const whole = this.scaleOf(m, 'sound', answer);
    const v = new Float32Array(n * F);
    for (let i = 0; i < n; i++) {
      const part = m.x.subarray(i * F, (i + 1) * F);
      const [lo, hi] = eachMoment ? range(part) : whole;
      const scaled = signed ? rescaleSigned(part, Math.max(Math.abs(lo), Math.abs(hi))) : rescale(part, lo, hi);
      for (let f = 0; f < F; f++) v[f * n + i] = scaled[f];
    }
    const [lo, hi] = whole;
    const unit = answer ? 'cosine' : p.unit;
    return { v, h: F, w: n, lo: signed ? -hi : lo, hi, signed, faint: !!answer, unit, eachMoment };
  }

  /**
   * A map as colours, enlarged as numbers first.
   * @param {Offscreen} canvas
   * @param {DrawnMap} now
   */
  heat(canvas, { v, h, w, signed, faint }) {
    const k = clamp(Math.floor(ENLARGED / Math.max(h, w)), 1, 12);
    const H = h * k;
    const W = w * k;
    if (canvas.width !== W || canvas.height !== H || !canvas.image) {
      canvas.width = W;
      canvas.height = H;
      canvas.image = new ImageData(W, H);
      canvas.room = new Float32Array(H * W);
    }
    enlarge(v, h, w, H, W, canvas.room);
    toPixels(canvas.room, W, this.colours(signed), this.view.opacity, signed, canvas.image.data, faint);
    canvas.getContext('2d').putImageData(canvas.image, 0, 0);
  }

  /** @param {boolean} signed */
  colours(signed) {
    return this.lut[signed ? DIVERGING : this.view.colour] || this.lut.inferno;
  }

  /**
   * The colour bar under a map.
   * @param {Panel} p
   * @param {Kind} kind
   */
  drawBar(p, kind) {
    const m = kind === 'picture' ? p.picture : p.heard;
    const b = p.bars[kind];
    b.element.hidden = !m;
    if (!m) return;
    const lut = this.colours(m.signed);
    const key = `${m.signed || this.view.colour} ${m.lo.toFixed(2)} ${m.hi.toFixed(2)} ${m.unit} ${m.eachMoment}`;
    if (b.key === key) return;
    b.key = key;
    const image = new ImageData(128, 1);
    for (let i = 0; i < 128; i++) {
      image.data.set(lut.subarray(6 * i, 6 * i + 3), 4 * i);
      image.data[4 * i + 3] = 255;
    }
    b.strip.getContext('2d').putImageData(image, 0, 0);
    const say = (/** @type {number} */ v) =>
      Number.isFinite(v) ? v.toFixed(Math.abs(v) >= 100 ? 0 : 2).replace('-', '−') : 'no value';
    b.lo.textContent = m.eachMoment ? 'least' : say(m.lo);
    b.hi.textContent = m.eachMoment ? 'most' : say(m.hi);
    b.unit.textContent = m.unit + (m.eachMoment ? ', at each moment' : '');
  }

  // ---- the picture ----

  /** @param {Panel} p */
  drawPicture(p) {
    if (!this.scene.frames) return;
    const canvas = p.canvas.picture;
    const g = penOf(canvas);
    const box = this.boxOf(p, 'picture');
    this.drawFrame(g, canvas, box);
    p.picture = this.pictureNow(p);
    if (p.picture) {
      this.heat(p.offscreen.picture, p.picture);
      g.imageSmoothingQuality = 'high';
      g.drawImage(p.offscreen.picture, box.x, box.y, box.w, box.h);
      if (this.view.contours) drawContours(g, p.picture, box);
    }
    if (this.view.truth) this.drawBoxes(g, canvas);
    this.drawMark(g, p, box);
    this.drawBar(p, 'picture');
  }

  /**
   * The frame that plays, darkened where no map covers it.
   * @param {Pen} g
   * @param {Surface} canvas
   * @param {Box} box  that the map covers
   */
  drawFrame(g, { w, h }, box) {
    const m = this.sound;
    g.imageSmoothingEnabled = true;
    if (m && m.readyState >= 2 && m.videoWidth) g.drawImage(m, 0, 0, w, h);
    else if (this.poster) g.drawImage(this.poster, 0, 0, w, h);
    else {
      g.fillStyle = '#444';
      g.fillRect(0, 0, w, h);
    }
    if (box.w >= w - 1 && box.h >= h - 1) return;
    g.fillStyle = 'rgba(0,0,0,.55)';
    g.beginPath();
    g.rect(0, 0, w, h);
    g.rect(box.x, box.y, box.w, box.h);
    g.fill('evenodd');
  }

  /**
   * @param {Pen} g
   * @param {Surface} canvas
   */
  drawBoxes(g, { w, h }) {
    for (const s of this.scene.truth) {
      const b = s.boxes[Math.min(this.frame, s.boxes.length - 1)];
      if (!b) continue;
      const box = { x: b[0] * w, y: b[1] * h, w: (b[2] - b[0]) * w, h: (b[3] - b[1]) * h };
      strokeBox(g, box, s.sounding ? [] : [2, 4]);
    }
  }

  /**
   * The patch that is pointed at.
   * @param {Pen} g
   * @param {Panel} p
   * @param {Box} box
   */
  drawMark(g, p, box) {
    const target = this.lock || this.hover;
    if (target?.kind !== 'picture' || !p.local.video) return;
    const [, rows, columns] = p.local.video.shape;
    const [w, h] = [box.w / columns, box.h / rows];
    const x = box.x + Math.floor(target.x * columns) * w;
    const y = box.y + Math.floor(target.y * rows) * h;
    strokeBox(g, { x, y, w, h }, [], MARK);
    if (!this.lock) return;
    g.fillStyle = MARK;
    g.strokeStyle = '#000';
    g.lineWidth = 1;
    g.beginPath();
    g.arc(x + w / 2, y + h / 2, 4, 0, FULL_CIRCLE);
    g.fill();
    g.stroke();
  }

  // ---- the spectrogram ----

  /**
   * Spectrogram, heat and truth: kept off the screen until something of it changes.
   * @param {Panel} p
   */
  drawSound(p) {
    this.drawGround(p);
    const canvas = p.canvas.sound;
    const box = this.boxOf(p, 'sound');
    const { colour, opacity, per, contours, truth } = this.view;
    const key = [this.layerName('sound'), colour, opacity, per, contours, p.sound].join(' ');
    if (p.soundKey !== key) {
      p.soundKey = key;
      p.heard = this.soundMap(p);
      if (p.heard) this.heat(p.offscreen.sound, p.heard);
    }
    const g = canvas.getContext('2d');
    g.setTransform(1, 0, 0, 1, 0, 0);
    g.clearRect(0, 0, canvas.width, canvas.height);
    g.drawImage(p.offscreen.ground, 0, 0);
    penOf(canvas);
    if (p.heard) {
      g.save();
      g.translate(0, box.y + box.h);
      g.scale(1, -1);
      g.drawImage(p.offscreen.sound, box.x, 0, box.w, box.h);
      g.restore();
      if (contours) drawContours(g, p.heard, box, true);
      this.drawProfile(g, p, box);
    }
    if (truth) this.drawBands(g, p, box);
    this.drawHeardMark(g, p, box);
    this.drawBar(p, 'sound');
  }

  /**
   * The spectrogram in grey with its axis: drawn once per size, theme and sound.
   * @param {Panel} p
   */
  drawGround(p) {
    const canvas = p.canvas.sound;
    const sound = this.sounds[p.sound];
    if (p.groundKey === sound) return;
    p.groundKey = sound;
    const box = this.boxOf(p, 'sound');
    const ground = p.offscreen.ground;
    ground.width = canvas.width;
    ground.height = canvas.height;
    const g = ground.getContext('2d');
    g.setTransform(canvas.ratio, 0, 0, canvas.ratio, 0, 0);
    g.fillStyle = '#111';
    g.fillRect(box.x, box.y, box.w, box.h);
    g.font = FONT;
    g.textBaseline = 'middle';
    if (sound.spec) {
      g.drawImage(spectrogram(sound.spec), box.x, box.y, box.w, box.h);
      this.drawFrequencies(g, sound.hz, box, canvas.h);
      return;
    }
    g.fillStyle = '#ccc';
    g.textAlign = 'center';
    g.fillText('no sound in this file', box.x + box.w / 2, box.y + box.h / 2);
  }

  /**
   * @param {Pen} g
   * @param {number[]} hz
   * @param {Box} box
   * @param {number} height  of the canvas
   */
  drawFrequencies(g, hz, box, height) {
    g.fillStyle = this.ink;
    g.textAlign = 'right';
    for (const [row, text] of hzTicks(hz)) {
      const y = box.y + box.h * (1 - (row + 0.5) / hz.length);
      g.fillText(text, box.x - 6, clamp(y, 7, height - 7));
      g.fillRect(box.x - 4, y, 4, 1);
    }
    g.save();
    g.translate(8, box.y + box.h / 2);
    g.rotate(-Math.PI / 2);
    g.textAlign = 'center';
    g.fillText('Hz', 0, 0);
    g.restore();
  }

  /**
   * Bands of what sounds, while it sounds.
   * @param {Pen} g
   * @param {Panel} p
   * @param {Box} box
   */
  drawBands(g, p, box) {
    const { hz, seconds } = this.sounds[p.sound];
    const Y = (/** @type {number} */ f) => box.y + box.h * (1 - (rowOf(hz, f) + 0.5) / hz.length);
    const X = (/** @type {number} */ t) => box.x + clamp(t / seconds, 0, 1) * box.w;
    for (const { band, sounding, active } of this.scene.truth) {
      if (!band || !sounding) continue;
      const [low, high] = [Y(band[0]), Y(band[1])];
      for (const [from, to] of active.length ? active : [[0, seconds]])
        if (to > 0 && from < seconds) strokeBox(g, { x: X(from), y: high, w: X(to) - X(from), h: low - high }, [5, 4]);
    }
  }

  /**
   * Beside the spectrogram: how attention spreads over the frequencies now.
   * @param {Pen} g
   * @param {Panel} p
   * @param {Box} box
   */
  drawProfile(g, p, box) {
    const m = p.heard;
    const x = box.x + box.w + 6;
    const w = RIGHT - 8;
    const [i, j, part] = place(this.time, this.sounds[p.sound].seconds, m.w);
    const h = box.h / m.h;
    g.fillStyle = this.accent;
    g.globalAlpha = 0.85;
    for (let f = 0; f < m.h; f++) {
      const v = m.v[f * m.w + i] * (1 - part) + m.v[f * m.w + j] * part;
      const y = box.y + box.h - (f + 1) * h + 0.5;
      if (m.signed) g.fillRect(x + w / 2, y, (v * w) / 2, h - 1);
      else g.fillRect(x, y, Math.max(1, v * w), h - 1);
    }
    g.globalAlpha = 1;
  }

  /**
   * The time and frequency that is pointed at.
   * @param {Pen} g
   * @param {Panel} p
   * @param {Box} box
   */
  drawHeardMark(g, p, box) {
    const target = this.lock || this.hover;
    if (target?.kind !== 'sound' || !p.local.audio) return;
    const [n, F] = p.local.audio.shape;
    const [w, h] = [box.w / n, box.h / F];
    const column = moment(target.time, this.sounds[p.sound].seconds, n);
    const row = Math.min(F - 1, Math.floor(target.y * F));
    strokeBox(g, { x: box.x + column * w, y: box.y + box.h - (row + 1) * h, w, h }, [], MARK);
  }

  // ---- waveform and time ----

  /**
   * The line in time, over spectrogram and waveform; cheap enough for every tick of the screen.
   * @param {number} t  s
   */
  drawLines(t) {
    if (!this.ink || !this.panels) return;
    for (const p of this.panels) {
      this.drawWave(p);
      const box = this.boxOf(p, 'wave');
      const x = box.x + Math.min(t / this.scene.seconds, 1) * box.w;
      if (p.lineAt !== x) {
        if (p.lined) this.drawSound(p); // takes the old line away
        p.lineAt = x;
      }
      p.lined = true;
      for (const kind of /** @type {const} */ (['wave', 'sound'])) {
        const g = penOf(p.canvas[kind]);
        const { y, h } = this.boxOf(p, kind);
        g.fillStyle = '#000';
        g.fillRect(x - 1.5, y, 3, h);
        g.fillStyle = '#fff';
        g.fillRect(x - 0.5, y, 1, h);
      }
    }
    const now = (t + this.scene.start).toFixed(2);
    this.clock.textContent = `${now} s`;
    this.scrub.value = String(t);
    this.scrub.setAttribute('aria-valuetext', `${now} seconds, frame ${this.frame}`);
  }

  /** @param {Panel} p */
  drawWave(p) {
    const canvas = p.canvas.wave;
    const g = penOf(canvas);
    const box = this.boxOf(p, 'wave');
    const sound = this.sounds[p.sound];
    const { seconds } = this.scene;
    const { from, to } = this.view;
    g.clearRect(0, 0, canvas.w, canvas.h);
    g.fillStyle = this.accent;
    if (from != null && to != null) {
      g.globalAlpha = 0.2;
      g.fillRect(box.x + (from / seconds) * box.w, box.y, ((to - from) / seconds) * box.w, box.h);
      g.globalAlpha = 1;
    }
    const n = sound.wave.length / 2;
    const each = ((box.w / n) * sound.seconds) / seconds;
    for (let i = 0; i < n; i++) {
      const lo = sound.wave[2 * i] / 127;
      const hi = sound.wave[2 * i + 1] / 127;
      const y = box.y + ((1 - hi) * box.h) / 2;
      g.fillRect(box.x + i * each, y, Math.max(0.6, each), Math.max(1, ((hi - lo) * box.h) / 2));
    }
    this.drawTimes(g, box, canvas.h);
    if (p.heard) g.fillText('now', box.x + box.w + 6, box.y + 12); // names the profile above
  }

  /**
   * @param {Pen} g
   * @param {Box} box
   * @param {number} height  of the canvas
   */
  drawTimes(g, box, height) {
    const { start, seconds } = this.scene;
    g.fillStyle = this.ink;
    g.font = FONT;
    g.textAlign = 'center';
    g.textBaseline = 'bottom';
    for (const t of timeTicks(start, seconds)) {
      const x = box.x + ((t - start) / seconds) * box.w;
      if (x < box.x + box.w - 12) g.fillText(`${t}`, x, height);
      g.fillRect(x, box.y + box.h, 1, 3);
    }
    g.textAlign = 'left';
    g.fillText('s', box.x + box.w - 4, height);
  }

  /** Numbers for whoever wants to know what is on the screen. */
  expose() {
    const d = this.root.dataset;
    const sum = (/** @type {'picture' | 'heard'} */ key) =>
      this.panels.map(p => (p[key] ? checksum(p[key].v) : 0)).join(' ');
    d.time = this.time.toFixed(3);
    d.frame = String(this.frame);
    d.drawn = String(this.stats.frames.size);
    d.picture = sum('picture');
    d.answers = this.panels.map(p => p.answer?.kind ?? '').join(' ');
    const key = [...this.panels.map(p => p.soundKey), this.asked].join();
    if (key !== this.heardKey) {
      this.heardKey = key;
      d.sound = sum('heard');
    }
    if (this.stats.first == null && (this.poster || this.sound?.readyState >= 2 || !this.scene.frames)) {
      this.stats.first = performance.timeOrigin + performance.now();
      d.ready = this.stats.first.toFixed(0);
    }
  }
}

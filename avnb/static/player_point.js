// Pointing: what lies under the mouse or the keys, what answers it in the other modality, and the words for it.
/** @import { Kind, Model, Panel, Surface, Target } from './types.js' */
import { argmax, cellHz, clamp, cosines, moment, range, sayHz } from './player_arithmetic.js';
import { Drawing } from './player_draw.js';

const INVITATION = `Point at the picture: the spectrogram shows which sounds answer. \
Point at the spectrogram: the picture shows where. Click to hold.`;

/**
 * The cell of n that holds a fraction.
 * @param {number} u
 * @param {number} n
 */
const cellAt = (u, n) => clamp(Math.floor(u * n), 0, n - 1);

export class Pointing extends Drawing {
  /** @type {Model} */ model;
  /** @type {HTMLElement} the sentence that says what answers */ answer;

  /** Whether the medium that is heard is under way. */
  get playing() {
    return !!this.sound && !this.sound.paused && !this.sound.ended;
  }

  /**
   * Listen to what points at a panel.
   * @param {Panel} p
   * @param {number} k  its number
   * @param {Kind} kind
   */
  pointing(p, k, kind) {
    const canvas = p.canvas[kind];
    const aim = (/** @type {MouseEvent} */ e) => {
      const at = canvas.getBoundingClientRect();
      const box = this.boxOf(p, kind);
      const x = (e.clientX - at.left - box.x) / box.w;
      const y = (e.clientY - at.top - box.y) / box.h;
      return x >= 0 && x < 1 && y >= 0 && y < 1 ? this.target(kind, k, x, y) : null;
    };
    canvas.addEventListener('pointermove', e => this.point(aim(e)));
    canvas.addEventListener('pointerleave', () => this.point(null));
    canvas.addEventListener('focus', () => (canvas.cursor ??= [0.5, 0.5]));
    canvas.addEventListener('click', e => {
      const target = aim(e);
      if (!target) return;
      canvas.focus({ preventScroll: true });
      if (!this.lock) this.point(target);
      this.hold();
    });
  }

  /**
   * What is pointed at: a patch of the picture at this moment, or a time and a frequency.
   * @param {Kind} kind
   * @param {number} panel
   * @param {number} x  fractions of the map, from its upper left corner
   * @param {number} y
   * @returns {Target}
   */
  target(kind, panel, x, y) {
    if (kind === 'picture') return { kind, panel, x, y, time: this.time };
    return { kind, panel, x: 0, y: 1 - y, time: x * this.sounds[this.panels[panel].sound].seconds };
  }

  /** @param {Target | null} target */
  point(target) {
    this.hover = target;
    if (!this.lock) this.answerTo(target);
  }

  hold() {
    if (this.lock) this.setLock(null);
    else if (this.hover) this.setLock(this.hover);
  }

  /**
   * @param {Partial<Target> | null} lock
   * @param {boolean} [tell]  the model
   */
  setLock(lock, tell = true) {
    this.lock = lock?.kind && lock.panel < this.panels.length ? /** @type {Target} */ ({ ...lock }) : null;
    if (tell) {
      this.model.set('lock', this.lock || {});
      this.model.save_changes();
    }
    this.root.dataset.lock = this.lock ? `${this.lock.kind} ${this.lock.time.toFixed(2)}` : '';
    this.answerTo(this.lock || this.hover);
  }

  /**
   * To the next cell.
   * @param {Surface} canvas
   * @param {[number, number]} step  columns, rows
   */
  move(canvas, [dx, dy]) {
    const k = this.panels.findIndex(p => Object.values(p.canvas).includes(canvas));
    const p = this.panels[k];
    const kind = canvas === p.canvas.picture ? 'picture' : 'sound';
    const { w, h } = this.gridOf(p, kind);
    const [x, y] = canvas.cursor || [0.5, 0.5];
    const column = clamp(cellAt(x, w) + dx, 0, w - 1);
    const row = clamp(cellAt(y, h) + dy, 0, h - 1);
    canvas.cursor = [(column + 0.5) / w, (row + 0.5) / h];
    if (this.lock) this.setLock(null);
    this.point(this.target(kind, k, ...canvas.cursor));
  }

  /**
   * The cells of a panel's picture, or of its sound's times and frequencies.
   * @param {Panel} p
   * @param {Kind} kind
   */
  gridOf(p, kind) {
    const [some, maps] = kind === 'picture' ? [p.local.video, p.video] : [p.local.audio, p.audio];
    const shape = some?.shape || Object.values(maps)[0]?.shape || [1, 8, 8];
    return kind === 'picture' ? { h: shape[1], w: shape[2] } : { h: shape[1], w: shape[0] };
  }

  /**
   * Which cell's embedding a target means in a panel; -1 where there is none.
   * @param {Panel} p
   * @param {Target} target
   */
  cellOf(p, target) {
    const picture = target.kind === 'picture';
    const shape = p.local[picture ? 'video' : 'audio']?.shape;
    if (!shape) return -1;
    const [n, rows, columns] = shape;
    const at = moment(target.time, picture ? this.scene.seconds : this.sounds[p.sound].seconds, n) * rows;
    const row = at + cellAt(target.y, rows);
    return picture ? row * columns + cellAt(target.x, columns) : row;
  }

  /**
   * Ask every panel, unless it has been asked just that.
   * @param {Target | null} target
   */
  answerTo(target) {
    if (!this.panels) return;
    const key = target ? this.panels.map(p => this.cellOf(p, target)).join() : null;
    if (key !== this.asked) {
      this.asked = key;
      for (const p of this.panels) this.ask(p, target);
      this.answer.textContent = target ? this.words(target) : this.invitation();
    }
    this.draw();
  }

  /**
   * Cosines of the cell pointed at with every cell of the other modality.
   * @param {Panel} p
   * @param {Target | null} target
   */
  ask(p, target) {
    p.answer = p.soundKey = null;
    const { video, audio } = p.local;
    if (!target || !video || !audio) return;
    const [from, to] = target.kind === 'picture' ? [video, audio] : [audio, video];
    const D = from.shape[from.shape.length - 1];
    const cell = this.cellOf(p, target);
    const room = p.room?.length * D === to.q.length ? p.room : undefined;
    const x = cosines(from.q.subarray(cell * D, (cell + 1) * D), to.q, from.scale * to.scale, room);
    const [lo, hi] = range(x);
    const shape = to.shape.slice(0, -1);
    p.room = x;
    p.answer = {
      x,
      shape,
      n: shape[0],
      cells: x.length / shape[0],
      lo: hi > 0 ? Math.max(lo, 0) : lo, // all below 0 are drawn alike
      hi,
      signed: false,
      kind: target.kind === 'picture' ? 'sound' : 'picture'
    };
  }

  // ---- words ----

  invitation() {
    if (!this.panels.some(p => p.local.video && p.local.audio)) return ' ';
    return INVITATION;
  }

  /** @param {Target} target */
  words(target) {
    const p = this.panels[target.panel];
    if (!p.answer) return 'This network gives its maps only: there is nothing to ask.';
    return target.kind === 'picture' ? this.wordsOfPatch(p, target) : this.wordsOfSound(p, target);
  }

  /**
   * A moment, in the file's time.
   * @param {number} t
   */
  sayTime(t) {
    return `${(t + this.scene.start).toFixed(2)} s`;
  }

  /**
   * @param {Panel} p
   * @param {Target} target
   */
  wordsOfPatch(p, target) {
    const { x, n, cells } = p.answer;
    const [, h, w] = p.local.video.shape;
    const { hz, seconds } = this.sounds[p.sound];
    const best = argmax(x);
    const [lo, hi] = cellHz(hz, best % cells, cells);
    const when = this.sayTime(((Math.floor(best / cells) + 0.5) / n) * seconds);
    const row = `row ${Math.floor(target.y * h) + 1} of ${h}`;
    const column = `column ${Math.floor(target.x * w) + 1} of ${w}`;
    return `Patch in ${row}, ${column}, at ${this.sayTime(target.time)}. Its best answer in the sound: \
${sayHz(lo)} to ${sayHz(hi)} at ${when}, cosine ${x[best].toFixed(2)}.`;
  }

  /**
   * @param {Panel} p
   * @param {Target} target
   */
  wordsOfSound(p, target) {
    const { x, n, cells, shape } = p.answer;
    const F = p.local.audio.shape[1];
    const [lo, hi] = cellHz(this.sounds[p.sound].hz, Math.min(F - 1, Math.floor(target.y * F)), F);
    const from = moment(this.time, this.scene.seconds, n) * cells;
    const best = argmax(x.subarray(from, from + cells));
    const place = `row ${Math.floor(best / shape[2]) + 1}, column ${(best % shape[2]) + 1}`;
    return `${sayHz(lo)} to ${sayHz(hi)} at ${this.sayTime(target.time)}. Its best answer in the picture now: \
${place}, cosine ${x[from + best].toFixed(2)}.`;
  }

  /**
   * What a place in the sound answers in the picture is said of the moment that is shown; not while it plays, for those
   * who listen to the words.
   */
  reword() {
    const target = this.lock || this.hover;
    if (target?.kind === 'sound' && !this.playing) this.answer.textContent = this.words(target);
  }
}

// The numbers behind the player: no document, no widget, so that they can be tested alone.
/** @import { Bytes, Layer, PackedMap, PackedPanel, PackedSound, Panel, Sound } from './types.js' */

/** @typedef {ArrayLike<number>} Numbers */
/** @typedef {Float32Array<ArrayBuffer>} Floats */

const NO_VALUE = 255; // of the codes of a packed map
const FLAT = 1e-9; // a map whose values differ by no more has no highest place
const DOTS = { light: 150, dark: 90, alpha: 110 }; // the pattern that is drawn where there is no value

/** @type {(x: number, lo: number, hi: number) => number} */
export const clamp = (x, lo, hi) => Math.min(Math.max(x, lo), hi);

/** @type {(a: number, b: number, part: number) => number}  without a part of b, b may be NaN */
const mix = (a, b, part) => (part ? a * (1 - part) + b * part : a);

/**
 * What was sent, as numbers of a type of one byte; without a copy where that is possible.
 * @template {Uint8Array<ArrayBuffer> | Int8Array<ArrayBuffer>} T
 * @param {Bytes | null | undefined} x
 * @param {new (...buffer: any[]) => T} Type
 * @returns {T}
 */
export function bytes(x, Type) {
  if (x == null) return new Type(0);
  if ('base64' in x) return new Type(Uint8Array.from(atob(x.base64), c => c.charCodeAt(0)).buffer);
  return x instanceof ArrayBuffer ? new Type(x) : new Type(x.buffer, x.byteOffset, x.byteLength);
}

/**
 * A packed map as numbers; NaN where there is no value.
 * @param {PackedMap} m
 */
export function unpack(m) {
  const codes = bytes(m.data, Uint8Array);
  const out = new Float32Array(codes.length);
  const step = (m.hi - m.lo) / (NO_VALUE - 1);
  for (let i = 0; i < codes.length; i++) out[i] = codes[i] === NO_VALUE ? NaN : m.lo + codes[i] * step;
  return out;
}

/**
 * @param {Numbers} a
 * @param {Numbers} b
 */
function difference(a, b) {
  const out = new Float32Array(a.length);
  for (let i = 0; i < a.length; i++) out[i] = a[i] - b[i];
  return out;
}

/**
 * @param {Floats} x
 * @param {number[]} shape
 * @param {boolean} signed
 * @returns {Layer}
 */
function layer(x, shape, signed) {
  const [lo, hi] = range(x);
  const most = Math.max(Math.abs(lo), Math.abs(hi));
  const cells = shape.slice(1).reduce((a, b) => a * b, 1);
  return { x, shape, n: shape[0], cells, signed, lo: signed ? -most : lo, hi: signed ? most : hi };
}

/**
 * Named maps, with the difference of guided and alone where there are both.
 * @param {Record<string, PackedMap>} maps
 */
function unpackLayers(maps) {
  const named = Object.entries(maps).map(([name, m]) => [name, layer(unpack(m), m.shape, false)]);
  const layers = /** @type {Record<string, Layer>} */ (Object.fromEntries(named));
  const { alone, guided } = layers;
  if (alone && guided) layers.difference = layer(difference(guided.x, alone.x), guided.shape, true);
  return layers;
}

/**
 * A panel without its elements.
 * @param {PackedPanel} p
 */
export function unpackPanel(p) {
  const cells = Object.entries(p.local).map(([name, e]) => [name, { ...e, q: bytes(e.data, Int8Array) }]);
  const local = Object.fromEntries(cells);
  return /** @type {Panel} */ ({ ...p, video: unpackLayers(p.video), audio: unpackLayers(p.audio), local });
}

/**
 * @param {PackedSound} s
 * @returns {Sound}
 */
export function unpackSound(s) {
  return { ...s, wave: bytes(s.wave.data, Int8Array), spec: s.spec && { ...s.spec, x: unpack(s.spec) } };
}

/**
 * Between which of n even moments of a clip a time lies.
 * @param {number} t  s
 * @param {number} seconds  of the clip
 * @param {number} n
 * @returns {[number, number, number]}  first, second, share of the second
 */
export function place(t, seconds, n) {
  const u = clamp((t / seconds) * n - 0.5, 0, n - 1);
  const i = Math.floor(u);
  return [i, Math.min(i + 1, n - 1), u - i];
}

/**
 * The moment whose stretch holds a time; parameters as in `place`.
 * @param {number} t
 * @param {number} seconds
 * @param {number} n
 */
export function moment(t, seconds, n) {
  return clamp(Math.floor((t / seconds) * n), 0, n - 1);
}

/**
 * The map at a time: linear between moments.
 * @param {Numbers} x  [n, cells]
 * @param {number} cells
 * @param {[number, number, number]} at  of `place`
 * @param {Floats} [out]
 */
export function blend(x, cells, [i, j, part], out = new Float32Array(cells)) {
  for (let k = 0; k < cells; k++) out[k] = mix(x[i * cells + k], x[j * cells + k], part);
  return out;
}

/**
 * Lowest and highest number; [NaN, NaN] where there is none.
 * @param {Numbers} x
 * @returns {[number, number]}
 */
export function range(x) {
  let lo = Infinity;
  let hi = -Infinity;
  for (let i = 0; i < x.length; i++) {
    if (x[i] < lo) lo = x[i];
    if (x[i] > hi) hi = x[i];
  }
  return lo > hi ? [NaN, NaN] : [lo, hi];
}

/**
 * To 0 ... 1 between lo and hi; a flat map becomes 0.
 * @param {Numbers} x
 * @param {number} lo
 * @param {number} hi
 * @param {Floats} [out]
 */
export function rescale(x, lo, hi, out = new Float32Array(x.length)) {
  const f = hi - lo > FLAT ? 1 / (hi - lo) : 0;
  for (let i = 0; i < x.length; i++) out[i] = clamp((x[i] - lo) * f, 0, 1);
  return out;
}

/**
 * To -1 ... 1; 0 stays 0.
 * @param {Numbers} x
 * @param {number} most  the absolute value that becomes 1
 * @param {Floats} [out]
 */
export function rescaleSigned(x, most, out = new Float32Array(x.length)) {
  const f = most > FLAT ? 1 / most : 0;
  for (let i = 0; i < x.length; i++) out[i] = clamp(x[i] * f, -1, 1);
  return out;
}

/**
 * Bilinear from h x w cells to H x W points; both grids span the same extent. A point that touches a cell without a
 * value has none.
 * @param {Numbers} x  [h, w]
 * @param {number} h
 * @param {number} w
 * @param {number} H
 * @param {number} W
 * @param {Floats} [out]  [H, W]
 */
export function enlarge(x, h, w, H, W, out = new Float32Array(H * W)) {
  const left = new Int32Array(W);
  const right = new Int32Array(W);
  const share = new Float32Array(W);
  for (let c = 0; c < W; c++) {
    const u = clamp(((c + 0.5) * w) / W - 0.5, 0, w - 1);
    left[c] = Math.floor(u);
    right[c] = Math.min(left[c] + 1, w - 1);
    share[c] = u - left[c];
  }
  for (let r = 0; r < H; r++) {
    const u = clamp(((r + 0.5) * h) / H - 0.5, 0, h - 1);
    const upper = w * Math.floor(u);
    const lower = w * Math.min(Math.floor(u) + 1, h - 1);
    const part = u - Math.floor(u);
    for (let c = 0; c < W; c++) {
      const above = mix(x[upper + left[c]], x[upper + right[c]], share[c]);
      out[r * W + c] = part ? mix(above, mix(x[lower + left[c]], x[lower + right[c]], share[c]), part) : above;
    }
  }
  return out;
}

/**
 * Values to RGBA. Cover rises with the value, late for faint ones; where there is no value: grey dots.
 * @param {Numbers} v  0 ... 1, or -1 ... 1 when signed
 * @param {number} width  of a row
 * @param {Uint8Array} lut  256 colours, RGB
 * @param {number} opacity
 * @param {boolean} signed
 * @param {Uint8ClampedArray} out
 * @param {boolean} [faint]
 */
export function toPixels(v, width, lut, opacity, signed, out, faint = false) {
  for (let i = 0; i < v.length; i++) {
    const x = v[i];
    const o = 4 * i;
    if (Number.isNaN(x)) {
      const dot = ((i % width) + Math.floor(i / width)) % 4 < 2 ? DOTS.light : DOTS.dark;
      out[o] = out[o + 1] = out[o + 2] = dot;
      out[o + 3] = DOTS.alpha;
      continue;
    }
    const k = 3 * Math.min(255, Math.floor((signed ? (x + 1) / 2 : x) * 256));
    out[o] = lut[k];
    out[o + 1] = lut[k + 1];
    out[o + 2] = lut[k + 2];
    out[o + 3] = 255 * opacity * (signed ? Math.abs(x) : faint ? x * x : 0.25 + 0.75 * x);
  }
  return out;
}

// Which edges of a square the line cuts, in pairs: 0 upper, 1 right, 2 lower, 3 left. The place in this list has a bit
// for each corner that reaches the level: 1 upper left, 2 upper right, 4 lower right, 8 lower left.
/** @type {number[][]} */
const CUTS = [[], [3, 0], [0, 1], [3, 1], [1, 2], [3, 0, 1, 2], [0, 2], [2, 3]];
CUTS.push([2, 3], [0, 2], [0, 1, 2, 3], [1, 2], [3, 1], [0, 1], [3, 0], []);

/**
 * Marching squares: the line where a map crosses a level.
 * @param {Numbers} x  [h, w]
 * @param {number} h
 * @param {number} w
 * @param {number} level
 * @returns {[number, number, number, number][]}  pieces x0, y0, x1, y1, in cells; a cell's middle is at +0.5
 */
export function contour(x, h, w, level) {
  const lines = /** @type {[number, number, number, number][]} */ ([]);
  const share = (/** @type {number} */ p, /** @type {number} */ q) => (level - p) / (q - p);
  for (let r = 0; r < h - 1; r++)
    for (let c = 0; c < w - 1; c++) {
      const corners = [x[r * w + c], x[r * w + c + 1], x[(r + 1) * w + c + 1], x[(r + 1) * w + c]];
      if (corners.some(Number.isNaN)) continue;
      const cuts = CUTS[corners.reduce((code, v, i) => code + (v >= level ? 2 ** i : 0), 0)];
      const [p, q, s, t] = corners;
      const X = [c + 0.5 + share(p, q), c + 1.5, c + 0.5 + share(t, s), c + 0.5];
      const Y = [r + 0.5, r + 0.5 + share(q, s), r + 1.5, r + 0.5 + share(p, t)];
      for (let i = 0; i < cuts.length; i += 2) lines.push([X[cuts[i]], Y[cuts[i]], X[cuts[i + 1]], Y[cuts[i + 1]]]);
    }
  return lines;
}

/**
 * Cosines of one embedding with many.
 * @param {Int8Array} query  [D]
 * @param {Int8Array} all  [n, D]
 * @param {number} scale  product of both scales
 * @param {Floats} [out]
 */
export function cosines(query, all, scale, out = new Float32Array(all.length / query.length)) {
  const D = query.length;
  for (let i = 0, o = 0; i < out.length; i++, o += D) {
    let s = 0;
    for (let d = 0; d < D; d++) s += query[d] * all[o + d];
    out[i] = s * scale;
  }
  return out;
}

/**
 * The row (fractions allowed) of a frequency on an axis of rising centres.
 * @param {number[]} hz
 * @param {number} f  Hz
 */
export function rowOf(hz, f) {
  if (f <= hz[0]) return hz.length > 1 ? Math.max(-0.5, (f - hz[0]) / (hz[1] - hz[0])) : 0;
  for (let i = 1; i < hz.length; i++) if (f <= hz[i]) return i - 1 + (f - hz[i - 1]) / (hz[i] - hz[i - 1]);
  return hz.length - 0.5;
}

/**
 * The frequencies between which cell k of n lies on an axis of rising centres.
 * @param {number[]} hz
 * @param {number} k
 * @param {number} n
 * @returns {[number, number]}
 */
export function cellHz(hz, k, n) {
  const at = (/** @type {number} */ edge) => {
    const row = clamp((edge * hz.length) / n - 0.5, 0, hz.length - 1);
    const i = Math.floor(row);
    return hz[i] + (hz[Math.min(i + 1, hz.length - 1)] - hz[i]) * (row - i);
  };
  return [at(k), at(k + 1)];
}

/** @type {(f: number) => string} */
export const sayHz = f => (f >= 1000 ? `${(f / 1000).toFixed(1)} kHz` : `${Math.round(f)} Hz`);

/**
 * Round frequencies to write on an axis, far enough apart to read.
 * @param {number[]} hz  rising centres: an even axis gets even steps, any other one octaves
 * @param {number} [n]  at most about so many
 * @returns {[number, string][]}  row, text
 */
export function hzTicks(hz, n = 6) {
  const last = hz.length - 1;
  const even = hz.length > 2 && Math.abs(hz[last] - hz[last - 1] - (hz[2] - hz[1])) < 0.01 * (hz[2] - hz[1]);
  const step = 1000 * Math.max(1, Math.ceil(hz[last] / 1000 / n));
  const out = /** @type {[number, string][]} */ ([]);
  for (let i = 0; ; i++) {
    const f = even ? i * step : 125 * 2 ** i;
    if (f > hz[last]) return out;
    const row = rowOf(hz, f);
    if (f >= hz[0] && (!out.length || row - out[out.length - 1][0] > hz.length / (2 * n)))
      out.push([row, f >= 1000 ? `${f / 1000}k` : `${f}`]);
  }
}

/**
 * Round times to write on an axis, s.
 * @param {number} start
 * @param {number} seconds
 * @param {number} [n]  at most about so many
 */
export function timeTicks(start, seconds, n = 8) {
  const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60].find(s => seconds / s <= n) || 120;
  const out = [];
  for (let k = Math.ceil(start / step - 1e-6); k * step <= start + seconds + 1e-6; k++)
    out.push(Math.round(k * step * 1000) / 1000);
  return out;
}

/**
 * A number that changes when a map does (to three digits).
 * @param {Numbers} x
 */
export function checksum(x) {
  let s = 0;
  for (let i = 0; i < x.length; i++)
    s = (s * 31 + (Number.isNaN(x[i]) ? 7 : Math.round(x[i] * 1000) + 1001)) % 1000000007;
  return s;
}

/**
 * Index of the highest number; -1 where there is none.
 * @param {Numbers} x
 */
export function argmax(x) {
  let k = -1;
  for (let i = 0; i < x.length; i++) if (!Number.isNaN(x[i]) && (k < 0 || x[i] > x[k])) k = i;
  return k;
}

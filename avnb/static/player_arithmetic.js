// The numbers behind the player: no document, no widget, so that they can be tested alone.

// Bytes however they arrive (DataView from a kernel, {base64} from a page) as Uint8Array or Int8Array, without a copy where possible.
export function bytes(x, Type = Uint8Array) {
  if (x == null) return new Type(0);
  if (typeof x.base64 === 'string') {
    const s = atob(x.base64),
      u = new Uint8Array(s.length);
    for (let i = 0; i < s.length; i++) u[i] = s.charCodeAt(i);
    x = u;
  }
  return x instanceof ArrayBuffer ? new Type(x) : new Type(x.buffer, x.byteOffset, x.byteLength);
}

// A packed map to numbers; code 255 is no value.
export function unpack(m) {
  const q = bytes(m.data),
    out = new Float32Array(q.length),
    step = (m.hi - m.lo) / 254;
  for (let i = 0; i < q.length; i++) out[i] = q[i] === 255 ? NaN : m.lo + q[i] * step;
  return out;
}

export function difference(a, b) {
  const out = new Float32Array(a.length);
  for (let i = 0; i < a.length; i++) out[i] = a[i] - b[i];
  return out;
}

// Between which of n even moments of a clip a time lies: first, second, share of the second.
export function place(t, seconds, n) {
  const u = Math.min(Math.max((t / seconds) * n - 0.5, 0), n - 1),
    i = Math.floor(u);
  return [i, Math.min(i + 1, n - 1), u - i];
}

// The moment whose stretch holds a time.
export function moment(t, seconds, n) {
  return Math.min(Math.max(Math.floor((t / seconds) * n), 0), n - 1);
}

// The map at a time: linear between moments. x holds n maps of `cells` cells.
export function blend(x, cells, [i, j, part], out = new Float32Array(cells)) {
  for (let k = 0; k < cells; k++) out[k] = part ? x[i * cells + k] * (1 - part) + x[j * cells + k] * part : x[i * cells + k];
  return out;
}

// Lowest and highest number; [NaN, NaN] where there is none.
export function range(x, from = 0, to = x.length) {
  let lo = Infinity,
    hi = -Infinity;
  for (let i = from; i < to; i++) {
    const v = x[i];
    if (v < lo) lo = v;
    if (v > hi) hi = v;
  }
  return lo > hi ? [NaN, NaN] : [lo, hi];
}

// To 0 ... 1 between lo and hi; a flat map has no highest place and becomes 0.
export function rescale(x, lo, hi, out = new Float32Array(x.length)) {
  const f = hi - lo > 1e-9 ? 1 / (hi - lo) : 0;
  for (let i = 0; i < x.length; i++) {
    const v = (x[i] - lo) * f;
    out[i] = v < 0 ? 0 : v > 1 ? 1 : v;
  }
  return out;
}

// To -1 ... 1, 0 stays 0.
export function rescaleSigned(x, top, out = new Float32Array(x.length)) {
  const f = top > 1e-9 ? 1 / top : 0;
  for (let i = 0; i < x.length; i++) {
    const v = x[i] * f;
    out[i] = v < -1 ? -1 : v > 1 ? 1 : v;
  }
  return out;
}

// Bilinear from h x w cells to H x W points; both grids span the same extent. A point that touches a cell without a value has none.
export function enlarge(x, h, w, H, W, out = new Float32Array(H * W)) {
  const left = new Int32Array(W),
    right = new Int32Array(W),
    share = new Float32Array(W);
  for (let c = 0; c < W; c++) {
    const u = Math.min(Math.max(((c + 0.5) * w) / W - 0.5, 0), w - 1);
    left[c] = Math.floor(u);
    right[c] = Math.min(left[c] + 1, w - 1);
    share[c] = u - left[c];
  }
  for (let r = 0; r < H; r++) {
    const u = Math.min(Math.max(((r + 0.5) * h) / H - 0.5, 0), h - 1),
      a = Math.floor(u),
      b = Math.min(a + 1, h - 1),
      p = u - a;
    for (let c = 0; c < W; c++) {
      const s = share[c],
        top = s ? x[a * w + left[c]] * (1 - s) + x[a * w + right[c]] * s : x[a * w + left[c]];
      if (!p) {
        out[r * W + c] = top;
        continue;
      }
      const low = s ? x[b * w + left[c]] * (1 - s) + x[b * w + right[c]] * s : x[b * w + left[c]];
      out[r * W + c] = top * (1 - p) + low * p;
    }
  }
  return out;
}

// Values 0 ... 1 (or -1 ... 1 when signed) to RGBA with 256 colours; cover rises with the value, for faint ones late; no value: a dotted grey.
export function paint(v, width, lut, opacity, signed, out, faint = false) {
  for (let i = 0; i < v.length; i++) {
    const x = v[i],
      o = 4 * i;
    if (x !== x) {
      const dot = ((i % width) + Math.floor(i / width)) % 4 < 2 ? 150 : 90;
      out[o] = out[o + 1] = out[o + 2] = dot;
      out[o + 3] = 110;
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

// Marching squares: pieces [x0, y0, x1, y1] of the line where a map crosses a level, in cells (a cell's middle is at +0.5).
export function contour(x, h, w, level) {
  const lines = [],
    cut = (a, b) => (level - a) / (b - a);
  for (let r = 0; r < h - 1; r++)
    for (let c = 0; c < w - 1; c++) {
      const a = x[r * w + c],
        b = x[r * w + c + 1],
        d = x[(r + 1) * w + c],
        e = x[(r + 1) * w + c + 1];
      const code = (a >= level) | ((b >= level) << 1) | ((e >= level) << 2) | ((d >= level) << 3);
      if (code === 0 || code === 15 || a + b + d + e !== a + b + d + e) continue;
      const X = c + 0.5,
        Y = r + 0.5,
        top = () => [X + cut(a, b), Y],
        right = () => [X + 1, Y + cut(b, e)],
        low = () => [X + cut(d, e), Y + 1],
        left = () => [X, Y + cut(a, d)];
      const add = (p, q) => lines.push([...p(), ...q()]);
      if (code === 1 || code === 14) add(left, top);
      else if (code === 2 || code === 13) add(top, right);
      else if (code === 4 || code === 11) add(right, low);
      else if (code === 8 || code === 7) add(low, left);
      else if (code === 3 || code === 12) add(left, right);
      else if (code === 6 || code === 9) add(top, low);
      else if (code === 5) {
        add(left, top);
        add(right, low);
      } else {
        add(top, right);
        add(low, left);
      }
    }
  return lines;
}

// Cosines of one arrow with many: int8 numbers and their scales.
export function cosines(query, all, scale, out = new Float32Array(all.length / query.length)) {
  const D = query.length;
  for (let i = 0, o = 0; i < out.length; i++, o += D) {
    let s = 0;
    for (let d = 0; d < D; d++) s += query[d] * all[o + d];
    out[i] = s * scale;
  }
  return out;
}

// The row (fractions allowed) of a frequency on an axis of rising centres.
export function rowOf(hz, f) {
  if (f <= hz[0]) return hz.length > 1 ? Math.max(-0.5, (f - hz[0]) / (hz[1] - hz[0])) : 0;
  for (let i = 1; i < hz.length; i++) if (f <= hz[i]) return i - 1 + (f - hz[i - 1]) / (hz[i] - hz[i - 1]);
  return hz.length - 0.5;
}

// The frequencies between which cell k of n lies on an axis of rising centres.
export function cellHz(hz, k, n) {
  const at = u => {
    const r = Math.min(Math.max((u * hz.length) / n - 0.5, 0), hz.length - 1),
      i = Math.floor(r),
      j = Math.min(i + 1, hz.length - 1);
    return hz[i] + (hz[j] - hz[i]) * (r - i);
  };
  return [at(k), at(k + 1)];
}

export const sayHz = f => (f >= 1000 ? `${(f / 1000).toFixed(1)} kHz` : `${Math.round(f)} Hz`);

// Round frequencies to write on an axis, far enough apart to read: [[row, text]].
export function hzTicks(hz, n = 6) {
  const even = hz.length > 2 && Math.abs(hz[hz.length - 1] - hz[hz.length - 2] - (hz[2] - hz[1])) < 0.01 * (hz[2] - hz[1]),
    top = hz[hz.length - 1],
    out = [];
  const step = 1000 * Math.max(1, Math.ceil(top / 1000 / n));
  for (let i = 0; ; i++) {
    const f = even ? i * step : 125 * 2 ** i;
    if (f > top) return out;
    const row = rowOf(hz, f);
    if (f >= hz[0] && (!out.length || row - out[out.length - 1][0] > hz.length / (2 * n)))
      out.push([row, f >= 1000 ? `${f / 1000}k` : `${f}`]);
  }
}

// Round times to write on an axis.
export function timeTicks(start, seconds, n = 8) {
  const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60].find(s => seconds / s <= n) || 120,
    out = [];
  for (let k = Math.ceil(start / step - 1e-6); k * step <= start + seconds + 1e-6; k++) out.push(Math.round(k * step * 1000) / 1000);
  return out;
}

// A number that changes when a map does (to three digits).
export function checksum(x) {
  let s = 0;
  for (let i = 0; i < x.length; i++) s = (s * 31 + (x[i] === x[i] ? Math.round(x[i] * 1000) + 1001 : 7)) % 1000000007;
  return s;
}

// Index of the highest number.
export function top(x) {
  let k = -1;
  for (let i = 0; i < x.length; i++) if (x[i] === x[i] && (k < 0 || x[i] > x[k])) k = i;
  return k;
}

export function quantile(x, q) {
  const s = [...x].sort((a, b) => a - b);
  return s.length ? s[Math.min(s.length - 1, Math.floor(q * s.length))] : NaN;
}

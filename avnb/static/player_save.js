// The files that the player saves.
/** @import { Box, Bar, Panel, Surface } from './types.js' */
/** @import { Drawing } from './player_draw.js' */
import { make } from './elements.js';
import { contour, hzTicks, rowOf, timeTicks } from './player_arithmetic.js';
import { NAMES, levels, spectrogram } from './player_draw.js';

// The PNG, CSS pixels; drawn twice as large.
const PNG = { scale: 2, gap: 12, bar: 22, head: 48, foot: 12, column: 300 };
// The SVG: a spectrogram's size with its axes, and where in it the map lies.
const SVG = { w: 640, h: 240 };
const PLOT = { x: 56, y: 28, w: 474, h: 164 };
const RAMP = { x: SVG.w - 92, y: PLOT.y, w: 12, h: PLOT.h };

/**
 * @param {Blob} blob
 * @param {string} name  of the file; what a file system may not like becomes _
 */
export function offer(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = make('a', { href: url, download: name.replace(/[^\w.-]+/g, '_') });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 5000);
}

/**
 * Everything that is drawn, panels side by side.
 * @param {Drawing} view
 * @returns {HTMLCanvasElement}
 */
export function asCanvas(view) {
  const kinds = /** @type {const} */ (['picture', 'sound', 'wave']);
  const columns = view.panels.map(p => kinds.filter(k => p.canvas[k].w > 1));
  const widths = view.panels.flatMap((p, i) => columns[i].map(k => p.canvas[k].w));
  const heights = view.panels.map((p, i) => columns[i].reduce((sum, k) => sum + p.canvas[k].h + PNG.gap / 2, 0));
  const each = PNG.gap + Math.max(PNG.column, ...widths);
  const out = make('canvas', {
    width: PNG.scale * (each * columns.length + PNG.gap),
    height: PNG.scale * (PNG.head + Math.max(...heights) + 2 * PNG.bar + PNG.foot)
  });
  const g = out.getContext('2d');
  g.scale(PNG.scale, PNG.scale);
  g.fillStyle = getComputedStyle(view.root).getPropertyValue('--avnb-paper').trim() || '#fff';
  g.fillRect(0, 0, out.width, out.height);
  g.fillStyle = view.ink;
  g.font = '600 15px system-ui, sans-serif';
  g.fillText(`${view.scene.title}, ${(view.time + view.scene.start).toFixed(2)} s`, PNG.gap, 22);
  view.panels.forEach((p, i) => {
    const x = PNG.gap + i * each;
    g.font = '13px system-ui, sans-serif';
    g.fillText([p.label, NAMES.picture[view.layerName('picture')]].filter(Boolean).join(': '), x, 42);
    let y = PNG.head;
    for (const kind of columns[i]) {
      y = drawInto(g, p.canvas[kind], x, y);
      const bar = { picture: p.bars.picture, wave: p.bars.sound, sound: null }[kind]; // the sound's below its waveform
      if (bar && !bar.element.hidden) y = drawBarInto(g, bar, x, y);
    }
  });
  return out;
}

/**
 * @param {CanvasRenderingContext2D} g
 * @param {Surface} canvas
 * @param {number} x
 * @param {number} y
 * @returns {number}  where the next begins
 */
function drawInto(g, canvas, x, y) {
  g.drawImage(canvas, x, y, canvas.w, canvas.h);
  return y + canvas.h + PNG.gap / 2;
}

/**
 * @param {CanvasRenderingContext2D} g
 * @param {Bar} bar
 * @param {number} x
 * @param {number} y
 * @returns {number}  where the next begins
 */
function drawBarInto(g, bar, x, y) {
  g.font = '12px system-ui, sans-serif';
  const at = x + g.measureText(bar.lo.textContent).width + 6;
  g.fillText(bar.lo.textContent, x, y + 11);
  g.drawImage(bar.strip, at, y + 2, 90, 10);
  g.fillText(`${bar.hi.textContent} ${bar.unit.textContent}`, at + 96, y + 11);
  return y + PNG.bar;
}

// ---- SVG ----

/** @type {(text: string) => string} */
const escapeXml = text => text.replace(/[&<>"]/g, c => `&#${c.charCodeAt(0)};`);

/**
 * @param {string} text
 * @param {string} attributes
 */
function svgText(text, attributes) {
  return `<text ${attributes}>${escapeXml(text)}</text>`;
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Box} box
 */
function svgImage(canvas, { x, y, w, h }) {
  const href = canvas.toDataURL();
  return `<image x="${x}" y="${y}" width="${w}" height="${h}" preserveAspectRatio="none" href="${href}"/>`;
}

/**
 * @param {[number, number, number, number]} ends  x0, y0, x1, y1
 * @param {string} style
 */
function svgLine([x0, y0, x1, y1], style) {
  const ends = `x1="${x0.toFixed(1)}" y1="${y0.toFixed(1)}" x2="${x1.toFixed(1)}" y2="${y1.toFixed(1)}"`;
  return `<line ${ends} ${style}/>`;
}

/**
 * A canvas drawn onto a new one after `turn`.
 * @param {HTMLCanvasElement} canvas
 * @param {number} width
 * @param {number} height
 * @param {(g: CanvasRenderingContext2D) => void} turn
 */
function turned(canvas, width, height, turn) {
  const out = make('canvas', { width, height });
  const g = out.getContext('2d');
  g.translate(0, height);
  turn(g);
  g.drawImage(canvas, 0, 0);
  return out;
}

/**
 * A sound's map, its contours, and the bar of its colours.
 * @param {Drawing} view
 * @param {Panel} p
 */
function svgMap(view, p) {
  const { heard, bars } = p;
  const heat = p.offscreen.sound;
  const X = (/** @type {number} */ u) => PLOT.x + (u / heard.w) * PLOT.w;
  const Y = (/** @type {number} */ u) => PLOT.y + PLOT.h - (u / heard.h) * PLOT.h;
  const lines = (view.view.contours ? levels(heard) : []).flatMap(([level, width]) =>
    contour(heard.v, heard.h, heard.w, level).map(([x0, y0, x1, y1]) =>
      svgLine([X(x0), Y(y0), X(x1), Y(y1)], `stroke="#fff" stroke-width="${width}"`)
    )
  );
  const middle = `transform="translate(${SVG.w - 30} ${PLOT.y + PLOT.h / 2}) rotate(-90)" text-anchor="middle"`;
  return [
    svgImage(
      turned(heat, heat.width, heat.height, g => g.scale(1, -1)),
      PLOT
    ),
    ...lines,
    svgImage(
      turned(bars.sound.strip, 1, bars.sound.strip.width, g => g.rotate(-Math.PI / 2)),
      RAMP
    ),
    svgText(bars.sound.hi.textContent, `x="${RAMP.x + 17}" y="${RAMP.y + 9}"`),
    svgText(bars.sound.lo.textContent, `x="${RAMP.x + 17}" y="${RAMP.y + RAMP.h}"`),
    svgText(heard.unit, middle)
  ];
}

/**
 * Ticks and labels of both axes, and the bands that are known.
 * @param {Drawing} view
 * @param {number[]} hz
 */
function svgAxes(view, hz) {
  const { start, seconds, truth } = view.scene;
  const [right, bottom] = [PLOT.x + PLOT.w, PLOT.y + PLOT.h];
  const Y = (/** @type {number} */ row) => PLOT.y + PLOT.h * (1 - (row + 0.5) / hz.length);
  const parts = [];
  for (const [row, text] of hzTicks(hz)) {
    const y = Y(row);
    parts.push(svgLine([PLOT.x - 4, y, PLOT.x, y], 'stroke="#000"'));
    parts.push(svgText(text, `x="${PLOT.x - 7}" y="${(y + 4).toFixed(1)}" text-anchor="end"`));
  }
  for (const t of timeTicks(start, seconds)) {
    const x = PLOT.x + ((t - start) / seconds) * PLOT.w;
    parts.push(svgLine([x, bottom, x, bottom + 4], 'stroke="#000"'));
    parts.push(svgText(`${t}`, `x="${x.toFixed(1)}" y="${bottom + 17}" text-anchor="middle"`));
  }
  for (const { band, sounding } of truth)
    for (const f of sounding && band ? band : []) {
      const y = Y(rowOf(hz, f));
      parts.push(svgLine([PLOT.x, y, right, y], 'stroke="#fff" stroke-dasharray="5 4"'));
    }
  const aside = `transform="translate(14 ${PLOT.y + PLOT.h / 2}) rotate(-90)" text-anchor="middle"`;
  parts.push(svgText('time (s)', `x="${PLOT.x + PLOT.w / 2}" y="${bottom + 34}" text-anchor="middle"`));
  return [...parts, svgText('frequency (Hz)', aside)];
}

/**
 * The spectrograms as vectors: axes, bands and contours are lines and text, the pictures are embedded.
 * @param {Drawing} view
 */
export function asSvg(view) {
  const heard = view.panels.filter(p => view.sounds[p.sound].spec);
  const groups = heard.map((p, i) => {
    const { spec, hz } = view.sounds[p.sound];
    const title = svgText(
      [view.scene.title, p.label].filter(Boolean).join(', '),
      `x="${PLOT.x}" y="18" font-weight="600"`
    );
    const parts = [title, svgImage(spectrogram(spec), PLOT), ...(p.heard ? svgMap(view, p) : []), ...svgAxes(view, hz)];
    return `<g transform="translate(0 ${i * SVG.h})">${parts.join('')}</g>`;
  });
  const h = Math.max(groups.length * SVG.h, 1);
  const size = `viewBox="0 0 ${SVG.w} ${h}" width="${SVG.w}" height="${h}"`;
  const font = 'font-family="system-ui, sans-serif" font-size="12"';
  const paper = '<rect width="100%" height="100%" fill="#fff"/>';
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} ${font}>${paper}${groups.join('')}</svg>`;
}

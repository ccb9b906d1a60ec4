// Clips to see and hear, as cards or as points of a plane. Pictures and sound come from the kernel when somebody looks, once each.
// What stands here in text comes from file names and labels: it is only ever set as textContent, never as HTML.

const make = (tag, cls, text) => { const e = document.createElement(tag); if (cls) e.className = cls; if (text != null) e.textContent = text; return e }
const numbers = (model, name, type) => { const d = model.get(name); return d && d.byteLength ? new type(d.buffer.slice(d.byteOffset, d.byteOffset + d.byteLength)) : new type(0) }
const GONE = 'The kernel is gone: clips that were not shown yet cannot be fetched. Run the cell again.'
const still = () => matchMedia('(prefers-reduced-motion: reduce)').matches

// A path around (x, y); every shape has about the same area.
export function outline(p, shape, x, y, r) {
  if (shape === 0) { p.moveTo(x + r, y); p.arc(x, y, r, 0, 7) }
  else if (shape === 1) p.rect(x - r * .88, y - r * .88, r * 1.76, r * 1.76)
  else if (shape === 2) { p.moveTo(x, y - r * 1.25); p.lineTo(x + r * 1.15, y + r * .85); p.lineTo(x - r * 1.15, y + r * .85); p.closePath() }
  else { p.moveTo(x, y - r * 1.3); p.lineTo(x + r * 1.3, y); p.lineTo(x, y + r * 1.3); p.lineTo(x - r * 1.3, y); p.closePath() }
}

// The point nearest to (x, y), or -1; `xy` are pixels, pairs. With a direction (dx, dy) only points that way, the straight ones first.
export function nearest(xy, x, y, reach, dx = 0, dy = 0) {
  let best = -1, least = reach * reach
  for (let i = 0; i < xy.length / 2; i++) {
    const u = xy[2 * i] - x, v = xy[2 * i + 1] - y, along = u * dx + v * dy
    if ((dx || dy) && along <= .5) continue
    const d = u * u + v * v + (dx || dy ? 4 * (u * u + v * v - along * along) : 0)
    if (d < least) { least = d; best = i }
  }
  return best
}

// Thumbnails and videos of rows, asked for once. `get(kind, row)` promises an address, or throws the kernel's reason.
function library(model, root) {
  const known = new Map(), waiting = new Map()
  const refuse = whenGone(model, root, () => { for (const w of waiting.values()) w.fail(new Error(GONE)); waiting.clear() })    // nobody will answer
  const arrive = (msg, buffers) => {
    const key = `${msg.kind} ${msg.row}`, w = waiting.get(key)
    if (!w) return
    waiting.delete(key)
    if (msg.why) w.fail(new Error(msg.why)); else w.done(URL.createObjectURL(new Blob([buffers[0]], { type: msg.mime })))
  }
  model.on('msg:custom', arrive)
  const get = (kind, row) => {
    const key = `${kind} ${row}`
    if (!known.has(key)) {
      known.set(key, new Promise((done, fail) => waiting.set(key, { done, fail })))
      known.get(key).catch(() => {})
      try { model.send({ kind, row }) } catch { waiting.get(key).fail(new Error(GONE)); waiting.delete(key) }
    }
    return known.get(key)
  }
  const close = () => { refuse(); model.off('msg:custom', arrive); for (const p of known.values()) p.then(u => URL.revokeObjectURL(u), () => {}) }
  return { get, close }
}

// One video for all cards or points, with sound where the browser allows it.
function projector(root, lib, say) {
  const video = make('video', 'avnb-video'); video.loop = true; video.playsInline = true
  let row = -1, timer = 0, loud = true
  const state = s => { root.dataset.playing = s }
  const stop = () => { clearTimeout(timer); row = -1; video.pause(); video.removeAttribute('src'); video.load(); video.remove(); state('') }
  const start = async (r, place) => {
    try {
      const src = await lib.get('video', r)
      if (row !== r) return
      place.append(video); video.src = src; video.muted = !loud
      try { await video.play() } catch (e) { if (row !== r) return; video.muted = true; await video.play(); say('Muted: click once, then there is sound.') }
      if (row === r) state(String(r))
    } catch (e) { if (row === r) { state('error'); say(e.message) } }
  }
  const play = (r, place, wait = 0) => { if (row === r) return; stop(); row = r; timer = setTimeout(() => start(r, place), wait) }
  const sound = on => { loud = on; video.muted = !on }
  state('')
  return { play, stop, sound, get row() { return row } }
}

// A picture that fades in when it is there, or the reason why there is none.
function picture(lib, row) {
  const box = make('span', 'avnb-pic')
  lib.get('thumb', row).then(src => { const img = make('img'); img.alt = ''; img.src = src; img.draggable = false; box.prepend(img) },
    e => box.append(make('span', 'avnb-why', e.message)))
  return box
}

function cards(model, root, lib, show) {
  const list = make('ul', 'avnb-cards'), say = make('p', 'avnb-say'); say.setAttribute('role', 'status'); root.append(list, say)
  const screen = projector(root, lib, t => { say.textContent = t }); show.sound = screen.sound
  const made = new Map()
  const card = row => {
    const li = make('li'), b = make('button', 'avnb-card'); b.type = 'button'; b.dataset.row = row
    const pic = picture(lib, row), title = make('span', 'avnb-title'), facts = make('span', 'avnb-facts'), mass = make('span', 'avnb-mass'), bar = make('span')
    mass.append(bar); b.append(pic, title, mass, facts); li.append(b)
    const watch = () => { root.dataset.hover = row; if (!still()) screen.play(row, pic, 90) }
    const leave = () => { if (screen.row === row) screen.stop(); root.dataset.hover = '' }
    b.addEventListener('pointerenter', watch); b.addEventListener('pointerleave', leave); b.addEventListener('focus', watch); b.addEventListener('blur', leave)
    b.addEventListener('click', () => { screen.play(row, pic); model.set('chosen', row); model.save_changes() })
    b.addEventListener('keydown', e => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key]; if (e.key === 'Escape') screen.stop(); if (!step) return
      const all = [...list.querySelectorAll('button')], next = all[all.indexOf(b) + step]; e.preventDefault(); e.stopPropagation(); if (next) next.focus()
    })
    return { li, b, title, facts, mass, bar }
  }
  const draw = () => {
    const items = model.get('items'), rows = new Set(items.map(i => i.row))
    for (const [row, c] of made) if (!rows.has(row)) { c.li.remove(); made.delete(row); if (screen.row === row) screen.stop() }
    items.forEach((item, k) => {
      const c = made.get(item.row) || card(item.row); made.set(item.row, c)
      c.title.textContent = item.title; c.facts.textContent = item.facts; c.mass.hidden = item.mass == null
      if (item.mass != null) { c.bar.style.width = `${100 * Math.min(1, item.mass)}%`; c.b.dataset.mass = item.mass }
      c.b.setAttribute('aria-label', `${item.title}. ${item.facts}`); c.b.setAttribute('aria-pressed', String(item.row === model.get('chosen')))
      if (list.children[k] !== c.li) list.insertBefore(c.li, list.children[k] || null)
    })
    say.textContent = items.length ? '' : model.get('empty'); root.dataset.count = items.length; root.dataset.rows = items.map(i => i.row).join(' ')
  }
  return { draw, stop: screen.stop }
}

function plane(model, root, lib, show) {
  const wide = make('div', 'avnb-plane'), canvas = make('canvas'), side = make('div', 'avnb-side'), frame = make('div', 'avnb-frame')
  const title = make('div', 'avnb-title'), facts = make('div', 'avnb-facts'), legend = make('div', 'avnb-legend'), say = make('p', 'avnb-say')
  canvas.tabIndex = 0; canvas.setAttribute('role', 'application'); title.setAttribute('role', 'status'); say.setAttribute('role', 'status')
  side.append(frame, title, facts, say, legend); wide.append(canvas, side); root.append(wide)
  const screen = projector(root, lib, t => { say.textContent = t }); show.sound = screen.sound
  let at = new Float32Array(0), on = -1, raf = 0
  const items = () => model.get('items')
  const spread = () => {
    const xy = numbers(model, 'xy', Float32Array), w = canvas.clientWidth - 28, h = canvas.clientHeight - 28
    at = xy.map((v, i) => 14 + v * (i % 2 ? h : w))
  }
  const ring = (g, i, r, style, lw) => { if (i < 0) return; g.beginPath(); g.arc(at[2 * i], at[2 * i + 1], r, 0, 7); g.strokeStyle = style; g.lineWidth = lw; g.stroke() }
  const paint = () => {
    raf = 0
    const ratio = devicePixelRatio || 1, w = canvas.clientWidth, h = canvas.clientHeight, g = canvas.getContext('2d'), ink = getComputedStyle(root).color
    if (!w || !h) return
    if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) { canvas.width = Math.round(w * ratio); canvas.height = Math.round(h * ratio) }
    spread()
    g.setTransform(ratio, 0, 0, ratio, 0, 0); g.clearRect(0, 0, w, h)
    const rgb = numbers(model, 'rgb', Uint8Array), shape = numbers(model, 'shape', Uint8Array), n = at.length / 2, r = n > 1200 ? 3 : n > 300 ? 4 : 6
    g.lineWidth = .7; g.strokeStyle = ink
    for (let i = 0; i < n; i++) {
      g.beginPath(); outline(g, shape[i], at[2 * i], at[2 * i + 1], r)
      g.globalAlpha = .9; g.fillStyle = `rgb(${rgb[3 * i]},${rgb[3 * i + 1]},${rgb[3 * i + 2]})`; g.fill(); g.globalAlpha = .45; g.stroke()
    }
    g.globalAlpha = 1
    const chosen = items().findIndex(i => i.row === model.get('chosen'))
    ring(g, chosen, r + 6, ink, 2.5); ring(g, on, r + 4, ink, 1.5); root.dataset.points = n
  }
  const redraw = () => { raf = raf || requestAnimationFrame(paint) }
  const look = (i, wait) => {
    if (i === on) return
    on = i; const item = items()[i]; root.dataset.hover = item ? item.row : ''; redraw()
    if (!item) return                                    // the last one stays in view and goes on playing
    title.textContent = item.title; facts.textContent = item.facts; say.textContent = ''
    if (frame.dataset.row !== String(item.row)) { frame.dataset.row = item.row; frame.replaceChildren(picture(lib, item.row)) }
    if (!still()) screen.play(item.row, frame.firstChild, wait)
  }
  const choose = i => { const item = items()[i]; if (!item) return; if (still()) screen.play(item.row, frame.firstChild); model.set('chosen', item.row); model.save_changes() }
  const find = e => nearest(at, e.offsetX, e.offsetY, 16)
  canvas.addEventListener('pointermove', e => look(find(e), 90))
  canvas.addEventListener('pointerleave', () => { screen.stop(); look(-1) })
  canvas.addEventListener('click', e => { const i = find(e); look(i, 0); choose(i) })
  canvas.addEventListener('blur', () => screen.stop())
  canvas.addEventListener('keydown', e => {
    const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key]
    if (e.key === 'Enter' || e.key === ' ') choose(on); else if (e.key === 'Escape') { screen.stop(); look(-1) } else if (!way) return
    e.preventDefault(); e.stopPropagation()
    if (way) { const i = on < 0 ? nearest(at, canvas.clientWidth / 2, canvas.clientHeight / 2, 1e5) : nearest(at, at[2 * on], at[2 * on + 1], 1e5, ...way); if (i >= 0) look(i, 0) }
  })
  const swatch = e => {
    const s = document.createElementNS('http://www.w3.org/2000/svg', 'svg'), p = document.createElementNS('http://www.w3.org/2000/svg', 'path'), d = []
    const pen = { moveTo: (x, y) => d.push(`M${x} ${y}`), lineTo: (x, y) => d.push(`L${x} ${y}`), closePath: () => d.push('Z'), rect: (x, y, w, h) => d.push(`M${x} ${y}h${w}v${h}h${-w}Z`),
      arc: (x, y, r) => d.push(`a${r} ${r} 0 1 0 ${-2 * r} 0a${r} ${r} 0 1 0 ${2 * r} 0`) }
    outline(pen, e.shape, 7, 7, 5); s.setAttribute('viewBox', '0 0 14 14'); s.setAttribute('aria-hidden', 'true'); p.setAttribute('d', d.join('')); p.setAttribute('fill', `rgb(${e.rgb})`); s.append(p)
    return s
  }
  const explain = () => {
    const l = model.get('legend'), ul = make('ul')
    legend.replaceChildren(make('div', 'avnb-legend-title', l.title || ''))
    if (l.bar) {
      const bar = make('div', 'avnb-scale'), ends = make('div', 'avnb-ends'); bar.style.background = `linear-gradient(to right, ${l.bar.map(c => `rgb(${c})`).join(',')})`
      ends.append(make('span', '', l.lo), make('span', '', l.hi)); legend.append(bar, ends)
    }
    for (const e of l.entries || []) { const li = make('li'); li.append(swatch(e), make('span', '', e.label)); ul.append(li) }
    legend.append(ul)
  }
  let drawn = null
  const draw = () => { if (drawn !== items()) { on = -1; drawn = items() } spread(); explain(); canvas.setAttribute('aria-label', model.get('label') + '. Arrow keys go from clip to clip, Enter chooses one.'); redraw()
    if (!frame.firstChild) { title.textContent = 'Point at a clip'; facts.textContent = 'It plays, with sound. A click chooses it.' } }
  const size = new ResizeObserver(() => { spread(); redraw() }); size.observe(canvas)
  const theme = new MutationObserver(redraw); theme.observe(document.body, { attributes: true, attributeFilter: ['data-jp-theme-light', 'class'] })
  return { draw, stop: () => { screen.stop(); size.disconnect(); theme.disconnect() } }
}

export default {
  render({ model, el }) {
    const root = make('div', 'avnb-board'), lib = library(model, root), show = {}, top = make('div', 'avnb-top'), heard = make('button', 'avnb-heard')
    root.dataset.mode = model.get('mode'); root.setAttribute('role', 'group'); root.setAttribute('aria-label', model.get('label')); heard.type = 'button'
    const mute = on => { heard.setAttribute('aria-pressed', String(on)); heard.textContent = on ? 'Sound is on' : 'Sound is off'; show.sound(on) }
    const head = make('span', 'avnb-head'); top.append(head, heard); root.append(top); el.append(root)
    const view = (model.get('mode') === 'plane' ? plane : cards)(model, root, lib, show)
    heard.addEventListener('click', () => mute(heard.getAttribute('aria-pressed') !== 'true')); mute(true)
    const draw = () => { head.textContent = model.get('label'); root.setAttribute('aria-label', model.get('label')); root.dataset.chosen = model.get('chosen'); view.draw() }
    const events = ['change:items', 'change:xy', 'change:rgb', 'change:legend', 'change:chosen', 'change:label']
    let due = 0; const soon = () => { due = due || requestAnimationFrame(() => { due = 0; draw() }) }     // several traits change together: draw once
    for (const e of events) model.on(e, soon)
    draw()
    return () => { for (const e of events) model.off(e, soon); cancelAnimationFrame(due); view.stop(); lib.close() }
  }
}

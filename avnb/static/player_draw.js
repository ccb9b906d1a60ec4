// What the player draws: sizes, pictures under their maps, spectrograms, lines in time, and the files it saves.
const MARK = '#4ff0ff';
const NAMES = {
  picture: { alone: 'vision alone', guided: 'guided by the sound', difference: 'difference: guided − alone', none: 'no map' },
  sound: { alone: 'frequency alone', guided: 'guided by the picture', difference: 'difference: guided − alone', none: 'no map' }
};

// An element with attributes and children; strings become text, never HTML.
function make(tag, attributes = {}, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attributes))
    if (k.startsWith('on')) e.addEventListener(k.slice(2), v);
    else if (v !== false && v != null) e.setAttribute(k, v === true ? '' : v);
  e.append(...children.filter(c => c != null));
  return e;
}

class Drawing {
  // ---- sizes ----

  arrange() {
    if (!this.panels || !this.scene.panels) return;
    const W = (this.width = this.root.clientWidth || 900),
      n = this.panels.length,
      gap = 16,
      [H0, W0] = this.scene.size,
      aspect = H0 ? W0 / H0 : 1;
    const columns = n === 1 || W < 700 ? 1 : n === 3 && W >= 840 ? 3 : 2,
      each = (W - gap * (columns - 1)) / columns,
      wide = each >= 500; // picture and spectrogram side by side
    const tall = n === 1 ? Math.min(520, Math.max(220, Math.min(W * 0.4, window.innerHeight * 0.42))) : n === 2 || wide ? 270 : 230;
    this.grid.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
    this.root.classList.toggle('avnb-wide', wide);
    const w = H0 ? Math.min(wide ? each * 0.5 : each, tall * aspect) : 0,
      h = H0 ? w / aspect : 0;
    const right = wide && H0 ? each - w - gap : each,
      waveHeight = n === 1 ? 64 : 44,
      specHeight = wide ? Math.max(140, Math.min(tall, 380) - waveHeight, h - waveHeight) : 150;
    for (const p of this.panels) {
      p.element.classList.toggle('avnb-nopicture', !H0);
      p.bars.picture.element.parentElement.style.width = wide ? `${w}px` : '';
      this.size(p.canvas.picture, w, h);
      this.size(p.canvas.sound, right, specHeight);
      this.size(p.canvas.wave, right, waveHeight);
      p.soundKey = p.groundKey = p.barKey = null;
    }
    for (const m of this.media) {
      m.style.width = `${w}px`;
      m.style.height = `${h}px`;
    }
    this.restyle();
  }

  size(canvas, w, h) {
    const r = Math.min(2, window.devicePixelRatio || 1);
    canvas.ratio = r;
    canvas.w = w;
    canvas.h = h;
    canvas.width = Math.max(1, Math.round(w * r));
    canvas.height = Math.max(1, Math.round(h * r));
    canvas.style.width = `${w}px`;
    canvas.style.height = `${h}px`;
  }

  restyle() {
    if (!this.panels) return;
    const s = getComputedStyle(this.root);
    this.ink = s.color;
    this.accent = s.getPropertyValue('--avnb-accent').trim() || '#0072B2';
    for (const p of this.panels) p.groundKey = null;
    this.draw();
  }

  // Where in a canvas the map lies, CSS pixels.
  boxOf(p, kind) {
    const c = p.canvas[kind];
    if (kind !== 'picture') {
      const side = kind === 'sound' || kind === 'wave' ? 46 : 0;
      return { x: 44, y: kind === 'sound' ? 4 : 2, w: Math.max(10, c.w - 44 - side), h: kind === 'sound' ? c.h - 8 : c.h - 18 };
    }
    const [x0, y0, x1, y1] = this.scene.area;
    return { x: x0 * c.w, y: y0 * c.h, w: (x1 - x0) * c.w, h: (y1 - y0) * c.h };
  }

  // ---- drawing ----

  draw() {
    if (this.closed || !this.panels || !this.panels[0].canvas || !this.ink) return;
    for (const p of this.panels) {
      this.drawPicture(p);
      this.drawSound(p);
    }
    this.drawLines(this.time);
    this.expose();
  }

  // Lowest and highest value of a map or an answer: over the clip, or over all panels' of that kind.
  scaleOf(m, answer) {
    if (this.view.per !== 'all') return [m.lo, m.hi];
    const kind = m.shape.length > 2 ? 'video' : 'audio',
      shown = p => (answer ? p.answer : p[kind][this.layerName(kind === 'video' ? 'picture' : 'sound')]),
      same = this.panels.map(shown).filter(Boolean);
    const some = same.filter(q => Number.isFinite(q.lo)); // a map without a value has no scale
    return some.length ? [Math.min(...some.map(q => q.lo)), Math.max(...some.map(q => q.hi))] : [m.lo, m.hi];
  }

  // The picture's map now: what answers, or the chosen layer.
  pictureNow(p) {
    const answer = p.answer?.kind === 'picture' ? p.answer : null,
      m = answer || p.video[this.layerName('picture')];
    if (!m) return null;
    const x = blend(m.x, m.cells, answer ? [moment(this.time, this.scene.seconds, m.n), 0, 0] : place(this.time, this.scene.seconds, m.n)),
      [lo, hi] = this.view.per === 'frame' ? range(x) : this.scaleOf(m, answer);
    const top = m.signed ? Math.max(Math.abs(lo), Math.abs(hi)) : 0;
    return {
      v: m.signed ? rescaleSigned(x, top) : rescale(x, lo, hi),
      h: m.shape[1],
      w: m.shape[2],
      lo: m.signed ? -top : lo,
      hi: m.signed ? top : hi,
      signed: !!m.signed,
      faint: !!answer,
      unit: answer ? 'cosine' : p.unit
    };
  }

  drawPicture(p) {
    const c = p.canvas.picture;
    if (!this.scene.frames) return;
    const g = c.getContext('2d'),
      m = this.sound;
    g.setTransform(c.ratio, 0, 0, c.ratio, 0, 0);
    g.imageSmoothingEnabled = true;
    if (m && m.readyState >= 2 && m.videoWidth) g.drawImage(m, 0, 0, c.w, c.h);
    else if (this.poster) g.drawImage(this.poster, 0, 0, c.w, c.h);
    else {
      g.fillStyle = '#444';
      g.fillRect(0, 0, c.w, c.h);
    }
    const box = this.boxOf(p, 'picture'),
      now = this.pictureNow(p);
    if (box.w < c.w - 1 || box.h < c.h - 1) {
      g.fillStyle = 'rgba(0,0,0,.55)';
      g.beginPath();
      g.rect(0, 0, c.w, c.h);
      g.rect(box.x, box.y, box.w, box.h);
      g.fill('evenodd');
    }
    p.picture = now;
    if (now) {
      this.heat(p.layer.picture, now);
      g.imageSmoothingQuality = 'high';
      g.drawImage(p.layer.picture, box.x, box.y, box.w, box.h);
      if (this.view.contours) this.lines(g, now, box);
      this.bar(p, 'picture', now);
    }
    if (this.view.truth) this.drawBoxes(g, c);
    this.drawMark(g, p, box);
    p.bars.picture.element.hidden = !now;
  }

  // A map as colours, enlarged as numbers first.
  heat(layer, { v, h, w, signed, faint }) {
    const k = Math.max(1, Math.min(12, Math.floor(160 / Math.max(h, w)))),
      H = h * k,
      W = w * k;
    if (layer.width !== W || layer.height !== H || !layer.image) {
      layer.width = W;
      layer.height = H;
      layer.image = new ImageData(W, H);
      layer.room = new Float32Array(H * W);
    }
    paint(
      enlarge(v, h, w, H, W, layer.room),
      W,
      this.lut[signed ? 'PuOr_r' : this.view.colour] || this.lut.inferno,
      this.view.opacity,
      signed,
      layer.image.data,
      faint
    );
    layer.getContext('2d').putImageData(layer.image, 0, 0);
  }

  levels(now) {
    return now.signed
      ? [
          [0.5, 1.6],
          [-0.5, 1.6]
        ]
      : [
          [0.5, 1],
          [0.85, 2]
        ];
  }

  lines(g, now, box, flip = false) {
    for (const [level, width] of this.levels(now)) {
      const path = new Path2D(),
        X = u => box.x + (u / now.w) * box.w,
        Y = u => (flip ? box.y + box.h - (u / now.h) * box.h : box.y + (u / now.h) * box.h);
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

  outline(g, x, y, w, h, dash = [], colour = '#fff') {
    for (const [c, lw] of [
      ['#000', 3.6],
      [colour, 1.8]
    ]) {
      g.setLineDash(dash);
      g.strokeStyle = c;
      g.lineWidth = lw;
      g.strokeRect(x, y, w, h);
    }
    g.setLineDash([]);
  }

  drawBoxes(g, c) {
    for (const s of this.scene.truth) {
      const b = s.boxes[Math.min(this.frame, s.boxes.length - 1)];
      if (b) this.outline(g, b[0] * c.w, b[1] * c.h, (b[2] - b[0]) * c.w, (b[3] - b[1]) * c.h, s.sounding ? [] : [2, 4]);
    }
  }

  // The patch that is pointed at.
  drawMark(g, p, box) {
    const t = this.lock || this.hover;
    if (!t || t.kind !== 'picture' || !p.local.video) return;
    const [, h, w] = p.local.video.shape,
      x = Math.floor(t.x * w),
      y = Math.floor(t.y * h);
    this.outline(g, box.x + (x / w) * box.w, box.y + (y / h) * box.h, box.w / w, box.h / h, [], MARK);
    if (this.lock) {
      g.fillStyle = MARK;
      g.strokeStyle = '#000';
      g.lineWidth = 1;
      g.beginPath();
      g.arc(box.x + ((x + 0.5) / w) * box.w, box.y + ((y + 0.5) / h) * box.h, 4, 0, 7);
      g.fill();
      g.stroke();
    }
  }

  // The sound's map: what answers, or the chosen layer, over all times.
  soundMap(p) {
    const answer = p.answer?.kind === 'sound' ? p.answer : null,
      m = answer || p.audio[this.layerName('sound')];
    if (!m) return null;
    const [n, F] = [m.n, m.cells],
      v = new Float32Array(n * F),
      part = new Float32Array(F);
    let [lo, hi] = this.scaleOf(m, answer);
    for (let i = 0; i < n; i++) {
      blend(m.x, F, [i, i, 0], part);
      if (this.view.per === 'frame' && !answer) {
        [lo, hi] = range(part);
        if (m.signed) hi = Math.max(Math.abs(lo), Math.abs(hi));
      }
      if (m.signed) rescaleSigned(part, hi, part);
      else rescale(part, lo, hi, part);
      for (let f = 0; f < F; f++) v[f * n + i] = part[f];
    }
    [lo, hi] = this.scaleOf(m, answer);
    return {
      v,
      h: F,
      w: n,
      lo: m.signed ? -hi : lo,
      hi,
      signed: !!m.signed,
      faint: !!answer,
      unit: answer ? 'cosine' : p.unit,
      per: answer ? 'clip' : this.view.per
    };
  }

  // The spectrogram in grey with its axes: drawn once per size, theme and sound.
  drawGround(p) {
    const c = p.canvas.sound,
      s = this.sounds[p.sound],
      box = this.boxOf(p, 'sound'),
      layer = p.layer.ground;
    if (p.groundKey === s) return;
    p.groundKey = s;
    layer.width = c.width;
    layer.height = c.height;
    const g = layer.getContext('2d');
    g.setTransform(c.ratio, 0, 0, c.ratio, 0, 0);
    g.fillStyle = '#111';
    g.fillRect(box.x, box.y, box.w, box.h);
    g.font = '11px system-ui, sans-serif';
    g.textBaseline = 'middle';
    if (!s.spec) {
      g.fillStyle = '#ccc';
      g.textAlign = 'center';
      g.fillText('no sound in this file', box.x + box.w / 2, box.y + box.h / 2);
      return;
    }
    const [T, F] = s.spec.shape,
      image = new ImageData(T, F),
      v = rescale(s.spec.x, s.spec.lo, s.spec.hi);
    for (let t = 0; t < T; t++)
      for (let f = 0; f < F; f++) {
        const o = 4 * ((F - 1 - f) * T + t),
          x = v[t * F + f];
        image.data[o] = image.data[o + 1] = image.data[o + 2] = 18 + 228 * x * x;
        image.data[o + 3] = 255;
      }
    const small = document.createElement('canvas');
    small.width = T;
    small.height = F;
    small.getContext('2d').putImageData(image, 0, 0);
    g.drawImage(small, box.x, box.y, box.w, box.h);
    g.fillStyle = this.ink;
    g.textAlign = 'right';
    for (const [row, text] of hzTicks(s.hz)) {
      const y = box.y + box.h * (1 - (row + 0.5) / s.hz.length);
      g.fillText(text, box.x - 6, Math.min(Math.max(y, 7), c.h - 7));
      g.fillRect(box.x - 4, y, 4, 1);
    }
    g.save();
    g.translate(8, box.y + box.h / 2);
    g.rotate(-Math.PI / 2);
    g.textAlign = 'center';
    g.fillText('Hz', 0, 0);
    g.restore();
  }

  // Spectrogram, heat and truth: kept in a layer until something of it changes.
  drawSound(p) {
    this.drawGround(p);
    const c = p.canvas.sound,
      box = this.boxOf(p, 'sound'),
      key = `${this.layerName('sound')} ${this.view.colour} ${this.view.opacity} ${this.view.per} ${this.view.contours} ${p.sound}`;
    if (p.soundKey !== key) {
      p.soundKey = key;
      p.heard = this.soundMap(p);
      if (p.heard) this.heat(p.layer.sound, p.heard);
    }
    const g = c.getContext('2d');
    g.setTransform(1, 0, 0, 1, 0, 0);
    g.clearRect(0, 0, c.width, c.height);
    g.drawImage(p.layer.ground, 0, 0);
    g.setTransform(c.ratio, 0, 0, c.ratio, 0, 0);
    if (p.heard) {
      g.save();
      g.translate(0, box.y + box.h);
      g.scale(1, -1);
      g.drawImage(p.layer.sound, box.x, 0, box.w, box.h);
      g.restore();
      if (this.view.contours) this.lines(g, p.heard, box, true);
      this.drawProfile(g, p, box);
      this.bar(p, 'sound', p.heard);
    }
    if (this.view.truth) this.drawBands(g, p, box);
    const t = this.lock || this.hover;
    if (t?.kind === 'sound' && p.local.audio) {
      const [M, F] = p.local.audio.shape,
        s = this.sounds[p.sound].seconds,
        m = moment(t.time, s, M),
        f = Math.min(F - 1, Math.floor(t.y * F));
      this.outline(g, box.x + (m / M) * box.w, box.y + box.h - ((f + 1) / F) * box.h, box.w / M, box.h / F, [], MARK);
    }
    p.bars.sound.element.hidden = !p.heard;
  }

  drawBands(g, p, box) {
    const s = this.sounds[p.sound],
      Y = f => box.y + box.h * (1 - (rowOf(s.hz, f) + 0.5) / s.hz.length),
      X = t => box.x + Math.min(Math.max(t / s.seconds, 0), 1) * box.w;
    for (const k of this.scene.truth)
      if (k.band && k.sounding)
        for (const [a, b] of k.active.length ? k.active : [[0, s.seconds]])
          if (b > 0 && a < s.seconds) this.outline(g, X(a), Y(k.band[1]), X(b) - X(a), Y(k.band[0]) - Y(k.band[1]), [5, 4]);
  }

  // Beside the spectrogram: how attention spreads over the frequencies now.
  drawProfile(g, p, box) {
    const m = p.heard,
      x0 = box.x + box.w + 6,
      w = 38,
      u = (this.time / this.sounds[p.sound].seconds) * m.w - 0.5,
      i = Math.min(Math.max(Math.floor(u), 0), m.w - 1),
      j = Math.min(i + 1, m.w - 1),
      part = Math.min(Math.max(u - i, 0), 1);
    g.fillStyle = this.accent;
    g.globalAlpha = 0.85;
    for (let f = 0; f < m.h; f++) {
      const v = m.v[f * m.w + i] * (1 - part) + m.v[f * m.w + j] * part,
        h = box.h / m.h,
        y = box.y + box.h - (f + 1) * h;
      if (m.signed) g.fillRect(x0 + w / 2, y + 0.5, (v * w) / 2, h - 1);
      else g.fillRect(x0, y + 0.5, Math.max(1, v * w), h - 1);
    }
    g.globalAlpha = 1;
  }

  bar(p, kind, m) {
    const b = p.bars[kind],
      per = kind === 'sound' && m.per === 'frame',
      name = m.signed ? 'PuOr_r' : this.view.colour,
      key = `${name} ${m.lo.toFixed(2)} ${m.hi.toFixed(2)} ${m.unit} ${per}`;
    if (b.key === key) return;
    b.key = key;
    const image = new ImageData(128, 1),
      lut = this.lut[name] || this.lut.inferno;
    for (let i = 0; i < 128; i++) {
      image.data.set(lut.subarray(6 * i, 6 * i + 3), 4 * i);
      image.data[4 * i + 3] = 255;
    }
    b.strip.getContext('2d').putImageData(image, 0, 0);
    const say = v => (Number.isFinite(v) ? (Math.abs(v) >= 100 ? v.toFixed(0) : v.toFixed(2)).replace('-', '−') : 'no value');
    b.lo.textContent = per ? 'least' : say(m.lo);
    b.hi.textContent = per ? 'most' : say(m.hi);
    b.unit.textContent = m.unit + (per ? ', at each moment' : '');
  }

  // The line in time, over spectrogram and waveform; cheap enough for every tick of the screen.
  drawLines(t) {
    if (!this.ink || !this.panels) return;
    for (const p of this.panels) {
      const c = p.canvas.wave,
        g = c.getContext('2d'),
        box = this.boxOf(p, 'wave'),
        s = this.sounds[p.sound];
      g.setTransform(c.ratio, 0, 0, c.ratio, 0, 0);
      g.clearRect(0, 0, c.w, c.h);
      const { from, to } = this.view;
      if (from != null && to != null) {
        g.fillStyle = this.accent;
        g.globalAlpha = 0.2;
        g.fillRect(box.x + (from / this.scene.seconds) * box.w, box.y, ((to - from) / this.scene.seconds) * box.w, box.h);
        g.globalAlpha = 1;
      }
      g.fillStyle = this.accent;
      const n = s.wave.length / 2,
        mid = box.y + box.h / 2,
        part = s.seconds / this.scene.seconds;
      for (let i = 0; i < n; i++) {
        const lo = s.wave[2 * i] / 127,
          hi = s.wave[2 * i + 1] / 127;
        g.fillRect(
          box.x + (i / n) * box.w * part,
          mid - (hi * box.h) / 2,
          Math.max(0.6, (box.w / n) * part),
          Math.max(1, ((hi - lo) * box.h) / 2)
        );
      }
      g.fillStyle = this.ink;
      g.font = '11px system-ui, sans-serif';
      g.textAlign = 'center';
      g.textBaseline = 'bottom';
      for (const k of timeTicks(this.scene.start, this.scene.seconds)) {
        const x = box.x + ((k - this.scene.start) / this.scene.seconds) * box.w;
        if (x < box.x + box.w - 12) g.fillText(`${k}`, x, c.h);
        g.fillRect(x, box.y + box.h, 1, 3);
      }
      g.textAlign = 'left';
      g.fillText('s', box.x + box.w - 4, c.h);
      if (p.heard) g.fillText('now', box.x + box.w + 6, box.y + 12);
      const x = box.x + Math.min(t / this.scene.seconds, 1) * box.w,
        sc = p.canvas.sound,
        sb = this.boxOf(p, 'sound'),
        sg = sc.getContext('2d');
      if (p.lineAt !== x) {
        if (p.heardLine) this.drawSound(p);
        p.lineAt = x;
      }
      sg.setTransform(sc.ratio, 0, 0, sc.ratio, 0, 0);
      p.heardLine = true;
      for (const [h, b, y] of [
        [g, box.h, box.y],
        [sg, sb.h, sb.y]
      ]) {
        h.fillStyle = '#000';
        h.fillRect(x - 1.5, y, 3, b);
        h.fillStyle = '#fff';
        h.fillRect(x - 0.5, y, 1, b);
      }
    }
    this.clock.textContent = `${(t + this.scene.start).toFixed(2)} s`;
    this.scrub.value = t;
    this.scrub.setAttribute('aria-valuetext', `${(t + this.scene.start).toFixed(2)} seconds, frame ${this.frame}`);
  }

  // Numbers for whoever wants to know what is on the screen.
  expose() {
    const d = this.root.dataset,
      p = this.panels,
      sum = key => p.map(q => (q[key] ? checksum(q[key].v) : 0)).join(' ');
    d.time = this.time.toFixed(3);
    d.frame = this.frame;
    d.drawn = this.stats.frames.size;
    d.picture = sum('picture');
    d.answers = p.map(q => (q.answer ? q.answer.kind : '')).join(' ');
    const heard = p.map(q => q.soundKey).join();
    if (heard !== this.heardKey || this.asked !== this.heardAsked) {
      this.heardKey = heard;
      this.heardAsked = this.asked;
      d.sound = sum('heard');
    }
    if (this.stats.first == null && (this.poster || this.sound?.readyState >= 2 || !this.scene.frames)) {
      this.stats.first = performance.timeOrigin + performance.now();
      d.ready = this.stats.first.toFixed(0);
    }
  }

  // ---- saving ----

  offer(blob, name) {
    const url = URL.createObjectURL(blob),
      a = make('a', { href: url, download: name.replace(/[^\w.-]+/g, '_') });
    document.body.append(a);
    a.click();
    a.remove();
    setTimeout(() => URL.revokeObjectURL(url), 5000);
  }

  savePng() {
    this.draw();
    const r = 2,
      pad = 12,
      strip = 22,
      kinds = ['picture', 'sound', 'wave'];
    const columns = this.panels.map(p => kinds.filter(k => p.canvas[k].w > 1).map(k => [p.canvas[k], k]));
    const width = pad + Math.max(300, ...columns.flat().map(([c]) => c.w)),
      tall = Math.max(...columns.map(c => c.reduce((a, [x]) => a + x.h + pad / 2, 2 * strip)));
    const out = make('canvas', { width: r * (width * columns.length + pad), height: r * (tall + 60) }),
      g = out.getContext('2d');
    g.scale(r, r);
    g.fillStyle = getComputedStyle(this.root).getPropertyValue('--avnb-paper').trim() || '#fff';
    g.fillRect(0, 0, out.width, out.height);
    g.fillStyle = this.ink;
    g.font = '600 15px system-ui, sans-serif';
    g.fillText(`${this.scene.title}, ${(this.time + this.scene.start).toFixed(2)} s`, pad, 22);
    columns.forEach((column, k) => {
      const p = this.panels[k],
        x = pad + k * width;
      let y = 48;
      g.font = '13px system-ui, sans-serif';
      g.fillText([p.label, NAMES.picture[this.layerName('picture')]].filter(Boolean).join(': '), x, 42);
      for (const [c, kind] of column) {
        g.drawImage(c, x, y, c.w, c.h);
        y += c.h + pad / 2;
        const b = p.bars[kind === 'wave' ? 'sound' : kind === 'picture' ? kind : 'none'];
        if (!b || b.element.hidden) continue;
        g.font = '12px system-ui, sans-serif';
        const from = x,
          at = from + g.measureText(b.lo.textContent).width + 6;
        g.fillText(b.lo.textContent, from, y + 11);
        g.drawImage(b.strip, at, y + 2, 90, 10);
        g.fillText(`${b.hi.textContent} ${b.unit.textContent}`, at + 96, y + 11);
        y += strip;
      }
    });
    out.toBlob(b => this.offer(b, `${this.scene.title}.png`));
  }

  // The spectrograms as vectors: axes, bands and contours are lines and text, the two pictures are embedded.
  svg() {
    const parts = [],
      esc = s => String(s).replace(/[&<>"]/g, c => `&#${c.charCodeAt(0)};`);
    let y0 = 0;
    const W = 640,
      H = 240,
      box = { x: 56, y: 28, w: W - 56 - 110, h: H - 76 };
    this.panels.forEach(p => {
      const s = this.sounds[p.sound];
      if (!s.spec) return;
      const [T, F] = s.spec.shape,
        small = document.createElement('canvas'),
        flip = document.createElement('canvas'),
        image = new ImageData(T, F),
        v = rescale(s.spec.x, s.spec.lo, s.spec.hi);
      for (let t = 0; t < T; t++)
        for (let f = 0; f < F; f++) {
          const o = 4 * ((F - 1 - f) * T + t);
          image.data[o] = image.data[o + 1] = image.data[o + 2] = 18 + 228 * v[t * F + f] ** 2;
          image.data[o + 3] = 255;
        }
      small.width = T;
      small.height = F;
      small.getContext('2d').putImageData(image, 0, 0);
      const put = (c, b = box) =>
          `<image x="${b.x}" y="${b.y}" width="${b.w}" height="${b.h}" preserveAspectRatio="none" href="${c.toDataURL()}"/>`,
        line = (x0, y, x1, y1, more = '') =>
          `<line x1="${x0.toFixed(1)}" y1="${y.toFixed(1)}" x2="${x1.toFixed(1)}" y2="${y1.toFixed(1)}" ${more}/>`;
      parts.push(
        `<g transform="translate(0 ${y0})"><text x="${box.x}" y="18" font-weight="600">${esc([this.scene.title, p.label].filter(Boolean).join(', '))}</text>`,
        put(small)
      );
      if (p.heard) {
        flip.width = p.layer.sound.width;
        flip.height = p.layer.sound.height;
        const g = flip.getContext('2d');
        g.translate(0, flip.height);
        g.scale(1, -1);
        g.drawImage(p.layer.sound, 0, 0);
        parts.push(put(flip));
        const X = u => box.x + (u / p.heard.w) * box.w,
          Y = u => box.y + box.h - (u / p.heard.h) * box.h;
        if (this.view.contours)
          for (const [level, width] of this.levels(p.heard))
            for (const [a, b, c, d] of contour(p.heard.v, p.heard.h, p.heard.w, level))
              parts.push(line(X(a), Y(b), X(c), Y(d), `stroke="#fff" stroke-width="${width}"`));
        const bar = { x: W - 92, y: box.y, w: 12, h: box.h },
          strip = document.createElement('canvas');
        strip.width = 1;
        strip.height = 128;
        const sg = strip.getContext('2d');
        sg.translate(0, 128);
        sg.rotate(-Math.PI / 2);
        sg.drawImage(p.bars.sound.strip, 0, 0);
        parts.push(
          put(strip, bar),
          `<text x="${bar.x + 17}" y="${bar.y + 9}">${esc(p.bars.sound.hi.textContent)}</text><text x="${bar.x + 17}" y="${bar.y + bar.h}">${esc(p.bars.sound.lo.textContent)}</text>`,
          `<text transform="translate(${W - 30} ${box.y + box.h / 2}) rotate(-90)" text-anchor="middle">${esc(p.heard.unit)}</text>`
        );
      }
      for (const [row, text] of hzTicks(s.hz)) {
        const y = box.y + box.h * (1 - (row + 0.5) / s.hz.length);
        parts.push(
          line(box.x - 4, y, box.x, y, 'stroke="#000"'),
          `<text x="${box.x - 7}" y="${(y + 4).toFixed(1)}" text-anchor="end">${text}</text>`
        );
      }
      for (const k of timeTicks(this.scene.start, this.scene.seconds)) {
        const x = box.x + ((k - this.scene.start) / this.scene.seconds) * box.w;
        parts.push(
          line(x, box.y + box.h, x, box.y + box.h + 4, 'stroke="#000"'),
          `<text x="${x.toFixed(1)}" y="${box.y + box.h + 17}" text-anchor="middle">${k}</text>`
        );
      }
      for (const k of this.scene.truth)
        if (k.band && k.sounding)
          for (const f of k.band) {
            const y = box.y + box.h * (1 - (rowOf(s.hz, f) + 0.5) / s.hz.length);
            parts.push(line(box.x, y, box.x + box.w, y, 'stroke="#fff" stroke-dasharray="5 4"'));
          }
      parts.push(
        `<text x="${box.x + box.w / 2}" y="${box.y + box.h + 34}" text-anchor="middle">time (s)</text><text transform="translate(14 ${box.y + box.h / 2}) rotate(-90)" text-anchor="middle">frequency (Hz)</text></g>`
      );
      y0 += H;
    });
    return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${W} ${Math.max(y0, 1)}" width="${W}" height="${Math.max(y0, 1)}" font-family="system-ui, sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>${parts.join('')}</svg>`;
  }

  saveSvg() {
    this.draw();
    this.offer(new Blob([this.svg()], { type: 'image/svg+xml' }), `${this.scene.title}.svg`);
  }
}

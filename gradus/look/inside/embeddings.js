"use strict";
// A map of pictures: wheel or + and - to zoom, drag or shift and arrows to move, arrows or pointer to choose a picture.
(() => {
  const data = JSON.parse(document.getElementById("map-data").textContent);
  const canvas = document.getElementById("map");
  const said = document.getElementById("map-said");
  const pen = canvas.getContext("2d");
  const sheet = document.getElementById("map-sheet");
  const loupe = document.getElementById("map-loupe").getContext("2d");
  const count = data.label.length;
  const side = data.side, columns = data.columns;
  const hidden = new Set();
  let places = data.places[data.views[0]];
  let asPictures = count <= 1200, chosen = -1;
  let scale = 1, left = 0, top = 0; // CSS pixels a unit; where the origin is

  const ratio = () => window.devicePixelRatio || 1;
  const shown = (i) => !hidden.has(data.label[i]);
  const at = (i) => [places[2 * i] * scale + left, places[2 * i + 1] * scale + top];
  const edge = () => Math.max(6, Math.min(96, side * Math.sqrt(scale / fitted())));

  function fitted() {
    const box = canvas.getBoundingClientRect();
    return Math.min(box.width, box.height) * 0.94;
  }

  function fit() {
    const box = canvas.getBoundingClientRect();
    scale = fitted();
    left = (box.width - scale) / 2;
    top = (box.height - scale) / 2;
    draw();
  }

  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  function draw() {
    const box = canvas.getBoundingClientRect();
    const width = Math.round(box.width * ratio()), height = Math.round(box.height * ratio());
    if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
    pen.setTransform(ratio(), 0, 0, ratio(), 0, 0);
    pen.clearRect(0, 0, box.width, box.height);
    pen.imageSmoothingEnabled = side > 28;
    const size = edge();
    for (let i = 0; i < count; i++) if (shown(i) && i !== chosen) mark(i, size, box);
    if (chosen >= 0 && shown(chosen)) {
      pen.strokeStyle = colour("--muted");
      pen.lineWidth = 1;
      for (const other of data.near[chosen]) {
        pen.beginPath(); pen.moveTo(...at(chosen)); pen.lineTo(...at(other)); pen.stroke();
      }
      for (const other of data.near[chosen]) if (shown(other)) mark(other, Math.max(size, 22), box);
      mark(chosen, Math.max(size * 1.4, 40), box);
      const [x, y] = at(chosen), half = Math.max(size * 1.4, 40) / 2 + 4;
      pen.strokeStyle = colour("--ink");
      pen.lineWidth = 2;
      pen.strokeRect(x - half, y - half, 2 * half, 2 * half);
    }
  }

  function mark(i, size, box) {
    const [x, y] = at(i);
    if (x < -size || y < -size || x > box.width + size || y > box.height + size) return;
    const tint = data.colours[data.label[i] % data.colours.length];
    if (asPictures || size > 40) {
      const frame = Math.max(1.5, size / 16);
      pen.fillStyle = tint;
      pen.fillRect(x - size / 2 - frame, y - size / 2 - frame, size + 2 * frame, size + 2 * frame);
      const column = i % columns, row = Math.floor(i / columns);
      pen.drawImage(sheet, column * side, row * side, side, side, x - size / 2, y - size / 2, size, size);
    } else {
      pen.fillStyle = tint;
      pen.beginPath(); pen.arc(x, y, Math.max(3, size / 6), 0, 7); pen.fill();
    }
    if (data.wrong[i]) { // a cross, which needs no colour
      const reach = asPictures || size > 40 ? size / 2 : 5;
      pen.strokeStyle = colour("--bad");
      pen.lineWidth = 2;
      pen.beginPath();
      pen.moveTo(x - reach, y - reach); pen.lineTo(x + reach, y + reach);
      pen.moveTo(x - reach, y + reach); pen.lineTo(x + reach, y - reach);
      pen.stroke();
    }
  }

  function choose(i) {
    chosen = i;
    loupe.clearRect(0, 0, 128, 128);
    if (i < 0) { said.textContent = ""; draw(); return; }
    loupe.imageSmoothingEnabled = side > 28;
    loupe.drawImage(sheet, (i % columns) * side, Math.floor(i / columns) * side, side, side, 0, 0, 128, 128);
    const answer = data.answer.length ? ", answered " + data.answers[data.answer[i]] + (data.wrong[i] ? " (wrong)" : "") : "";
    const near = data.near[i].map((other) => data.classes[data.label[other]]).join(", ");
    said.textContent = data.names[i] + ": " + data.classes[data.label[i]] + answer + ". Nearest: " + near + ".";
    draw();
  }

  function nearest(x, y, reach) {
    let best = -1, least = reach * reach;
    for (let i = 0; i < count; i++) {
      if (!shown(i)) continue;
      const [a, b] = at(i), distance = (a - x) ** 2 + (b - y) ** 2;
      if (distance < least) { least = distance; best = i; }
    }
    return best;
  }

  function towards(dx, dy) {
    if (chosen < 0) {
      const box = canvas.getBoundingClientRect();
      return choose(nearest(box.width / 2, box.height / 2, Infinity));
    }
    const [x, y] = at(chosen);
    let best = -1, least = Infinity;
    for (let i = 0; i < count; i++) {
      if (i === chosen || !shown(i)) continue;
      const [a, b] = at(i), along = (a - x) * dx + (b - y) * dy, across = Math.abs((a - x) * dy - (b - y) * dx);
      if (along > 0.5 && along + 2 * across < least) { least = along + 2 * across; best = i; }
    }
    if (best >= 0) { choose(best); keepInView(best); }
  }

  function keepInView(i) {
    const box = canvas.getBoundingClientRect(), [x, y] = at(i), rim = 30;
    left += Math.max(rim - x, 0) + Math.min(box.width - rim - x, 0);
    top += Math.max(rim - y, 0) + Math.min(box.height - rim - y, 0);
    draw();
  }

  function zoom(factor, x, y) {
    const wanted = Math.max(fitted() * 0.3, Math.min(fitted() * 60, scale * factor)) / scale;
    left = x - (x - left) * wanted;
    top = y - (y - top) * wanted;
    scale *= wanted;
    draw();
  }

  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), event.offsetX, event.offsetY);
  }, { passive: false });

  const held = new Map(); // pointers that are down: one moves, two zoom
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    held.set(event.pointerId, [event.offsetX, event.offsetY]);
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = held.get(event.pointerId), now = [event.offsetX, event.offsetY];
    if (!before) return choose(nearest(...now, Math.max(12, edge() / 2)));
    if (held.size === 1) { left += now[0] - before[0]; top += now[1] - before[1]; }
    else {
      const other = [...held].find(([id]) => id !== event.pointerId)[1];
      const apart = (point) => Math.hypot(point[0] - other[0], point[1] - other[1]) || 1;
      zoom(apart(now) / apart(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
    }
    held.set(event.pointerId, now);
    draw();
  });
  for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, (event) => {
    held.delete(event.pointerId);
    choose(nearest(event.offsetX, event.offsetY, Math.max(12, edge() / 2)));
  });

  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  canvas.addEventListener("keydown", (event) => {
    const box = canvas.getBoundingClientRect();
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in moves && event.shiftKey) { left -= 60 * moves[event.key][0]; top -= 60 * moves[event.key][1]; draw(); }
    else if (event.key in moves) towards(...moves[event.key]);
    else if (event.key === "+" || event.key === "=") zoom(1.3, box.width / 2, box.height / 2);
    else if (event.key === "-") zoom(1 / 1.3, box.width / 2, box.height / 2);
    else if (event.key === "0") fit();
    else if (event.key === "Escape") choose(-1);
    else return;
    event.preventDefault();
  });

  for (const button of document.querySelectorAll("[data-view]")) button.addEventListener("click", () => {
    places = data.places[button.dataset.view];
    for (const other of document.querySelectorAll("[data-view]")) other.setAttribute("aria-pressed", String(other === button));
    fit();
  });
  document.getElementById("map-kind").addEventListener("click", (event) => {
    asPictures = !asPictures;
    event.target.setAttribute("aria-pressed", String(asPictures));
    draw();
  });
  document.getElementById("map-kind").setAttribute("aria-pressed", String(asPictures));
  for (const box of document.querySelectorAll("[data-class]")) box.addEventListener("change", () => {
    if (box.checked) hidden.delete(Number(box.dataset.class)); else hidden.add(Number(box.dataset.class));
    draw();
  });

  window.addEventListener("resize", fit);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  if (sheet.complete) fit(); else sheet.addEventListener("load", fit);
})();

// A slice on a canvas: zoom by wheel, slider or keys, move by dragging or arrows.

const FARTHEST = 8;
const STEP = 1.25;

export class SliceViewer {
  constructor(canvas, zoom) {
    this.canvas = canvas;
    this.zoom = zoom;
    this.opacity = 0.8;
    this.forget();
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoomTo(this.scale * (event.deltaY < 0 ? STEP : 1 / STEP));
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      this.held = [event.clientX, event.clientY];
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!this.held) return;
      this.move(event.clientX - this.held[0], event.clientY - this.held[1]);
      this.held = [event.clientX, event.clientY];
    });
    canvas.addEventListener("pointerup", () => { this.held = null; });
    canvas.addEventListener("keydown", (event) => this.key(event));
    zoom.addEventListener("input", () => this.zoomTo(Number(zoom.value)));
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  forget() {
    this.picture = this.map = this.held = null;
    this.scale = 1;
    this.offset = [0, 0];
  }

  async show(blob) {
    this.forget();
    this.picture = await createImageBitmap(blob);
    this.zoomTo(1);
  }

  async showMap(blob) {
    this.map = await createImageBitmap(blob);
    this.draw();
  }

  setOpacity(value) {
    this.opacity = value;
    this.draw();
  }

  key(event) {
    const far = 30;
    const ways = { ArrowLeft: [far, 0], ArrowRight: [-far, 0], ArrowUp: [0, far], ArrowDown: [0, -far] };
    if (event.key === "+" || event.key === "=") this.zoomTo(this.scale * STEP);
    else if (event.key === "-") this.zoomTo(this.scale / STEP);
    else if (event.key === "0") this.zoomTo(1);
    else if (ways[event.key]) this.move(...ways[event.key]);
    else return;
    event.preventDefault();
  }

  zoomTo(scale) {
    this.scale = Math.min(FARTHEST, Math.max(1, scale));
    if (this.scale === 1) this.offset = [0, 0];
    this.zoom.value = String(this.scale);
    this.draw();
  }

  move(right, down) {
    this.offset = [this.offset[0] + right, this.offset[1] + down];
    this.draw();
  }

  draw() {
    if (!this.picture || !this.canvas.clientWidth) return;
    const ratio = window.devicePixelRatio || 1;
    const width = this.canvas.clientWidth, height = this.canvas.clientHeight;
    this.canvas.width = width * ratio;
    this.canvas.height = height * ratio;
    const pen = this.canvas.getContext("2d");
    pen.scale(ratio, ratio);
    pen.imageSmoothingEnabled = this.scale < 4; // from there on pixels are seen
    const fit = this.scale * Math.min(width / this.picture.width, height / this.picture.height);
    const size = [this.picture.width * fit, this.picture.height * fit];
    const place = [(width - size[0]) / 2 + this.offset[0], (height - size[1]) / 2 + this.offset[1]];
    pen.drawImage(this.picture, ...place, ...size);
    if (!this.map) return;
    pen.globalAlpha = this.opacity;
    pen.drawImage(this.map, ...place, ...size);
    pen.globalAlpha = 1;
  }
}

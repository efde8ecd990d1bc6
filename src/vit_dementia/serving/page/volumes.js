// A volume in three planes, drawn by NiiVue, which is fetched when it is first needed.

function load(source) {
  return new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = source;
    script.onload = done;
    script.onerror = () => failed(new Error("viewer"));
    document.head.append(script);
  });
}

export class VolumeViewer {
  constructor(canvas, places, low, high) {
    this.canvas = canvas;
    this.places = places;
    this.low = low;
    this.high = high;
    this.viewer = null;
    for (const input of places) input.addEventListener("input", () => this.moveTo());
    for (const input of [low, high]) input.addEventListener("input", () => this.setWindow());
  }

  async show(blob) {
    const viewer = await this.ready();
    while (viewer.volumes.length) viewer.removeVolume(viewer.volumes[0]);
    const file = new File([blob], "scan.nii");
    viewer.addVolume(await window.niivue.NVImage.loadFromFile({ file, name: file.name }));
    viewer.setSliceType(viewer.sliceTypeMultiplanar);
    const scan = viewer.volumes[0];
    this.range = [scan.global_min, scan.global_max];
    const share = (value) => (value - this.range[0]) / (this.range[1] - this.range[0] || 1);
    this.low.value = String(share(scan.cal_min));
    this.high.value = String(share(scan.cal_max));
    this.moveTo();
  }

  async showMap(blob, opacity) {
    const viewer = this.viewer;
    while (viewer.volumes.length > 1) viewer.removeVolume(viewer.volumes[1]);
    const file = new File([blob], "map.nii");
    const map = await window.niivue.NVImage.loadFromFile({
      file, name: file.name, colormap: "inferno", opacity,
    });
    map.cal_min = 0.05 * map.global_max; // what is near nothing is clear
    map.cal_max = map.global_max;
    viewer.addVolume(map);
    viewer.updateGLVolume();
  }

  setOpacity(value) {
    if (this.viewer && this.viewer.volumes.length > 1) this.viewer.setOpacity(1, value);
  }

  moveTo() {
    if (!this.viewer) return;
    this.viewer.scene.crosshairPos = this.places.map((input) => Number(input.value));
    this.viewer.drawScene();
  }

  setWindow() {
    const scan = this.viewer && this.viewer.volumes[0];
    if (!scan) return;
    const [least, most] = this.range;
    const value = (input) => least + Number(input.value) * (most - least);
    scan.cal_min = value(this.low);
    scan.cal_max = Math.max(value(this.high), scan.cal_min + (most - least) / 100);
    this.viewer.updateGLVolume();
  }

  async ready() {
    if (this.viewer) return this.viewer;
    if (!window.niivue) await load("/page/niivue.umd.js");
    const viewer = new window.niivue.Niivue({
      backColor: [0, 0, 0, 1],
      show3Dcrosshair: true,
      multiplanarShowRender: window.niivue.SHOW_RENDER ? window.niivue.SHOW_RENDER.NEVER : 0,
      dragAndDropEnabled: false,
      logLevel: "silent",
    });
    await viewer.attachToCanvas(this.canvas);
    viewer.onLocationChange = (told) => {
      told.frac.forEach((share, axis) => {
        if (axis < 3) this.places[axis].value = String(share);
      });
    };
    this.viewer = viewer;
    return viewer;
  }
}

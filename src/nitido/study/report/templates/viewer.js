// Two images with a divider between them; all panes of a viewer zoom and move together.
"use strict";
(() => {
  const source = document.getElementById("view-data");
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const LARGEST = 16;
  const STOPS = [[0, 0, 0], [90, 20, 120], [225, 85, 15], [255, 220, 100], [255, 255, 255]];
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

  const pixels = async (address) => {
    const image = new Image();
    image.src = address;
    await image.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    return [canvas, context, context.getImageData(0, 0, canvas.width, canvas.height)];
  };

  // Luma of BT.601 in studio range; its offset cancels in a difference.
  const luma = (p, i) => (65.481 * p[i] + 128.553 * p[i + 1] + 24.966 * p[i + 2]) / 255;

  const errorMap = async (address, original, limit) => {
    const [canvas, context, image] = await pixels(address);
    const truth = (await pixels(original))[2].data;
    const p = image.data;
    for (let i = 0; i < p.length; i += 4) {
      const place = clamp(Math.abs(luma(p, i) - luma(truth, i)) / limit, 0, 1) * (STOPS.length - 1);
      const low = Math.min(Math.floor(place), STOPS.length - 2);
      for (let c = 0; c < 3; c++) p[i + c] = STOPS[low][c] + (place - low) * (STOPS[low + 1][c] - STOPS[low][c]);
    }
    context.putImageData(image, 0, 0);
    return canvas.toDataURL("image/png");
  };

  const start = (viewer) => {
    const { images, limit } = data[viewer.dataset.view];
    const find = (selector) => viewer.querySelector(selector);
    const [stage, errors] = [find(".stage"), find("button.errors")];
    const maps = {};
    const view = { zoom: 1, x: 0, y: 0, divider: 50 };

    const draw = () => {
      view.x = clamp(view.x, 1 - view.zoom, 0);
      view.y = clamp(view.y, 1 - view.zoom, 0);
      viewer.style.setProperty("--z", view.zoom);
      viewer.style.setProperty("--x", view.x);
      viewer.style.setProperty("--y", view.y);
      viewer.style.setProperty("--d", `${view.divider}%`);
      viewer.classList.toggle("zoomed", view.zoom > 1);
      find(".zoom").textContent = `×${+view.zoom.toFixed(1)}`;
      const names = [find("select.left").value, find("select.right").value];
      stage.setAttribute("aria-valuenow", Math.round(view.divider));
      stage.setAttribute("aria-valuetext", `${names[0]} on the left ${Math.round(view.divider)}%, ${names[1]} on the right`);
    };

    const show = async (side) => {
      const choice = find(`select.${side}`);
      const name = choice.value;
      find(`.tag.at-${side}`).textContent = choice.selectedOptions[0].textContent;
      const showErrors = errors.getAttribute("aria-pressed") === "true";
      if (showErrors) maps[name] ??= errorMap(images[name], images.HR, limit);
      const address = showErrors ? await maps[name] : images[name];
      const image = find(`img.${side}`);
      if (choice.value === name && (errors.getAttribute("aria-pressed") === "true") === showErrors) image.src = address;
      image.alt = (showErrors ? "Error map of " : "") + name;
      draw();
    };

    // The point (u, v) of the pane, as fractions of its size, stays in place.
    const zoomTo = (zoom, u = 0.5, v = 0.5) => {
      const next = clamp(zoom, 1, LARGEST);
      view.x = u - ((u - view.x) * next) / view.zoom;
      view.y = v - ((v - view.y) * next) / view.zoom;
      view.zoom = next;
      draw();
    };

    const reset = () => { Object.assign(view, { zoom: 1, x: 0, y: 0 }); draw(); };
    find("button.in").addEventListener("click", () => zoomTo(view.zoom * 2));
    find("button.out").addEventListener("click", () => zoomTo(view.zoom / 2));
    find("button.reset").addEventListener("click", reset);
    for (const side of ["left", "right"]) find(`select.${side}`).addEventListener("change", () => show(side));
    errors.addEventListener("click", () => {
      const on = errors.getAttribute("aria-pressed") !== "true";
      errors.setAttribute("aria-pressed", on);
      find(".scale").hidden = !on;
      show("left");
      show("right");
    });

    const moves = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    stage.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const move = moves[event.key];
      if (event.key === "+" || event.key === "=") zoomTo(view.zoom * 2);
      else if (event.key === "-") zoomTo(view.zoom / 2);
      else if (event.key === "0") reset();
      else if (event.key === "Home") view.divider = 0;
      else if (event.key === "End") view.divider = 100;
      else if (move && event.shiftKey) { view.x += move[0] * 0.1; view.y += move[1] * 0.1; }
      else if (move) view.divider = clamp(view.divider - 2 * move[0] + 2 * move[1], 0, 100);
      else return;
      event.preventDefault();
      draw();
    });

    for (const pane of viewer.querySelectorAll(".pane")) {
      const fingers = new Map();
      let moving = "";
      const share = (event) => {
        const box = pane.getBoundingClientRect();
        return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
      };
      pane.addEventListener("wheel", (event) => {
        if (!event.ctrlKey && !event.metaKey) return;
        event.preventDefault();
        zoomTo(view.zoom * Math.exp(-event.deltaY / 300), ...share(event));
      }, { passive: false });
      pane.addEventListener("dblclick", (event) => zoomTo(view.zoom > 1 ? 1 : 4, ...share(event)));
      pane.addEventListener("pointerdown", (event) => {
        pane.setPointerCapture(event.pointerId);
        fingers.set(event.pointerId, share(event));
        const near = Math.abs(share(event)[0] * 100 - view.divider) < 5;
        moving = pane === stage && (view.zoom === 1 || near) ? "divider" : "image";
      });
      pane.addEventListener("pointermove", (event) => {
        const before = fingers.get(event.pointerId);
        if (!before) return;
        const now = share(event);
        const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1];
        fingers.set(event.pointerId, now);
        if (other) {
          const span = (point) => Math.hypot(point[0] - other[0], point[1] - other[1]) || 1e-3;
          zoomTo((view.zoom * span(now)) / span(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
        } else if (moving === "divider") {
          view.divider = clamp(now[0] * 100, 0, 100);
        } else {
          view.x += now[0] - before[0];
          view.y += now[1] - before[1];
        }
        draw();
      });
      for (const end of ["pointerup", "pointercancel"]) {
        pane.addEventListener(end, (event) => fingers.delete(event.pointerId));
      }
    }

    find("img.hr").src = images.HR;
    find("img.hr").alt = "HR (original)";
    show("left");
    show("right");
  };

  for (const viewer of document.querySelectorAll(".viewer")) start(viewer);
})();

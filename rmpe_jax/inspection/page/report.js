"use strict";
// Everything is computed beforehand: this copies texts, pictures and positions into place.
const { places, pixels } = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const stepSlider = at("step");
const placeButtons = document.querySelectorAll("button[data-place]");

function put(marker, position) {
  if (!marker) return;
  marker.setAttribute("visibility", position ? "visible" : "hidden");
  if (position) {
    marker.setAttribute("cx", position[0]);
    marker.setAttribute("cy", position[1]);
  }
}

function showPlace(number) {
  const place = places[number];
  for (const [id, text] of Object.entries(place.texts)) {
    if (at(id)) at(id).textContent = text;
  }
  for (const [id, source] of Object.entries(place.pictures)) {
    at(id).src = source;
    at(id).alt = `${at(id).dataset.alt} ${place.label}`;
  }
  at("window").setAttribute("transform", place.transform);
  for (const [id, position] of Object.entries(place.markers)) put(at(id), position);
  at("place-now").textContent = `Shown: theta ${place.label}`;
  at("step-now").textContent = stepSlider.value;
  for (const button of placeButtons) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.place) === number));
  }
}

function showPixel() {
  const row = Number(at("pixel-row").value);
  const column = Number(at("pixel-column").value);
  const pixel = pixels[row * (Number(at("pixel-column").max) + 1) + column];
  put(at("pixel-marker"), [pixel.column + 0.5, pixel.row + 0.5]);
  const cells = at("neighbourhood").querySelectorAll(".cell");
  cells.forEach((cell, index) => cell.setAttribute("fill", pixel.around[index]));
  const corner = at("neighbourhood").querySelector(".corner");
  put(at("point-marker"), [
    Number(corner.getAttribute("x")) + 0.5 + pixel.point[0],
    Number(corner.getAttribute("y")) + 0.5 + pixel.point[1],
  ]);
  at("pixel-now").textContent = `row ${pixel.row}, column ${pixel.column}`;
  const rows = at("corners").querySelectorAll("tbody tr");
  pixel.corners.forEach((one, index) => {
    one.texts.forEach((text, place) => (rows[index].cells[place + 1].textContent = text));
    swatch(rows[index].cells[3], one.colour);
  });
  rows[4].cells[2].textContent = "1";
  rows[4].cells[3].textContent = pixel.sum;
  swatch(rows[4].cells[3], pixel.colour);
  for (const [id, text] of Object.entries(pixel.slopes)) {
    if (at(id)) at(id).textContent = text;
  }
}

function swatch(cell, colour) {
  const patch = document.createElement("span");
  patch.className = "swatch";
  patch.style.backgroundColor = colour;
  cell.prepend(patch);
}

function choosePixel(event) {
  const frame = at("picker").getBoundingClientRect();
  const shares = {
    "pixel-column": (event.clientX - frame.left) / frame.width,
    "pixel-row": (event.clientY - frame.top) / frame.height,
  };
  for (const [id, share] of Object.entries(shares)) {
    at(id).value = Math.floor(share * (Number(at(id).max) + 1));
  }
  showPixel();
}

stepSlider.addEventListener("input", () => showPlace(Number(stepSlider.value)));
for (const button of placeButtons) {
  button.addEventListener("click", () => showPlace(Number(button.dataset.place)));
}
if (pixels.length) {
  at("pixel-row").addEventListener("input", showPixel);
  at("pixel-column").addEventListener("input", showPixel);
  at("picker").addEventListener("click", choosePixel);
  showPixel();
}
showPlace(0);

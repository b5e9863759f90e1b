// A pad to draw on: its value is what is drawn, as a PNG in a data URL, after each stroke; transparent where nothing is.
const canvas = element.querySelector("canvas");
const pen = canvas.getContext("2d");
pen.lineCap = pen.lineJoin = "round";
pen.lineWidth = canvas.width / 14; // about what a pen leaves on MNIST's digits
let drawing = false;
const at = (event) => {
  const box = canvas.getBoundingClientRect();
  return [((event.clientX - box.left) * canvas.width) / box.width, ((event.clientY - box.top) * canvas.height) / box.height];
};
const send = () => {
  props.value = canvas.toDataURL();
  trigger("submit");
};
canvas.addEventListener("pointerdown", (event) => {
  drawing = true;
  canvas.setPointerCapture(event.pointerId);
  pen.strokeStyle = element.querySelector("input").value;
  pen.beginPath();
  pen.moveTo(...at(event));
  pen.lineTo(...at(event)); // a dot, where the pen does not move
  pen.stroke();
});
canvas.addEventListener("pointermove", (event) => {
  if (!drawing) return;
  pen.lineTo(...at(event));
  pen.stroke();
});
canvas.addEventListener("pointerup", () => {
  drawing = false;
  send();
});
element.querySelector("button").addEventListener("click", () => {
  pen.clearRect(0, 0, canvas.width, canvas.height);
  send();
});

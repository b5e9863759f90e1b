// A plane to move in: its value is where, from "-1,-1" at the lower left to "1,1" at the upper right.
const plane = element.querySelector(".plane");
const move = (event) => {
  if (!event.buttons) return;
  const box = plane.getBoundingClientRect();
  const x = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  const y = Math.min(1, Math.max(0, (event.clientY - box.top) / box.height));
  Object.assign(plane.firstElementChild.style, { left: `${100 * x}%`, top: `${100 * y}%` });
  props.value = `${2 * x - 1},${1 - 2 * y}`;
  trigger("submit");
};
plane.addEventListener("pointerdown", (event) => {
  plane.setPointerCapture(event.pointerId);
  move(event);
});
plane.addEventListener("pointermove", move);

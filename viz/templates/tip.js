// The small card that follows the pointer or the keyboard, and the line that a screen reader speaks.

const tip = element("div", { class: "tip", "aria-hidden": "true" });
tip.hidden = true;
const spoken = element("div", { class: "unseen", "aria-live": "polite" });
document.body.append(tip, spoken);

// Show a title and pairs beside a rectangle of the window; `say` also speaks them.
function showTip(title, path, pairs, box, { say = false } = {}) {
  const list = element("dl");
  for (const [name, text] of pairs) list.append(element("dt", {}, name), element("dd", {}, text));
  tip.replaceChildren(element("strong", {}, title), ...(path ? [element("code", {}, path)] : []), list);
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const fits = box.right + 12 + width < window.innerWidth;
  const left = fits ? box.right + 12 : box.left - 12 - width;
  tip.style.left = `${clamp(left, 4, window.innerWidth - width - 4)}px`;
  tip.style.top = `${clamp(box.top - height / 2, 4, window.innerHeight - height - 4)}px`;
  if (say) spoken.textContent = `${title}: ${pairs.map(([name, text]) => `${name} ${text}`).join(", ")}`;
}

function hideTip() {
  tip.hidden = true;
}

window.addEventListener("scroll", hideTip, { passive: true });

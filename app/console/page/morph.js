// Makes one tree of nodes like another by changing as little as it can, so that the focus, a selection
// and what was scrolled to stay. Nodes with the same data-key are the same thing, wherever they stand.

export function morph(have, want) {
  for (const { name } of [...have.attributes]) {
    if (!want.hasAttribute(name)) have.removeAttribute(name);
  }
  for (const { name, value } of want.attributes) {
    if (have.getAttribute(name) !== value) have.setAttribute(name, value);
  }
  children(have, [...want.childNodes]);
}

export function children(parent, wanted) {
  const known = new Map([...parent.children].filter(keyOf).map((child) => [keyOf(child), child]));
  let at = parent.firstChild;
  for (const want of wanted) {
    const have = keyOf(want) ? known.get(keyOf(want)) : at;
    if (!have || !alike(have, want)) {
      parent.insertBefore(want, at);
      continue;
    }
    if (have !== at) parent.insertBefore(have, at);
    at = have.nextSibling;
    if (have.nodeType === Node.ELEMENT_NODE) morph(have, want);
    else if (have.data !== want.data) have.data = want.data;
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

const keyOf = (node) => node.dataset?.key;

const alike = (a, b) => a.nodeName === b.nodeName && keyOf(a) === keyOf(b);

// Updates one tree of nodes to equal another with few changes, so that focus, selection and scroll
// position are kept. Nodes with the same data-key are treated as the same node, wherever they are.

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

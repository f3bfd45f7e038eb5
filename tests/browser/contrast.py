"""How well the texts of a page can be read."""

from __future__ import annotations

# The contrast of every text with what is behind it (WCAG 2.2, 1.4.3), worst first, with its text.
CONTRASTS = """() => {
  const parse = (c) => c.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (el) => {
    for (; el; el = el.parentElement) {
      const c = parse(getComputedStyle(el).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (texts.nextNode()) {
    const el = texts.currentNode.parentElement;
    const hidden = !el.checkVisibility() || el.closest(":disabled, option, .sr");
    if (!texts.currentNode.data.trim() || hidden) continue;
    const [a, b] = [light(parse(getComputedStyle(el).color)), light(behind(el))];
    found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), texts.currentNode.data.trim()]);
  }
  return found.sort((a, b) => a[0] - b[0]).slice(0, 5);
}"""

// The answers of the last minutes, and what changed between them. Counts never fall, unless Redis was
// emptied: then what came before is forgotten.

export const KEPT_MS = 5 * 60_000;
const RATE_MS = 10_000; // a rate is that of so long

export class History {
  #seen = [];

  add(data) {
    const last = this.#seen.at(-1);
    if (last && data.at_ms <= last.at_ms) return;
    if (last && items(data) < items(last)) this.#seen = [];
    this.#seen.push(data);
    while (this.#seen[0].at_ms < data.at_ms - KEPT_MS) this.#seen.shift();
  }

  get last() {
    return this.#seen.at(-1);
  }

  get first() {
    return this.#seen[0];
  }

  // Milliseconds between the first and the last.
  get span() {
    return this.last.at_ms - this.first.at_ms;
  }

  // Per second, of what `read` finds in an answer; null before there are two.
  rate(read, within = RATE_MS) {
    const from = this.#before(this.last.at_ms - within);
    const took = this.last.at_ms - from.at_ms;
    return took > 0 ? (1000 * (read(this.last) - read(from))) / took : null;
  }

  // The rate between each answer and the next.
  rates(read) {
    return this.#seen.slice(1).map((data, i) => {
      const before = this.#seen[i];
      return (1000 * Math.max(0, read(data) - read(before))) / (data.at_ms - before.at_ms);
    });
  }

  // What `read` found in each answer.
  values(read) {
    return this.#seen.map(read);
  }

  // Buckets of a histogram that were counted since the first answer.
  lately(read) {
    const before = read(this.first) || [];
    return (read(this.last) || []).map((n, i) => n - (before[i] || 0));
  }

  #before(moment) {
    return this.#seen.findLast((data) => data.at_ms <= moment) || this.first;
  }
}

const items = (data) => data.ended.reduce((sum, one) => sum + one.count, 0);

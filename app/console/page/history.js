// The data of the last five minutes, for rates and changes. Counts only fall if Redis was emptied:
// then the older data are dropped.

export const KEPT_MS = 5 * 60_000;
const RATE_MS = 10_000; // a rate is measured over this time

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

  // Milliseconds between the first data and the last.
  get span() {
    return this.last.at_ms - this.first.at_ms;
  }

  // The rate per second of the number that `read` returns; null before there are two data sets.
  rate(read, within = RATE_MS) {
    const from = this.#before(this.last.at_ms - within);
    const took = this.last.at_ms - from.at_ms;
    return took > 0 ? (1000 * (read(this.last) - read(from))) / took : null;
  }

  // The rates between consecutive data sets.
  rates(read) {
    return this.#seen.slice(1).map((data, i) => {
      const before = this.#seen[i];
      return (1000 * Math.max(0, read(data) - read(before))) / (data.at_ms - before.at_ms);
    });
  }

  // The number that `read` returns for each data set.
  values(read) {
    return this.#seen.map(read);
  }

  // The buckets of a histogram, counted since the first data set.
  lately(read) {
    const before = read(this.first) || [];
    return (read(this.last) || []).map((n, i) => n - (before[i] || 0));
  }

  #before(moment) {
    return this.#seen.findLast((data) => data.at_ms <= moment) || this.first;
  }
}

const items = (data) => data.ended.reduce((sum, one) => sum + one.count, 0);

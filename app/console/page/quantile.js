// Quantiles of a histogram, estimated as Prometheus's histogram_quantile does: values are assumed to
// be spread evenly over a bucket, the first bucket begins at 0, and values beyond the last bound
// count as that bound.

export function quantile(q, bounds, buckets) {
  const total = buckets.reduce((sum, n) => sum + n, 0);
  if (!total) return null;
  const rank = q * total;
  let below = 0;
  for (let i = 0; i < bounds.length; i += 1) {
    if (below + buckets[i] >= rank && buckets[i] > 0) {
      const start = i ? bounds[i - 1] : 0;
      return start + (bounds[i] - start) * ((rank - below) / buckets[i]);
    }
    below += buckets[i];
  }
  return bounds[bounds.length - 1];
}

export const sum = (buckets) => buckets.reduce((all, n) => all + n, 0);

// The sum of several histograms with the same bounds; empty ones are ignored.
export const merged = (histograms) => histograms.filter((one) => one.length)
  .reduce((all, one) => (all.length ? all.map((n, i) => n + one[i]) : one), []);

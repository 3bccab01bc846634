// Log-linear histograms of microseconds (decisions 23): 32 exact buckets, then 16 buckets per doubling, up to 2^31 us,
// so a percentile is off by at most 3.2 %. Recording is a handful of instructions: one clz32, two additions.
// Four histograms share a group, interleaved by lane: the request, service, response and connection times of a row fall
// in neighbouring buckets, so an ordinary row touches one or two pages of shared memory instead of four.
// Layout of a group: (1 + HISTOGRAM_BUCKETS) * 4 doubles; slot 0 of a lane holds the sum, then come the buckets.

/** Buckets of a histogram. */
export const HISTOGRAM_BUCKETS = 448;
/** Histograms of a group; a histogram's base is the group's base + its lane (0 to 3). */
export const HISTOGRAM_LANES = 4;
/** Doubles that a group takes. */
export const HISTOGRAM_GROUP_SLOTS = (1 + HISTOGRAM_BUCKETS) * HISTOGRAM_LANES;

const VALUE_MAX = 0x7fffffff;

/** Adds a sample of `microseconds` to the histogram at `base`. Negative (unknown) is ignored; above 2^31 - 1 clamps. */
export function record(values: Float64Array, base: number, microseconds: number): void {
  if (!(microseconds >= 0)) {
    return;
  }
  values[base] += microseconds;
  values[(base + HISTOGRAM_LANES + (bucketOf(microseconds) << 2)) | 0] += 1;
}

/** Whether no histogram of the group at `base` has a sample: all sums are 0, and so is each bucket of zeros. */
export function isEmptyGroup(values: Float64Array, base: number): boolean {
  for (let i = base; i < base + 2 * HISTOGRAM_LANES; i++) {
    if (values[i] !== 0) {
      return false;
    }
  }
  return true;
}

/** The bucket of a value >= 0. */
export function bucketOf(microseconds: number): number {
  const value = microseconds < VALUE_MAX ? microseconds | 0 : VALUE_MAX;
  if (value < 32) {
    return value;
  }
  const shift = 27 - Math.clz32(value);
  return ((shift << 4) + (value >> shift)) | 0;
}

/** The smallest value (microseconds) that falls in a bucket. */
export function bucketStart(bucket: number): number {
  if (bucket < 32) {
    return bucket;
  }
  const shift = (bucket >> 4) - 1;
  return ((bucket & 15) + 16) * 2 ** shift;
}

/** What a histogram holds. Times in microseconds. */
export interface HistogramSummary {
  readonly samples: number;
  readonly sum: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p99_9: number;
  readonly p99_99: number;
  readonly p99_999: number;
  /** The largest sample, to the precision of its bucket. */
  readonly p100: number;
}

/** Reads a histogram that a worker may be writing: buckets are read once, so the summary is consistent in itself. */
export function summarize(values: Float64Array, base: number): HistogramSummary {
  const buckets = copyBuckets(values, base);
  let samples = 0;
  for (let i = 0; i < HISTOGRAM_BUCKETS; i++) {
    samples += buckets[i];
  }
  return {
    samples,
    sum: values[base],
    p50: quantile(buckets, samples, 0.5),
    p90: quantile(buckets, samples, 0.9),
    p99: quantile(buckets, samples, 0.99),
    p99_9: quantile(buckets, samples, 0.999),
    p99_99: quantile(buckets, samples, 0.9999),
    p99_999: quantile(buckets, samples, 0.99999),
    p100: quantile(buckets, samples, 1),
  };
}

/** The buckets of the histogram at `base`, as an array of its own. */
export function copyBuckets(values: Float64Array, base: number): Float64Array {
  const buckets = new Float64Array(HISTOGRAM_BUCKETS);
  for (let i = 0; i < HISTOGRAM_BUCKETS; i++) {
    buckets[i] = values[base + HISTOGRAM_LANES + i * HISTOGRAM_LANES];
  }
  return buckets;
}

/** The value below or at which a share `q` of the samples lies: the middle of its bucket; 0 without samples. */
export function quantile(buckets: Float64Array, samples: number, q: number): number {
  if (samples <= 0) {
    return 0;
  }
  // The product may come out a hair above an integer (0.9 * 10 is 9.000000000000002 for some operands).
  const rank = Math.max(1, Math.ceil(samples * q - 1e-6));
  let seen = 0;
  for (let i = 0; i < HISTOGRAM_BUCKETS; i++) {
    seen += buckets[i];
    if (seen >= rank) {
      const start = bucketStart(i);
      return start + Math.floor((bucketStart(i + 1) - 1 - start) / 2);
    }
  }
  return VALUE_MAX;
}

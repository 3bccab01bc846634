// Detail levels of metrics (spec 12.6): which labels a sample keeps. The numbers are those of the schema's MetricDetail,
// and grow with what is recorded, so levels compare as numbers.

/** No labels: only proxy-wide metrics. */
export const DETAIL_PROCESS = 0;
/** As DETAIL_PROCESS today; the name is Sozu's. */
export const DETAIL_FRONTEND = 1;
/** One row for each cluster; the default. */
export const DETAIL_CLUSTER = 2;
/** Rows of backends, too. */
export const DETAIL_BACKEND = 3;

// What a listener refuses although HTTP allows it, compiled from its settings.

import { type HttpListenerObject, TOLERANCE_DROP, TOLERANCE_PASS, TOLERANCE_REFUSE } from "../command/objects.ts";
import { Tolerance } from "../policies/tolerance.ts";

/** null: nothing is refused. */
export function toleranceOf(config: HttpListenerObject): Tolerance | null {
  const { underscoreNames, dotSegments, encodedSlashes } = config;
  if (underscoreNames === TOLERANCE_PASS && dotSegments === TOLERANCE_PASS && encodedSlashes === TOLERANCE_PASS) {
    return null;
  }
  return new Tolerance(
    underscoreNames === TOLERANCE_REFUSE,
    underscoreNames === TOLERANCE_DROP,
    dotSegments === TOLERANCE_REFUSE,
    encodedSlashes === TOLERANCE_REFUSE,
  );
}

// Limits of labels that a request brings, the same for all of them.
import { invalid } from "../../runtime/grpc/rpc-error.ts";

/** Labels of an agent, and so of what may be asked of one. */
const LABELS_MAX = 64;
const LABEL_BYTES_MAX = 256;

/** Throws INVALID_ARGUMENT, naming the field, where there are too many labels or one is too long. */
export function checkLabels(field: string, labels: Readonly<Record<string, string>>): void {
  const entries = Object.entries(labels);
  if (entries.length > LABELS_MAX) {
    throw invalid(`${field}: ${entries.length} labels, the limit is ${LABELS_MAX}`);
  }
  for (const [name, value] of entries) {
    if (Buffer.byteLength(name) + Buffer.byteLength(value) <= LABEL_BYTES_MAX) continue;
    throw invalid(`${field}: label ${name.slice(0, 40)} is longer than ${LABEL_BYTES_MAX} bytes`);
  }
}

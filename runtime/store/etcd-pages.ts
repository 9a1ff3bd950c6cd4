// Pages of a range. etcd limits an answer by entries and not by bytes, so a page is read in steps, each as
// long as the entries before it let expect to fit, all at the revision of the first.
import type { IRangeResponse } from "etcd3";
import { EtcdCallError } from "./etcd-failures.ts";
import type { EtcdKeys } from "./etcd-keys.ts";
import type { EtcdMembers } from "./etcd-members.ts";
import type { Entry, RangeOptions, RangePage } from "./store.ts";
import { RANGE_BYTES_MAX, RANGE_ENTRIES_MAX } from "./store-limits.ts";

/** Entries of the first step: of about 1 KiB they are 100 KiB, and the second step is the rest. */
const FIRST_STEP = 100;
/** What a step is divided by when its answer was too large: three more tries read entries of 1 MiB. */
const TOO_LARGE_DIVISOR = 5;

/** Reads one page; rejects with EtcdCallError when the revision is gone or not there yet. */
export async function readPage(
  members: EtcdMembers,
  keys: EtcdKeys,
  options: RangeOptions,
): Promise<RangePage> {
  const limit = options.limit ?? RANGE_ENTRIES_MAX;
  const entries: Entry[] = [];
  let bytes = 0;
  let { revision, after } = options;
  let step = Math.min(limit, FIRST_STEP);
  while (true) {
    const answer = await readStep(members, keys, { ...options, revision, after }, step);
    if (answer === undefined) {
      step = Math.ceil(step / TOO_LARGE_DIVISOR);
      continue;
    }
    revision ??= Number(answer.header.revision);
    for (const kv of answer.kvs) {
      const entry = keys.entry(kv);
      bytes += Buffer.byteLength(entry.key) + entry.value.length;
      if (entries.length > 0 && bytes > RANGE_BYTES_MAX) return { entries, more: true, revision };
      entries.push(entry);
    }
    if (!answer.more || entries.length === limit) return { entries, more: answer.more, revision };
    after = entries.at(-1)?.key;
    const fitting = Math.ceil((RANGE_BYTES_MAX - bytes) / (bytes / entries.length));
    step = Math.min(limit - entries.length, Math.max(1, fitting));
  }
}

/** One answer, or undefined when it would be too large and a shorter one may not be. */
async function readStep(
  members: EtcdMembers,
  keys: EtcdKeys,
  options: RangeOptions,
  limit: number,
): Promise<IRangeResponse | undefined> {
  // Ascending is etcd's order unasked; asked for, it would read the whole range to sort it.
  const order = options.descending ? ({ sort_order: "Descend", sort_target: "Key" } as const) : {};
  const revision = options.revision === undefined ? {} : { revision: options.revision };
  const request = { ...keys.range(options), limit, ...order, ...revision };
  try {
    return await members.ask(({ kv }, callOptions) => kv.range(request, callOptions));
  } catch (error) {
    const isTooLarge = error instanceof EtcdCallError && error.isRefusal("answer-too-large");
    if (isTooLarge && limit > 1) return undefined;
    throw error;
  }
}

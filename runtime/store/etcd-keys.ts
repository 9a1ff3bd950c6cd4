// How the store's keys lie in etcd: `PREFIX/keys/KEY` for what callers see, and `PREFIX/slots/SESSION/N` for
// the marks of transactions (etcd-slots.ts), so that no range and no watch of a caller meets those.
import type { IKeyValue } from "etcd3";
import type { Entry, RangeOptions } from "./store.ts";

/** The half-open range of etcd keys of a request. */
export interface EtcdRange {
  readonly key: Buffer;
  readonly range_end: Buffer;
}

/** The keys under one prefix. */
export class EtcdKeys {
  readonly #keys: string;
  readonly #slots: string;

  constructor(prefix: string) {
    this.#keys = `${prefix}/keys/`;
    this.#slots = `${prefix}/slots/`;
  }

  /** Where a caller's key is. */
  key(key: string): Buffer {
    return Buffer.from(this.#keys + key);
  }

  /** Where a slot of a session is. */
  slot(session: string, index: number): Buffer {
    return Buffer.from(`${this.#slots}${session}/${index}`);
  }

  /** The keys under a prefix, from a position on; the range may be empty. */
  range({ prefix, after, descending }: RangeOptions): EtcdRange {
    const key = this.key(prefix);
    const range_end = endOf(key);
    if (after === undefined) return { key, range_end };
    const position = this.key(after);
    if (descending) return { key, range_end: lower(range_end, position) };
    return { key: higher(key, Buffer.concat([position, Buffer.of(0)])), range_end };
  }

  /** The entry of one of the caller's keys; its bytes are copied out of the answer they came in. */
  entry(kv: IKeyValue): Entry {
    const entry = {
      key: kv.key.toString().slice(this.#keys.length),
      value: new Uint8Array(kv.value),
      createRevision: Number(kv.create_revision),
      modRevision: Number(kv.mod_revision),
      version: Number(kv.version),
    };
    return kv.lease === "0" ? entry : { ...entry, lease: kv.lease };
  }
}

/** The first key after all that start with these bytes; UTF-8 has no byte 0xff that could overflow. */
function endOf(prefix: Buffer): Buffer {
  const end = Buffer.from(prefix);
  end[end.length - 1] = (end.at(-1) as number) + 1;
  return end;
}

function lower(a: Buffer, b: Buffer): Buffer {
  return Buffer.compare(a, b) < 0 ? a : b;
}

function higher(a: Buffer, b: Buffer): Buffer {
  return Buffer.compare(a, b) > 0 ? a : b;
}

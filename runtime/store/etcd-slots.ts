// Marks by which a transaction's outcome can be found out. A slot is a key that one transaction at a time
// uses: it compares the slot's revision and writes its mark. When its answer is lost, a fence that compares
// the same revision settles it: either the fence is written, and the transaction can never happen any more,
// or it finds the mark. Slots lie on a lease of this process's session and vanish after it.
import { randomUUID } from "node:crypto";
import type { EtcdKeys } from "./etcd-keys.ts";
import { grantLease, keepLeaseAlive } from "./etcd-leases.ts";
import type { EtcdMembers } from "./etcd-members.ts";
import type { LeaseId } from "./store.ts";

/** Transactions under way at once: at 10 ms each they are 6,400 a second, six times what is asked for. */
const SLOTS_MAX = 64;
/** A session outlives its process by so long; its slots are 64 keys of about 100 bytes. */
const SESSION_TTL_MS = 600_000;
/** Age at which the next transaction renews the session: two renewals may fail. */
const RENEWAL_MS = SESSION_TTL_MS / 3;

interface Session {
  readonly id: string;
  readonly lease: LeaseId;
  readonly free: Slot[];
  renewedAtMs: number;
  slots: number;
}

/** A key for the mark of one transaction; `revision` is that of its last write, 0 before the first. */
export interface Slot {
  readonly key: Buffer;
  readonly lease: LeaseId;
  revision: number;
}

/** The slots of one open store. */
export class EtcdSlots {
  readonly #members: EtcdMembers;
  readonly #keys: EtcdKeys;
  readonly #waiting: (() => void)[] = [];
  #session: Promise<Session> | undefined;
  #taken = 0;

  constructor(members: EtcdMembers, keys: EtcdKeys) {
    this.#members = members;
    this.#keys = keys;
  }

  /** Runs `use` with a slot of its own; waits its turn where all are taken. */
  async with<Result>(use: (slot: Slot) => Promise<Result>): Promise<Result> {
    if (this.#taken === SLOTS_MAX) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else {
      this.#taken += 1;
    }
    try {
      const session = await this.#open();
      const slot = session.free.pop() ?? this.#create(session);
      const result = await use(slot);
      // One whose use failed is not used again: what it holds may be unknown.
      session.free.push(slot);
      return result;
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#taken -= 1;
    }
  }

  /** Tells that a session's lease is gone: the next transaction starts another. */
  async lost(lease: LeaseId): Promise<void> {
    const session = this.#session;
    if ((await session)?.lease === lease && this.#session === session) this.#session = undefined;
  }

  #open(): Promise<Session> {
    this.#session ??= this.#start().catch((error: unknown) => {
      this.#session = undefined;
      throw error;
    });
    void this.#session.then((session) => this.#renew(session)).catch(() => undefined);
    return this.#session;
  }

  async #start(): Promise<Session> {
    const askedAtMs = performance.now();
    const lease = await grantLease(this.#members, SESSION_TTL_MS);
    return { id: randomUUID(), lease, free: [], renewedAtMs: askedAtMs, slots: 0 };
  }

  async #renew(session: Session): Promise<void> {
    const nowMs = performance.now();
    if (nowMs - session.renewedAtMs < RENEWAL_MS) return;
    session.renewedAtMs = nowMs;
    if (!(await keepLeaseAlive(this.#members, session.lease))) await this.lost(session.lease);
  }

  #create(session: Session): Slot {
    session.slots += 1;
    const key = this.#keys.slot(session.id, session.slots);
    return { key, lease: session.lease, revision: 0 };
  }
}

// What the machines of this relay should run and fetch, as last told by a leader, kept on disk so that a
// restarted relay can tell agents while no control plane is there. Whom it concerns is asked of it; it
// sends nothing.
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { isOlder, revisionWithin } from "../core/leadership/epoch.ts";
import { type Order, ServiceAssignments } from "../proto/gen/millrace/v1/fleet.ts";
import { syncFolder, writeJson } from "../runtime/program/json-file.ts";
import { UrgentPacks } from "../runtime/release/urgent-packs.ts";

const SUFFIX = ".assignments";

/** Assignments by service, and orders by id. */
export class AssignmentBook {
  readonly #folder: string;
  readonly #services = new Map<string, ServiceAssignments>();
  readonly #orders = new Map<string, Order>();
  readonly #urgent = new UrgentPacks();
  #isComplete: boolean;

  /** Reads what was kept in `<root>/assignments/`. */
  constructor(root: string) {
    this.#folder = join(root, "assignments");
    mkdirSync(this.#folder, { recursive: true });
    this.#isComplete = existsSync(this.#completePath);
    for (const name of readdirSync(this.#folder)) {
      if (!name.endsWith(SUFFIX)) continue;
      const kept = ServiceAssignments.decode(readFileSync(join(this.#folder, name)));
      this.#services.set(kept.service, kept);
      this.#urgent.assigned(kept);
    }
  }

  get services(): ReadonlyMap<string, ServiceAssignments> {
    return this.#services;
  }

  get orders(): ReadonlyMap<string, Order> {
    return this.#orders;
  }

  /** An order or an assignment says that the pack goes before others. */
  isUrgent(pack: string): boolean {
    return this.#urgent.has(pack);
  }

  /** Highest store revision among the assignments of the epoch's incarnation; 0: there are none. */
  revisionWithin(epoch: number): number {
    return revisionWithin(epoch, this.#services.values());
  }

  /** A whole snapshot has been heard once: a service that is not here has no assignment. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** Takes a service's assignments; false where newer ones are here. Durable when it returns. */
  assign(assignments: ServiceAssignments): boolean {
    const before = this.#services.get(assignments.service);
    if (before !== undefined && isOlder(assignments, before)) return false;
    this.#services.set(assignments.service, assignments);
    this.#urgent.assigned(assignments);
    this.#write(assignments);
    return true;
  }

  /** Forgets a service. */
  remove(service: string): void {
    this.#services.delete(service);
    this.#urgent.assigned({ service, assignments: [] });
    rmSync(this.#pathOf(service), { force: true });
  }

  /** Notes that a whole snapshot has been heard. */
  complete(): void {
    if (this.#isComplete) return;
    writeJson(this.#completePath, { complete: true });
    this.#isComplete = true;
  }

  order(order: Order): void {
    this.#orders.set(order.id, order);
    this.#urgent.ordered(order);
  }

  endOrder(id: string): void {
    this.#orders.delete(id);
    this.#urgent.orderEnded(id);
  }

  get #completePath(): string {
    return join(this.#folder, "complete.json");
  }

  #pathOf(service: string): string {
    return join(this.#folder, `${encodeURIComponent(service)}${SUFFIX}`);
  }

  #write(assignments: ServiceAssignments): void {
    const path = this.#pathOf(assignments.service);
    const file = openSync(`${path}.tmp`, "w", 0o600);
    try {
      writeFileSync(file, ServiceAssignments.encode(assignments).finish());
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(`${path}.tmp`, path);
    syncFolder(this.#folder);
  }
}

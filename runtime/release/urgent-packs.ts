// Which packs go before others at a relay or a machine: those of urgent orders, and of assignments that are
// urgent, which they are until their rollout has ended.
import type { Order, ServiceAssignments } from "../../proto/gen/millrace/v1/fleet.ts";

export class UrgentPacks {
  readonly #assigned = new Map<string, readonly string[]>();
  readonly #ordered = new Map<string, string>();

  /** A service's assignments are these now. */
  assigned({ service, assignments }: Pick<ServiceAssignments, "service" | "assignments">): void {
    const packs = assignments.flatMap(({ urgent, release }) =>
      urgent ? (release?.layout?.packs ?? []) : [],
    );
    if (packs.length === 0) this.#assigned.delete(service);
    else
      this.#assigned.set(
        service,
        packs.map(({ pack }) => pack),
      );
  }

  ordered({ id, pack, urgent }: Pick<Order, "id" | "pack" | "urgent">): void {
    if (urgent) this.#ordered.set(id, pack);
    else this.#ordered.delete(id);
  }

  orderEnded(id: string): void {
    this.#ordered.delete(id);
  }

  has(pack: string): boolean {
    for (const ordered of this.#ordered.values()) if (ordered === pack) return true;
    for (const packs of this.#assigned.values()) if (packs.includes(pack)) return true;
    return false;
  }
}

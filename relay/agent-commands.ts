// Which assignments and orders each agent is told, at its arrival and from then on: those that concern
// it by their rule, and the end of those that did.
import { isTarget } from "../core/rollout/targets.ts";
import type {
  Order,
  OrderEnded,
  Permit,
  ServiceAssignments,
} from "../proto/gen/millrace/v1/fleet.ts";
import type { AgentSession } from "./agent-session.ts";
import type { AssignmentBook } from "./assignment-book.ts";
import { targetsOf } from "./wire.ts";

/** Tells an agent that has just come what concerns it, as far as it is known here. */
export function tellSnapshot(session: AgentSession, book: AssignmentBook, epoch: number): void {
  for (const assignments of book.services.values()) tellAssignments(session, assignments);
  for (const order of book.orders.values()) tellOrder(session, order);
  if (book.isComplete) session.send({ $case: "snapshotEnd", snapshotEnd: { epoch } });
}

/** Tells an agent of a service where it concerns it, or did, and of its permit under what it is told, where it has one. */
export function tellAssignments(
  session: AgentSession,
  assignments: ServiceAssignments,
  permit?: Permit,
): void {
  const { service } = assignments;
  const concerns = assignments.assignments.some((one) =>
    isTarget(session.candidate, targetsOf(one)),
  );
  if (!concerns && !session.toldServices.has(service)) return;
  session.toldServices.add(service);
  if (permit === undefined || session.takesEarly) {
    session.send({ $case: "assignments", assignments }, permit);
    return;
  }
  session.send({ $case: "assignments", assignments });
  session.send({ $case: "permit", permit });
}

/** Tells an agent of an order where it concerns it, or that it does no more. */
export function tellOrder(session: AgentSession, order: Order): void {
  if (isTarget(session.candidate, targetsOf(order))) {
    session.toldOrders.add(order.id);
    session.send({ $case: "order", order });
  } else {
    tellOrderEnded(session, { id: order.id, pack: order.pack, keep: false });
  }
}

/** Tells an agent that an order has ended, where it was told of it. */
export function tellOrderEnded(session: AgentSession, orderEnded: OrderEnded): void {
  if (session.toldOrders.delete(orderEnded.id)) session.send({ $case: "orderEnded", orderEnded });
}

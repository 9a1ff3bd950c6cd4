// What a relay tells a control plane whose store may have gone back: the assignments that it keeps, what its
// machines say they follow beside these, and its packs; in messages that stay within their limit.
import {
  type RelayMemory,
  RememberedAssignment,
  type ServiceAssignments,
  type ServiceStatus,
} from "../proto/gen/millrace/v1/fleet.ts";
import type { AgentSession } from "./agent-session.ts";
import type { AssignmentBook } from "./assignment-book.ts";

/** Each has 350 bytes at most: names of 64 characters, digests and ids. 300 are 105 KB of the 256 allowed. */
const ASSIGNMENTS_MAX = 300;
/** Names of packs have 28 characters at most; 2,000 and as many again that grow are 120 KB. */
const PACKS_MAX = 2_000;

type Book = Pick<AssignmentBook, "services" | "orders">;
type Session = Pick<AgentSession, "services">;

/** The whole of it, in one message or several. */
export function* memoryOf(
  book: Book,
  packs: readonly string[],
  sessions: readonly Session[],
): Generator<RelayMemory, void, void> {
  const kept = [...book.services.values()].flatMap(keptAssignments);
  const assignments = [...kept, ...followedBeside(book, sessions)];
  const ordered = new Set([...book.orders.values()].map(({ pack }) => pack));
  const all = [...new Set([...packs, ...ordered])];
  const messages = Math.max(
    1,
    Math.ceil(assignments.length / ASSIGNMENTS_MAX),
    Math.ceil(all.length / PACKS_MAX),
  );
  for (let index = 0; index < messages; index += 1) {
    const some = all.slice(index * PACKS_MAX, (index + 1) * PACKS_MAX);
    yield {
      assignments: assignments.slice(index * ASSIGNMENTS_MAX, (index + 1) * ASSIGNMENTS_MAX),
      packs: some,
      growing: some.filter((pack) => ordered.has(pack)),
      last: index === messages - 1,
    };
  }
}

function keptAssignments({
  service,
  epoch,
  revision,
  assignments,
}: ServiceAssignments): RememberedAssignment[] {
  return assignments.map(({ rollout, release }) => ({
    service,
    rollout,
    release: release?.release ?? "",
    sha: release?.sha ?? "",
    build: release?.build ?? "",
    epoch,
    revision,
  }));
}

/** What machines follow under a later epoch than this relay was told: it may have lost its own folder. */
function followedBeside(book: Book, sessions: readonly Session[]): RememberedAssignment[] {
  const found = new Map<string, RememberedAssignment>();
  for (const { service, rollout, release, epoch } of sessions.flatMap(statusesOf)) {
    const keptEpoch = book.services.get(service)?.epoch ?? 0;
    if (rollout === "" || epoch <= keptEpoch) continue;
    const one = RememberedAssignment.fromPartial({ service, rollout, release, epoch });
    found.set(`${service}/${rollout}`, one);
  }
  return [...found.values()];
}

function statusesOf({ services }: Session): ServiceStatus[] {
  return [...services.values()];
}

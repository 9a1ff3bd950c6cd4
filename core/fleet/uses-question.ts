// Whether it can be known which releases machines have: relays say it, and a region of which none is there, or whose
// relay waits for its machines, makes the answer unknown.

/** A relay that is connected; `isSettled`: its machines have had time to come back to it. */
export interface AskedRelay {
  readonly relay: string;
  readonly region: string;
  readonly isSettled: boolean;
}

/**
 * Why it cannot be known now; empty: ask those that are connected. Regions whose relays have all been away for `awayMs` of
 * the leader's term, which has lasted `forMs`, are not waited for.
 */
export function whyUsesUnknown(
  known: Iterable<{ readonly region: string }>,
  connected: readonly AskedRelay[],
  { forMs, awayMs }: { readonly forMs: number; readonly awayMs: number },
): string {
  const here = new Set(connected.map(({ region }) => region));
  const regions = new Set([...known].map(({ region }) => region));
  const away = [...regions].filter((region) => !here.has(region));
  if (away.length > 0 && forMs < awayMs)
    return `no relay of region ${away.join(", ")} is connected`;
  const settling = connected.find(({ isSettled }) => !isSettled);
  return settling === undefined
    ? ""
    : `relay ${settling.relay} waits for its machines after its start`;
}

/** What to say where some of those that were asked have not answered. */
export function usesUnanswered(relays: readonly string[]): string {
  return `relay ${relays.join(", ")} did not say which releases its machines have`;
}
